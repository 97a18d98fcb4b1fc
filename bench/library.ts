/**
 * The library beside what a program would otherwise use: a bare `Map`, LMDB, LevelDB and SQLite, each at its own best
 * durability of the same class, in one run on one machine, one thread.
 *
 * ```
 * npm run bench:library                 all of it
 * npm run bench:library -- --seconds 1  longer samples
 * ```
 *
 * `none`: nothing has to survive. `process`: what was written survives the end of the process (`interval`, `never`).
 * `power`: it survives a power failure before its promise resolves. The ratio is to the first row.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';
import { ClassicLevel } from 'classic-level';
import { open as openLmdb } from 'lmdb';
import { open, type Store } from '../src/embedded/index.ts';

type Durability = 'none' | 'process' | 'power';

/** A store under test. What returns no promise is done when it returns. */
interface Subject {
  get(key: string): string | undefined;
  set(key: string, value: string): Promise<unknown> | void;
  batch(pairs: readonly (readonly [string, string])[]): Promise<unknown> | void;
  /** How many keys begin so, each with its value read; null where that means looking at all of them. */
  scan: ((prefix: string) => number | Promise<number>) | null;
  close(): Promise<unknown> | void;
}

interface System {
  readonly name: string;
  /** Null where it has nothing of that class. */
  open(directory: string, durability: Durability): Promise<Subject | null>;
}

const KEYS = 100_000;
const SCANNED = 1000;
const BATCH = 100;
const CALLERS = 16;
const { values } = parseArgs({ options: { seconds: { type: 'string', default: '0.5' } } });
const sampleMs = Number(values.seconds) * 1000;
const ROUNDS = 5;

/** In one piece, as what comes from a file or a socket is: V8 keeps what was put together from parts in parts for a while. */
const whole = (text: string): string => Buffer.from(text, 'latin1').latin1Slice();
const keys = Array.from({ length: KEYS }, (_, at) => whole(`user:${String(at).padStart(11, '0')}`));
const texts = keys.map((_, at) => whole(String(at).padStart(100, 'value ')));
/** All of them once, in an order without a pattern. */
const shuffled = shuffle(KEYS);

