/**
 * Dumps against Redis's: recorded ones everywhere, and both ways with a real redis-server where there is one. Then damaged
 * ones, which must be refused or be a value like any other.
 */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hasArity } from '../../src/store/arity.ts';
import { ByteReader, ByteWriter } from '../../src/store/bytes.ts';
import { dumpOf } from '../../src/store/rdb/dump.ts';
import { KIND } from '../../src/store/rdb/kinds.ts';
import { listpackOf } from '../../src/store/rdb/packed.ts';
import { DumpReader, readCount, readString } from '../../src/store/rdb/primitives.ts';
import { isIntact, valueOf } from '../../src/store/rdb/restore.ts';
import { dataCommandOf } from '../../src/store/table.ts';
import { Harness, Recorder, restored, snapshotOf } from '../../src/store/testing/harness.ts';
import { newCollection } from '../../src/store/types.ts';
import { typeOf, type Value } from '../../src/store/value.ts';
import {
  bulkOf,
  NEWER,
  readDumps,
  type RecordedDump,
  SAMPLES,
  type Sample,
  sealed,
} from '../differential/dumps.ts';
import { commandOf, KEYS, Source } from '../differential/group.ts';
import { loadGroups } from '../differential/groups.ts';
import { Link } from '../differential/link.ts';
import { meaningOf } from '../differential/meaning.ts';
import { REDIS_VERSION, RedisServer, redisServerFound } from '../differential/redis-server.ts';

const recorded = readDumps();

function made({ commands }: Sample): Harness {
  const harness = new Harness();
  for (const args of commands) expect(harness.run(...args), args.join(' ')).not.toBeInstanceOf(Error);
  return harness;
}

function dumpFrom(harness: Harness, key = 'k'): string {
  const dump = harness.run('DUMP', key);
  if (typeof dump !== 'string') throw new Error(`DUMP ${key}: ${String(dump)}`);
  return dump;
}

describe(`dumps that Redis ${REDIS_VERSION} gave`, () => {
  test.each(recorded)('$title: ours is the same, byte by byte', (sample) => {
    const dump = dumpFrom(made(sample));
    expect(meaningOf(dump)).toBe(meaningOf(sample.dump));
    // Redis keeps the nodes of old lists.
    if (sample.differs !== 'old') expect(dump === sample.dump).toBe(sample.differs === undefined);
  });

  test.each(recorded)('$title: restored here, it is the same again', ({ dump, differs }) => {
    const harness = new Harness();
    expect(harness.run('RESTORE', 'k', '0', dump)).toBe('OK');
    const again = dumpFrom(harness);
    expect(meaningOf(again)).toBe(meaningOf(dump));
    if (differs === undefined || differs === 'times') expect(again).toBe(dump);
  });

  test.each(recorded)('$title: the same on every node, and after a snapshot', ({ dump }) => {
    const harness = new Harness();
    harness.run('RESTORE', 'k', '0', dump);
    const [follower, fresh] = [harness.follower(), restored(snapshotOf(harness.store))];
    for (const store of [follower, fresh]) {
      const recorder = new Recorder();
      const args = ['DUMP', 'k'];
      store.read(dataCommandOf(args)!, args, recorder, harness.now);
      expect(recorder.replies[0]).toBe(dumpFrom(harness));
      expect(store.digest()).toBe(harness.store.digest());
    }
  });
});

describe('dumps of newer servers', () => {
  test.each(NEWER)('$title', (sample) => {
    const [harness, other] = [new Harness(), made(sample)];
    expect(harness.run('RESTORE', 'k', '0', sample.dump)).toBe('OK');
    expect(meaningOf(dumpFrom(harness))).toBe(meaningOf(dumpFrom(other)));
  });
});

// --- Damage ------------------------------------------------------------------------------------------------------

/** The same dump with nothing compressed, so that damage gets at what is inside. */
function expanded(dump: string): string {
  const reader = new DumpReader(Buffer.from(dump.slice(0, -10), 'latin1'));
  const writer = new ByteWriter(64);
  const kind = reader.byte('kind');
  writer.byte(kind);
  const blob = (): void => {
    const bytes = readString(reader, 'string');
    writer.characters('\x80');
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    writer.bytes(length);
    writer.bytes(bytes);
  };
  const unpacked: readonly number[] = [KIND.set, KIND.hash, KIND.sortedSet, KIND.module, KIND.hashDeadlines];
  const old: readonly number[] = [
    KIND.list,
    KIND.sortedSetText,
    KIND.listZiplists,
    KIND.stream1,
    KIND.stream3,
  ];
  if (unpacked.includes(kind) || old.includes(kind)) return dump;
  if (kind === KIND.listListpacks || kind === KIND.stream2) {
    let left = readCount(reader, 'nodes', 1);
    if (left > 63) return dump;
    writer.byte(left);
    for (; left > 0; left--) {
      if (kind === KIND.listListpacks) writer.byte(reader.byte('kind of a node'));
      else blob();
      blob();
    }
  } else {
    if (kind === KIND.hashDeadlinesListpack) writer.bytes(reader.view(8, 'the first deadline'));
    blob();
  }
  writer.bytes(reader.view(reader.remaining, 'the rest'));
  return sealed(writer.view().toString('latin1'));
}

