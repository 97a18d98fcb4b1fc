/** A process that writes numbered keys into a store, sixteen at a time, and tells which promises have resolved. */
import { type Compression, open } from '../index.ts';

const [directory = '', first = '0', compression = 'none'] = process.argv.slice(2);
const store = await open({
  directory,
  persistence: 'hybrid',
  snapshotBytes: 20_000,
  snapshotCompression: compression as Compression,
  valueCompression: compression as Compression,
  valueCompressionMinSize: 1,
});
let next = Number(first);
await Promise.all(
  Array.from({ length: 16 }, async () => {
    for (;;) {
      const number = next++;
      await store.set(`k${number}`, `v${number}`.repeat(50));
      // Synchronous: what was said was heard, whatever becomes of this process.
      process.stdout.write(`${number}\n`);
    }
  }),
);
