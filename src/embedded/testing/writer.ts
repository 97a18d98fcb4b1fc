/** A process that writes numbered keys into a store, sixteen at a time, and tells which promises have resolved. */
import { open } from '../index.ts';

const [directory = '', first = '0'] = process.argv.slice(2);
const store = await open({ directory, persistence: 'hybrid', snapshotBytes: 20_000 });
let next = Number(first);
await Promise.all(
  Array.from({ length: 16 }, async () => {
    for (;;) {
      const number = next++;
      await store.set(`k${number}`, `v${number}`.repeat(10));
      // Synchronous: what was said was heard, whatever becomes of this process.
      process.stdout.write(`${number}\n`);
    }
  }),
);