/** A small change of a few bytes. */
const edit = fc.record({
  at: fc.nat(),
  kind: fc.constantFrom('set', 'add', 'bit', 'insert', 'remove', 'copy', 'cut'),
  byte: fc.nat(255),
  count: fc.integer({ min: 1, max: 4 }),
});

function edited(
  dump: string,
  edits: readonly (typeof edit extends fc.Arbitrary<infer E> ? E : never)[],
): string {
  let bytes = Buffer.from(dump.slice(0, -10), 'latin1');
  for (const { at, kind, byte, count } of edits) {
    // Near the beginning there are the lengths.
    const place =
      byte % 2 === 0 ? at % Math.max(1, bytes.length) : at % Math.min(40, Math.max(1, bytes.length));
    const [before, behind] = [bytes.subarray(0, place), bytes.subarray(place)];
    if (kind === 'set' && place > 0) bytes[place] = byte;
    if (kind === 'add') bytes[place] = (bytes[place] ?? 0) + (byte % 2 === 0 ? 1 : 255);
    if (kind === 'bit') bytes[place] = (bytes[place] ?? 0) ^ (1 << (byte % 8));
    if (kind === 'insert') bytes = Buffer.concat([before, Buffer.alloc(count, byte), behind]);
    if (kind === 'remove') bytes = Buffer.concat([before, behind.subarray(count)]);
    if (kind === 'copy') bytes = Buffer.concat([before, behind.subarray(0, count), behind]);
    if (kind === 'cut' && byte < 40) bytes = Buffer.from(before);
  }
  return sealed(bytes.toString('latin1'));
}

/** One read, and where it can be, one write, of every kind that the type has: none may throw. */
const COMMANDS: Readonly<Record<string, readonly string[][]>> = {
  string: [
    ['GET', 'k'],
    ['STRLEN', 'k'],
    ['APPEND', 'k', 'x'],
    ['PFCOUNT', 'k'],
    ['BITCOUNT', 'k'],
    ['SETBIT', 'k', '7', '1'],
  ],
  list: [
    ['LRANGE', 'k', '0', '-1'],
    ['LINDEX', 'k', '-1'],
    ['LPOS', 'k', 'a'],
    ['LINSERT', 'k', 'BEFORE', 'a', 'x'],
    ['LPUSH', 'k', 'x'],
    ['RPOP', 'k', '2'],
    ['LTRIM', 'k', '1', '-2'],
  ],
  hash: [
    ['HGETALL', 'k'],
    ['HSCAN', 'k', '0'],
    ['HRANDFIELD', 'k', '3', 'WITHVALUES'],
    ['HTTL', 'k', 'FIELDS', '1', 'f'],
    ['HSET', 'k', 'f', 'x', 'new', '1'],
    ['HDEL', 'k', 'f', 'n'],
  ],
  set: [
    ['SMEMBERS', 'k'],
    ['SSCAN', 'k', '0'],
    ['SRANDMEMBER', 'k', '3'],
    ['SADD', 'k', '4', 'x'],
    ['SREM', 'k', 'a', '1'],
    ['SPOP', 'k', '2'],
  ],
  zset: [
    ['ZRANGE', 'k', '0', '-1', 'WITHSCORES'],
    ['ZRANGEBYSCORE', 'k', '-inf', '2', 'WITHSCORES'],
    ['ZSCAN', 'k', '0'],
    ['ZRANK', 'k', 'a'],
    ['ZINCRBY', 'k', '2', 'a'],
    ['ZADD', 'k', '3', 'x'],
    ['ZPOPMIN', 'k', '2'],
    ['ZREMRANGEBYSCORE', 'k', '0', '3'],
  ],
  'MBbloom--': [
    ['BF.INFO', 'k'],
    ['BF.EXISTS', 'k', 'a'],
    ['BF.ADD', 'k', 'new'],
    ['BF.SCANDUMP', 'k', '0'],
  ],
  stream: [
    ['XRANGE', 'k', '-', '+'],
    ['XREVRANGE', 'k', '+', '-'],
    ['XINFO', 'STREAM', 'k', 'FULL'],
    ['XPENDING', 'k', 'g', '-', '+', '10'],
    ['XREADGROUP', 'GROUP', 'g', 'carl', 'STREAMS', 'k', '>'],
    ['XAUTOCLAIM', 'k', 'g', 'dora', '0', '0'],
    ['XADD', 'k', '*', 'f', 'v'],
    ['XDEL', 'k', '1-1'],
    ['XTRIM', 'k', 'MAXLEN', '1'],
    ['XGROUP', 'DELCONSUMER', 'k', 'g', 'zoe'],
  ],
};

