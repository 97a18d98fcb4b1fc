/**
 * How fast the store itself is, without a log, a disk or a network: nanoseconds per operation, in one process.
 * `node bench/store.ts [keys]` (100000 by default).
 */
import { BatchEncoder } from '../src/store/batch.ts';
import type { DataCommand } from '../src/store/command.ts';
import { noReply } from '../src/store/reply.ts';
import { Store } from '../src/store/store.ts';
import { dataCommands } from '../src/store/table.ts';

const KEYS = Number(process.argv[2] ?? 100_000);
const OPERATIONS = 1_000_000;
/** The operations of one log entry, prepared just before they run, as a parser would. */
const OPERATIONS_PER_ENTRY = 500;
const TIME = 1_700_000_000_000;

/** A flat string of its own, as the client port's parser makes them. */
function bytes(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

function command(name: string): DataCommand {
  const found = dataCommands.get(name);
  if (found === undefined) throw new Error(`no command ${name}`);
  return found;
}

let state = 1;
/** A key chosen at random, the same sequence in every run. */
function someKey(prefix: string): string {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return bytes(prefix + Math.floor((state / 2 ** 32) * KEYS));
}

function report(name: string, operations: number, nanoseconds: number): void {
  const each = nanoseconds / operations;
  console.log(
    `${name.padEnd(34)} ${each.toFixed(0).padStart(6)} ns  ${(1e3 / each).toFixed(2).padStart(6)} M/s`,
  );
}

/** Prepares and runs entries; only the runs count. */
function measure<Prepared>(
  name: string,
  prepare: (entry: number) => Prepared,
  run: (prepared: Prepared) => void,
): void {
  let nanoseconds = 0;
  for (let entry = 0; entry < OPERATIONS / OPERATIONS_PER_ENTRY; entry++) {
    const prepared = prepare(entry);
    const start = process.hrtime.bigint();
    run(prepared);
    nanoseconds += Number(process.hrtime.bigint() - start);
  }
  report(name, OPERATIONS, nanoseconds);
}

/** As `measure`, for all at once. */
function measureWhole(name: string, operations: number, run: () => void): void {
  const start = process.hrtime.bigint();
  run();
  report(name, operations, Number(process.hrtime.bigint() - start));
}

type Calls = readonly (readonly string[])[];

function calls(make: (at: number) => readonly string[]): (entry: number) => Calls {
  return (entry) =>
    Array.from({ length: OPERATIONS_PER_ENTRY }, (_, at) => make(entry * OPERATIONS_PER_ENTRY + at));
}

const store = new Store();

function execute(name: string): (prepared: Calls) => void {
  const spec = command(name);
  return (prepared) => {
    store.beginEntry(store.appliedIndex + 1, TIME);
    for (const args of prepared) store.execute(spec, args, noReply);
    store.endEntry();
  };
}

const value = 'v'.repeat(100);
const set = calls(() => ['SET', someKey('key:'), bytes(value)]);

measure('SET, new and old keys', set, execute('set'));
measure('SET, old keys', set, execute('set'));
const get = command('get');
measure(
  'GET',
  calls(() => ['GET', someKey('key:')]),
  (prepared) => {
    for (const args of prepared) store.read(get, args, noReply, TIME);
  },
);
measure(
  'SET with PX, deadlines moving on',
  calls((at) => ['SET', someKey('key:'), bytes(value), 'PX', bytes(String(1_000_000 + at))]),
  execute('set'),
);
measure(
  'INCR',
  calls(() => ['INCR', someKey('counter:')]),
  execute('incr'),
);

const encoder = new BatchEncoder();
const encode = (prepared: Calls): Uint8Array => {
  for (const args of prepared) encoder.addCommand(args);
  return encoder.finish(TIME);
};
measure('batch: encode a SET', set, encode);
const follower = new Store();
measure(
  'batch: decode and apply a SET',
  (entry) => encode(set(entry)),
  (payload) => follower.applyBatch(follower.appliedIndex + 1, payload),
);

const keys = command('keys');
measureWhole('KEYS: a key that does not match', store.size, () =>
  store.read(keys, ['KEYS', 'x*y*z'], noReply, TIME),
);
const blocks: Uint8Array[] = [];
let slowest = 0;
measureWhole('snapshot: encode a key', store.size, () => {
  const snapshot = store.startSnapshot();
  for (;;) {
    const start = process.hrtime.bigint();
    const block = snapshot.next(256 * 1024);
    slowest = Math.max(slowest, Number(process.hrtime.bigint() - start));
    if (block === null) break;
    blocks.push(block);
  }
});
console.log(`  slowest slice of 256 KiB: ${(slowest / 1e6).toFixed(2)} ms`);
measureWhole('snapshot: restore a key', store.size, () => {
  const decoder = new Store().beginRestore();
  for (const block of blocks) decoder.push(block);
  decoder.finish();
});
measureWhole('digest: a key', store.size, () => store.digest());
