/** Changes of some keys as they happen. */
import { open } from 'kvorum';

await using store = await open();
const stop = new AbortController();

const watching = (async () => {
  for await (const change of store.watch({ prefix: 'door:' }, { signal: stop.signal })) {
    if (change.type === 'set') console.log(`${change.key} is ${change.value}`);
    else if (change.type === 'delete') console.log(`${change.key} is gone`);
  }
  console.log('no more');
})();

await store.set('door:front', 'open');
await store.set('window:1', 'open');
await store.set('door:front', 'closed');
await store.delete('door:front');
setImmediate(() => stop.abort());
await watching;