/** Written down by a snapshot and read back. */
function reread(value: Value): Value {
  if (typeof value === 'string') return value;
  const copy = newCollection(value.type)!;
  let cursor: number | null = 0;
  while (cursor !== null) {
    const writer = new ByteWriter(64);
    cursor = value.encode(cursor, writer, 100);
    copy.decode(new ByteReader(writer.view()));
  }
  return copy;
}

describe('damaged dumps with a right checksum', () => {
  const bloom = made({
    title: 'a Bloom filter',
    commands: [
      ['BF.RESERVE', 'k', '0.1', '4'],
      ['BF.MADD', 'k', ...Array.from('abcdefghijklm')],
    ],
  });
  const bases = [...recorded, ...recordedOld(), ...NEWER, { dump: dumpFrom(bloom) }].flatMap(({ dump }) =>
    dump.length < 2000 ? [dump, expanded(dump)] : [],
  );

  test('are refused, or are values that can be kept, dumped and used', { timeout: 120_000 }, () => {
    let [refused, taken] = [0, 0];
    fc.assert(
      fc.property(
        fc.nat(bases.length - 1),
        fc.array(edit, { minLength: 1, maxLength: 3 }),
        (which, edits) => {
          const dump = edited(bases[which]!, edits);
          const bytes = Buffer.from(dump, 'latin1');
          expect(isIntact(bytes)).toBe(true);
          const value = valueOf(bytes);
          const harness = new Harness();
          const reply = harness.run('RESTORE', 'k', '0', dump);
          if (value === undefined) {
            refused++;
            expect(reply).toEqual(new Error('ERR Bad data format'));
            return;
          }
          taken++;
          expect(reply).toBe('OK');
          const copy = reread(value);
          expect(dumpOf(copy, 0)).toBe(dumpOf(value, 0));
          if (typeof value !== 'string' && typeof copy !== 'string') expect(copy.bytes).toBe(value.bytes);
          expect(meaningOf(dumpOf(value, 0)!)).toBe(meaningOf(dump));
          for (const args of COMMANDS[typeOf(value)] ?? []) harness.run(...args);
          expect(harness.follower().digest()).toBe(harness.store.digest());
          expect(restored(snapshotOf(harness.store)).digest()).toBe(harness.store.digest());
        },
      ),
      { numRuns: 3000 },
    );
    // Neither may be all there is: then nothing would be tested.
    expect(refused).toBeGreaterThan(300);
    expect(taken).toBeGreaterThan(300);
  });
});

/** A stream of nodes, each with the first sequence number and those of its entries, negative where they are deleted. */
function streamOf(...nodes: readonly [first: number, ...entries: number[]][]): string {
  const writer = new ByteWriter(64);
  writer.byte(KIND.stream2);
  writer.byte(nodes.length);
  for (const [first, ...entries] of nodes) {
    writer.characters(`\x10${'\0'.repeat(15)}${String.fromCharCode(first)}`);
    const deleted = entries.filter((entry) => entry < 0).length;
    const elements = [entries.length - deleted, deleted, 1, 'f', 0];
    for (const entry of entries) elements.push(entry < 0 ? 3 : 2, 0, Math.abs(entry) - first, 'v', 4);
    const listpack = listpackOf(elements.map(String));
    writer.characters('\x80\0\0\0');
    writer.byte(listpack.length);
    writer.bytes(listpack);
  }
  const alive = nodes.flatMap(([, ...entries]) => entries.filter((entry) => entry > 0));
  writer.byte(alive.length);
  // The last id, the first one, that of the last deletion, the number of all additions, no groups.
  writer.characters(`\0\x3f\0${String.fromCharCode(alive[0] ?? 0)}\0\0\x3f\0`);
  return sealed(writer.view().toString('latin1'));
}