const systems: readonly System[] = [
  {
    name: 'Map',
    open: async (_directory, durability) => {
      if (durability !== 'none') return null;
      const map = new Map<string, string>();
      return {
        get: (key) => map.get(key),
        set: (key, value) => void map.set(key, value),
        batch: (pairs) => {
          for (const [key, value] of pairs) map.set(key, value);
        },
        scan: null,
        close() {},
      };
    },
  },
  {
    name: 'kvorum',
    open: async (directory, durability) => subjectOf(await openStore(directory, durability), durability),
  },
  {
    name: 'lmdb',
    open: async (directory, durability) => {
      const db = openLmdb<string, string>({
        path: join(directory, 'data'),
        encoding: 'string',
        noSync: durability !== 'power',
        mapSize: 4 * 1024 ** 3,
      });
      return {
        get: (key) => db.get(key),
        // One transaction for all callers of a moment, flushed before the promise resolves.
        set: (key, value) => db.put(key, value),
        batch: (pairs) =>
          db.batch(() => {
            for (const [key, value] of pairs) void db.put(key, value);
          }),
        scan: (prefix) => {
          let count = 0;
          for (const { value } of db.getRange({ start: prefix, end: `${prefix}\u{10FFFF}` }))
            if (value !== '') count++;
          return count;
        },
        close: () => db.close(),
      };
    },
  },
  {
    name: 'classic-level',
    open: async (directory, durability) => {
      const db = new ClassicLevel(join(directory, 'data'));
      await db.open();
      const sync = durability === 'power';
      return {
        get: (key) => db.getSync(key),
        set: (key, value) => db.put(key, value, { sync }),
        batch: (pairs) =>
          db.batch(
            pairs.map(([key, value]) => ({ type: 'put', key, value })),
            { sync },
          ),
        scan: async (prefix) => (await db.values({ gte: prefix, lt: `${prefix}\u{10FFFF}` }).all()).length,
        close: () => db.close(),
      };
    },
  },
  {
    name: 'SQLite',
    open: async (directory, durability) => {
      const db = new DatabaseSync(join(directory, 'data'));
      db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${durability === 'power' ? 'FULL' : 'OFF'}`);
      db.exec('CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID');
      const get = db.prepare('SELECT value FROM entries WHERE key = ?');
      const put = db.prepare(
        'INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
      );
      const range = db.prepare('SELECT value FROM entries WHERE key >= ? AND key < ?');
      return {
        get: (key) => get.get(key)?.['value'] as string | undefined,
        set: (key, value) => void put.run(key, value),
        batch: (pairs) => {
          db.exec('BEGIN');
          for (const [key, value] of pairs) put.run(key, value);
          db.exec('COMMIT');
        },
        scan: (prefix) => range.all(prefix, `${prefix}\u{10FFFF}`).length,
        close: () => db.close(),
      };
    },
  },
];

function openStore(directory: string, durability: Durability): Promise<Store> {
  if (durability === 'none') return open();
  return open({ directory, sync: durability === 'power' ? 'always' : 'interval' });
}

function subjectOf(store: Store, durability: Durability): Subject {
  return {
    get: (key) => store.get(key),
    // Nobody waits for what need not survive.
    set: (key, value) => (durability === 'none' ? void store.set(key, value) : store.set(key, value)),
    batch: (pairs) => {
      const batch = store.batch();
      for (const [key, value] of pairs) batch.put(key, value);
      return batch.write();
    },
    scan: (prefix) => {
      let count = 0;
      for (const value of store.values({ prefix })) if (value !== '') count++;
      return count;
    },
    close: () => store.close(),
  };
}

// --- Measuring -----------------------------------------------------------------------------------------------------

/** Operations per second in one sample that begins with step `at`, and the step behind it. */
async function sample(
  { each, step }: Measure,
  subject: Subject,
  at: number,
): Promise<{ perSecond: number; next: number }> {
  const from = performance.now();
  let next = at;
  do {
    const waiting = step(subject, next++);
    if (waiting !== undefined) await waiting;
  } while (performance.now() - from < sampleMs);
  return { perSecond: (each * (next - at)) / ((performance.now() - from) / 1000), next };
}

/** Reads that are not thrown away by the compiler. */
let read = 0;
const chosen = (at: number): number => shuffled[at % KEYS] ?? 0;
const keyAt = (at: number): string => keys[chosen(at)] ?? '';
/** Never what the key holds already: what changes nothing need not be written, and some notice. */
const textAt = (at: number): string => texts[(chosen(at) + 1 + Math.floor(at / KEYS)) % KEYS] ?? '';
const MANY = 1000;
/** What each of the callers asks, one after the other. */
const EACH = 64;

interface Measure {
  readonly title: string;
  readonly durability: Durability;
  /** Operations of a step. */
  readonly each: number;
  readonly step: (subject: Subject, step: number) => Promise<unknown> | void;
  /** For those that can scan only. */
  readonly scans?: true;
}

const measures: readonly Measure[] = [
  {
    title: 'GET, 100,000 keys of 16 bytes, values of 100',
    durability: 'none',
    each: MANY,
    step(subject, step) {
      for (let at = step * MANY; at < (step + 1) * MANY; at++) read += subject.get(keyAt(at))?.length ?? 0;
    },
  },
  {
    title: 'SET over existing keys, nothing has to survive',
    durability: 'none',
    each: MANY,
    step: setMany,
  },
  {
    title: 'SET, survives the process; 1000 callers at once',
    durability: 'process',
    each: MANY,
    step: setMany,
  },
  {
    title: 'SET, survives a power failure; one caller',
    durability: 'power',
    each: 1,
    step: (subject, step) => subject.set(keyAt(step), textAt(step)),
  },
  {
    title: `SET, survives a power failure; ${CALLERS} callers`,
    durability: 'power',
    each: CALLERS,
    step: (subject, step) => setSome(subject, step * CALLERS, CALLERS),
  },
  {
    title: 'SET, survives a power failure; 1000 callers',
    durability: 'power',
    each: MANY,
    step: setMany,
  },
  {
    title: `GET, ${CALLERS} callers in turn, each awaiting its reads`,
    durability: 'none',
    each: CALLERS * EACH,
    step: (subject, step) => byCallers(step, (at) => void (read += subject.get(keyAt(at))?.length ?? 0)),
  },
  {
    title: `SET, ${CALLERS} callers in turn, each awaiting its writes; nothing has to survive`,
    durability: 'none',
    each: CALLERS * EACH,
    step: (subject, step) => byCallers(step, (at) => subject.set(keyAt(at), textAt(at))),
  },
  {
    title: `batches of ${BATCH} per second, nothing has to survive`,
    durability: 'none',
    each: 1,
    step: (subject, step) => subject.batch(pairsAt(step)),
  },
  {
    title: `scans of ${SCANNED} keys by prefix per second`,
    durability: 'none',
    each: 1,
    scans: true,
    step({ scan }, step) {
      const count = scan?.(`user:${String(step % (KEYS / SCANNED)).padStart(8, '0')}`);
      if (typeof count !== 'number') return count;
      read += count;
      return undefined;
    },
  },
];

/** Callers that wait for what they asked before they ask again. */
async function byCallers(step: number, ask: (at: number) => Promise<unknown> | void): Promise<void> {
  await Promise.all(
    Array.from({ length: CALLERS }, async (_, caller) => {
      for (let at = 0; at < EACH; at++) await ask((step * CALLERS + caller) * EACH + at);
    }),
  );
}

/** What each key holds at first. */
async function load(subject: Subject, from: number): Promise<void> {
  const written: unknown[] = [];
  for (let at = from; at < from + MANY; at++) written.push(subject.set(keys[at] ?? '', texts[at] ?? ''));
  await Promise.all(written);
}

function setMany(subject: Subject, step: number): Promise<unknown> | void {
  return setSome(subject, step * MANY, MANY);
}

function setSome(subject: Subject, from: number, count: number): Promise<unknown> | void {
  const waiting: Promise<unknown>[] = [];
  for (let at = from; at < from + count; at++) {
    const written = subject.set(keyAt(at), textAt(at));
    if (written !== undefined) waiting.push(written);
  }
  return waiting.length === 0 ? undefined : Promise.all(waiting);
}

function pairsAt(step: number): (readonly [string, string])[] {
  return Array.from(
    { length: BATCH },
    (_, each) => [keyAt(step * BATCH + each), textAt(step * BATCH + each)] as const,
  );
}

// --- What only the library does: first, in a process that holds nothing else ----------------------------------------

// The first one is not told: what the code takes when it first runs is no part of a store.
await alone(MANY, () => {});
for (const entries of [100_000, 1_000_000]) await alone(entries, console.log);

async function alone(entries: number, tell: (line: string) => void): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'kvorum-bench-'));
  const before = memory();
  let store = await open({ directory, sync: 'never', snapshotBytes: 2 ** 40 });
  await fill(store, MANY);
  // Its buffers are as large as they become.
  await store.clear();
  const empty = memory() - before;
  await fill(store, entries);
  tell(`${entries.toLocaleString('en')} entries of 16 + 100 bytes`);
  const each = Math.round((memory() - before - empty) / entries);
  tell(`  ${each} bytes of memory each, and ${Math.round(empty / 1024)} KiB for the store itself`);
  let longest = 0;
  let last = performance.now();
  const ticker = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const from = performance.now();
  const { bytes } = await store.snapshot();
  const ms = performance.now() - from;
  clearInterval(ticker);
  tell(
    `  snapshot: ${Math.round(ms)} ms, ${bytes} bytes; the loop was held for ${Math.round(longest)} ms at most`,
  );
  await store.close();
  const opening = performance.now();
  store = await open(directory);
  tell(`  open, from the snapshot: ${Math.round(performance.now() - opening)} ms`);
  await store.close();
  await rm(directory, { recursive: true });
}

async function fill(store: Store, entries: number): Promise<void> {
  for (let at = 0; at < entries; at += MANY) {
    for (let each = at; each < at + MANY; each++)
      void store.set(
        whole(`user:${String(each).padStart(11, '0')}`),
        whole(String(each).padStart(100, 'value ')),
      );
    await store.flush();
  }
}

// --- Beside the others -----------------------------------------------------------------------------------------------

for (const measure of measures) {
  console.log(`\n${measure.title}`);
  const candidates = [];
  for (const system of systems) {
    const directory = await mkdtemp(join(tmpdir(), 'kvorum-bench-'));
    const subject = await system.open(directory, measure.durability);
    if (subject !== null && (measure.scans !== true || subject.scan !== null)) {
      for (let at = 0; at < KEYS; at += MANY) await load(subject, at);
      candidates.push({ name: system.name, directory, subject, at: 0, best: 0 });
    } else {
      await subject?.close();
      await rm(directory, { recursive: true });
    }
  }
  collectGarbage();
  // In turns: what else the machine does meanwhile, it does to all.
  for (let round = 0; round < ROUNDS; round++)
    for (const candidate of candidates) {
      const { perSecond, next } = await sample(measure, candidate.subject, candidate.at);
      candidate.at = next;
      candidate.best = Math.max(candidate.best, perSecond);
    }
  for (const { name, directory, subject, best } of candidates) {
    const ratio = (best / (candidates[0]?.best ?? best)).toFixed(2);
    console.log(`  ${name.padEnd(14)} ${Math.round(best).toLocaleString('en').padStart(12)} /s  ${ratio}×`);
    await subject.close();
    await rm(directory, { recursive: true });
  }
}

if (read < 0) throw new Error('nothing was read');

function collectGarbage(): void {
  // Once is not all: some of it is found to be garbage by the round before.
  for (let round = 0; round < 3; round++) globalThis.gc?.();
}

function memory(): number {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Every number below `count` once, the same order in every run. */
function shuffle(count: number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, at) => at);
  let seed = 1;
  for (let at = count - 1; at > 0; at--) {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    const other = seed % (at + 1);
    const kept = order[at] ?? 0;
    order[at] = order[other] ?? 0;
    order[other] = kept;
  }
  return order;
}