test.each([
  {
    nodes: [
      [1, 1, 2],
      [3, 3, 5],
    ],
    taken: true,
  },
  {
    nodes: [
      [1, -1, 2, -9],
      [3, 3, 5],
    ],
    taken: true,
  },
  {
    nodes: [
      [1, 1, -9, 2],
      [3, 3],
    ],
    taken: true,
  },
  {
    nodes: [
      [3, 3],
      [1, 1],
    ],
    taken: false,
  },
  {
    nodes: [
      [1, 1],
      [1, 2],
    ],
    taken: false,
  },
  {
    nodes: [
      [1, 1, 4],
      [3, 5],
    ],
    taken: false,
  },
  { nodes: [[1, 2, 2]], taken: false },
  { nodes: [[1, 3, 2]], taken: false },
  { nodes: [[2, 1, 3]], taken: false },
  { nodes: [[1, 3, -2]], taken: false },
  { nodes: [[1, -1]], taken: false },
  { nodes: [[1]], taken: false },
  { nodes: [[1, 1, 64]], taken: false },
] as { nodes: [number, ...number[]][]; taken: boolean }[])(
  'entries in order: $nodes, $taken',
  ({ nodes, taken }) => {
    const harness = new Harness();
    const reply = harness.run('RESTORE', 'k', '0', streamOf(...nodes));
    expect(reply).toEqual(taken ? 'OK' : new Error('ERR Bad data format'));
    expect(restored(snapshotOf(harness.store)).digest()).toBe(harness.store.digest());
  },
);

/** The old formats as they come in: what is recorded is what Redis made of them. */
function recordedOld(): Pick<RecordedDump, 'dump'>[] {
  return SAMPLES.filter(({ differs }) => differs === 'old').map(({ commands }) => ({
    dump: commands[0]![3]!,
  }));
}

// --- Live --------------------------------------------------------------------------------------------------------

const required = process.env['KVORUM_REQUIRE_REDIS'] === '1';
const found = redisServerFound();
if (!found && !required)
  console.warn(`SKIPPED: dumps to and from a live redis-server ${REDIS_VERSION}: there is none on the PATH`);

const SEQUENCES = 20;
const COMMANDS_EACH = 250;

describe.skipIf(!found && !required)(`a live redis-server ${REDIS_VERSION}`, { timeout: 120_000 }, () => {
  const seed = Number(process.env['KVORUM_SEED'] ?? Date.now() % 1_000_000_000);

  test('gives the dumps that are recorded', async () => {
    expect(found, `redis-server ${REDIS_VERSION} must be on the PATH`).toBe(true);
    await using server = await RedisServer.start();
    const link = await Link.to(server.path, 2);
    for (const { title, commands, dump } of recorded) {
      const replies = await link.send([['FLUSHALL'], ...commands, ['DUMP', 'k']]);
      expect(meaningOf(bulkOf(replies.at(-1)!)), title).toBe(meaningOf(dump));
    }
    link.close();
  });

  test(`takes our dumps of random values, and we its, seeds ${seed} to ${seed + SEQUENCES - 1} (KVORUM_SEED=${seed} repeats)`, async () => {
    expect(found, `redis-server ${REDIS_VERSION} must be on the PATH`).toBe(true);
    await using server = await RedisServer.start();
    const link = await Link.to(server.path, 2);
    const groups = [...(await loadGroups()).values()];
    let dumps = 0;
    for (let each = seed; each < seed + SEQUENCES; each++) {
      const source = new Source(each);
      const harness = new Harness();
      harness.now = Date.now();
      for (let left = COMMANDS_EACH; left > 0; left--) {
        const args = commandOf(source.pick(groups), source);
        const command = dataCommandOf(args);
        if (command === undefined || !hasArity(command, args) || command.group === 'scripting') continue;
        harness.run(...args);
      }
      for (const key of KEYS) {
        const ours = harness.run('DUMP', key);
        if (typeof ours !== 'string' || harness.run('TYPE', key) === 'MBbloom--') continue;
        const hasDeadlines = ours.charCodeAt(0) === KIND.hashDeadlines;
        if (hasDeadlines) continue;
        dumps++;
        const [restore, dump = ''] = await link.send([
          ['RESTORE', 'k', '0', ours, 'REPLACE'],
          ['DUMP', 'k'],
        ]);
        expect(restore, `seed ${each}, ${JSON.stringify(key)}`).toBe('+OK\r\n');
        const theirs = bulkOf(dump);
        expect(meaningOf(theirs), `seed ${each}, ${JSON.stringify(key)}`).toBe(meaningOf(ours));
        expect(harness.run('RESTORE', 'copy', '0', theirs, 'REPLACE')).toBe('OK');
        expect(meaningOf(dumpFrom(harness, 'copy'))).toBe(meaningOf(ours));
      }
    }
    expect(dumps).toBeGreaterThan(SEQUENCES);
    link.close();
  });
});
