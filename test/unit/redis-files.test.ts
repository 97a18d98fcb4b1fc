/**
 * Whole files of Redis, in and out again: what was loaded from one, exported and loaded once more has the same contents.
 * Recorded files everywhere; where there is a redis-server, it writes them in several ways and judges ours with its own
 * digest. Then damaged files, through the whole of it.
 */
import * as fc from 'fast-check';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { tmpdir } from 'node:os';
import { afterAll, describe, expect, test } from 'vitest';
import { StoreError } from '../../src/embedded/errors.ts';
import { settingsOf } from '../../src/embedded/options.ts';
import { Store } from '../../src/embedded/store.ts';
import { crc64 } from '../../src/store/rdb/crc64.ts';
import { Store as StateMachine } from '../../src/store/store.ts';
import { bulkOf, NEWER, SAMPLES } from '../differential/dumps.ts';
import { Link } from '../differential/link.ts';
import { meaningOf } from '../differential/meaning.ts';
import { REDIS_VERSION, RedisServer, redisServerFound } from '../differential/redis-server.ts';
import {
  commandsOfAllTypes,
  MANIFEST,
  readSaid,
  type Said,
  say,
  sendAll,
  SNAPSHOT,
  snapshotWith,
  UNPACKED,
  VARIANTS,
} from '../formats/snapshot.ts';

const folder = mkdtempSync(join(tmpdir(), 'kvorum-redis-files-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const fresh = (ending: string): string => join(folder, `${++files}.${ending}`);

function written(bytes: Uint8Array): string {
  const file = fresh('rdb');
  writeFileSync(file, bytes);
  return file;
}

/** A store in memory, and the hash of what it holds. */
class Opened implements AsyncDisposable {
  readonly #machine = new StateMachine();
  readonly store: Store = new Store(settingsOf({}), this.#machine, null);

  get digest(): string {
    return this.#machine.digest('contents');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
  }
}

async function loaded(file: string): Promise<Opened> {
  const opened = new Opened();
  await opened.store.load(file);
  return opened;
}

/** Its file, after it is known that another store with what is in it is the same. */
async function exported(original: Opened, format: 'rdb' | 'resp'): Promise<string> {
  const file = fresh(format);
  const { entries } = await original.store.export(file, format);
  await using copy = await loaded(file);
  expect([copy.store.size, copy.digest]).toEqual([entries, original.digest]);
  return file;
}

/** Whether a store holds what a server said of its keys. */
function expectSaid({ store }: Opened, said: readonly Said[]): void {
  expect(store.size).toBe(said.length);
  for (const { key, dump, expiresAt } of said) {
    const bytes = Buffer.from(key, 'latin1');
    const ours = store.execute(['DUMP', bytes], { buffers: true });
    expect(meaningOf(Buffer.isBuffer(ours) ? ours.toString('latin1') : ''), key).toBe(meaningOf(dump));
    expect(store.execute(['PEXPIRETIME', bytes]), key).toBe(expiresAt ?? -1);
  }
  expect(store.execute(['FCALL', 'greet', '0'])).toBe('hello');
}

const OLD = SAMPLES.filter(({ differs }) => differs === 'old').map(({ title, commands }) => ({
  title,
  dump: commands[0]![3]!,
}));

// Their fields of 7.4 expired long ago.
const NEWER_72 = NEWER.filter(({ title }) => title.includes('7.2'));

test.each([
  ['with every type', SNAPSHOT, readSaid().length],
  ['with every type, nothing packed and no checksum', UNPACKED, readSaid().length],
  ['at the base of an append-only file', join(dirname(MANIFEST), 'appendonly.aof.1.base.rdb'), 2],
  ['as Redis 6 and before wrote them, in ziplists', written(snapshotWith(9, OLD)), OLD.length],
  ['of Redis 7.2', written(snapshotWith(11, NEWER_72)), NEWER_72.length],
])('a snapshot %s has the same contents after an export', async (_what, file, keys) => {
  await using original = await loaded(file);
  expect(original.store.size).toBe(keys);
  for (const format of ['rdb', 'resp'] as const) await exported(original, format);
});

test('what is loaded is what redis-server said of its keys, and so is what becomes of it', async () => {
  await using original = await loaded(SNAPSHOT);
  expectSaid(original, readSaid());
  await using copy = await loaded(await exported(original, 'rdb'));
  expectSaid(copy, readSaid());
});

test('a store of our own has the same contents after an export: fields with deadlines, strings written in place', async () => {
  await using original = new Opened();
  original.store.execute(['HSET', 'hash', 'f', 'v', 'g', 'w']);
  original.store.execute(['HPEXPIREAT', 'hash', 4_102_444_800_000, 'FIELDS', 1, 'f']);
  original.store.execute(['SETBIT', 'bits', 100_000, 1]);
  original.store.execute(['PFADD', 'counted', 'a', 'b']);
  for (const format of ['rdb', 'resp'] as const) await exported(original, format);
});

// --- Live --------------------------------------------------------------------------------------------------------

const required = process.env['KVORUM_REQUIRE_REDIS'] === '1';
const found = redisServerFound();
if (!found && !required)
  console.warn(`SKIPPED: files from and for a live redis-server ${REDIS_VERSION}: there is none on the PATH`);

/** Values that are too large for fixtures; the list is one that is loaded in pieces. */
function largeOnes(): (readonly string[])[] {
  const text = randomText(1_000_000);
  const fields = Array.from({ length: 10_000 }, (_, at) => [`field ${at}`, String(at)]);
  return [
    ['SET', 'large: compressed', 'abcdefg'.repeat(300_000)],
    ['SET', 'large: what hardly can be', text],
    ['HSET', 'large: hash', ...fields.flat()],
    ...Array.from({ length: 12 }, (_, at) => ['RPUSH', 'large: list', `${at}${text}`]),
  ];
}

/** Characters from the generator of Park and Miller. */
function randomText(length: number): string {
  const bytes = Buffer.alloc(length);
  for (let at = 0, state = 20; at < length; at++) {
    state = (state * 48_271) % 0x7fff_ffff;
    bytes[at] = state;
  }
  return bytes.toString('latin1');
}

describe.skipIf(!found && !required)(`a live redis-server ${REDIS_VERSION}`, { timeout: 120_000 }, () => {
  test.each(Object.entries(VARIANTS))(
    '%s: it writes a file, and has the same digest with what becomes of it here',
    async (_variant, options) => {
      expect(found, `redis-server ${REDIS_VERSION} must be on the PATH`).toBe(true);
      const debugging = [...options, '--enable-debug-command', 'yes'];
      await using theirs = await RedisServer.start(debugging);
      const link = await Link.to(theirs.path, 2);
      await sendAll(link, [...commandsOfAllTypes(), ['SAVE']]);
      const said = await say(link);
      await using small = await loaded(theirs.snapshot);
      expectSaid(small, said);
      await sendAll(link, [...largeOnes(), ['SAVE']]);
      const [digest] = await sendAll(link, [['DEBUG', 'DIGEST']]);
      link.close();

      await using original = await loaded(theirs.snapshot);
      expect(original.store.size).toBe(said.length + 4);
      await using ours = await RedisServer.start(debugging, await exported(original, 'rdb'));
      const judge = await Link.to(ours.path, 2);
      expect(await sendAll(judge, [['DEBUG', 'DIGEST']])).toEqual([digest]);
      // Its digest leaves out groups of streams, when keys expire, and functions.
      const again = await say(judge);
      expect(again.map(({ dump, ...others }) => ({ ...others, dump: meaningOf(dump) }))).toEqual(
        said.map(({ dump, ...others }) => ({ ...others, dump: meaningOf(dump) })),
      );
      const [answer = ''] = await sendAll(judge, [['FCALL', 'greet', '0']]);
      expect(bulkOf(answer)).toBe('hello');
      judge.close();
    },
  );
});

// --- Damage ------------------------------------------------------------------------------------------------------

const edit = fc.record({
  kind: fc.constantFrom('set' as const, 'bit' as const, 'remove' as const, 'copy' as const, 'cut' as const),
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  byte: fc.nat(255),
  count: fc.nat(20),
});

/** As the accident would leave it, and with the checksum made right, so that what is inside is looked at. */
function edited(
  bytes: Buffer,
  edits: readonly (typeof edit extends fc.Arbitrary<infer Edit> ? Edit : never)[],
): Buffer {
  let body = bytes.subarray(0, -8);
  for (const { kind, at, byte, count } of edits) {
    const place = Math.floor(at * body.length);
    const [before, behind] = [body.subarray(0, place), body.subarray(place)];
    if (kind === 'set') body = Buffer.concat([before, Buffer.of(byte), behind.subarray(1)]);
    if (kind === 'bit')
      body = Buffer.concat([before, Buffer.of((behind[0] ?? 0) ^ (1 << (byte % 8))), behind.subarray(1)]);
    if (kind === 'remove') body = Buffer.concat([before, behind.subarray(count)]);
    if (kind === 'copy') body = Buffer.concat([before, behind.subarray(0, count), behind]);
    if (kind === 'cut' && byte < 40) body = Buffer.from(before);
  }
  return Buffer.concat([body, crc64(body)]);
}

describe('damaged snapshots', () => {
  const small = readSaid()
    .filter(({ dump }) => dump.length < 400)
    .map(({ key, dump }) => ({ title: key, dump }));
  const bases = [
    ...small.map((one) => snapshotWith(10, [one])),
    ...OLD.map((one) => snapshotWith(9, [one])),
    ...NEWER_72.map((one) => snapshotWith(11, [one])),
    snapshotWith(10, small),
    readFileSync(join(dirname(MANIFEST), 'appendonly.aof.1.base.rdb')),
  ];

  test('are refused with the place and nothing loaded, or are files like any other', {
    timeout: 120_000,
  }, async () => {
    let [refused, taken] = [0, 0];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...bases),
        fc.array(edit, { minLength: 1, maxLength: 2 }),
        async (base, edits) => {
          const bytes = edited(base, edits);
          const file = written(bytes);
          await using opened = new Opened();
          try {
            await opened.store.load(file);
          } catch (error) {
            if (!(error instanceof StoreError)) throw error;
            refused++;
            // A library whose code is damaged is refused when it is its turn.
            if (error.code === 'COMMAND') return;
            expect(['DAMAGED', 'INVALID_ARGUMENT']).toContain(error.code);
            expect(error.message).toContain(file);
            const place = /at byte (\d+)/.exec(error.message)?.[1];
            if (error.code === 'DAMAGED') expect(Number(place)).toBeLessThanOrEqual(bytes.length);
            expect(opened.store.size).toBe(0);
            return;
          }
          taken++;
          await exported(opened, 'rdb');
        },
      ),
      { numRuns: 800 },
    );
    // Neither may be all there is: then nothing would be tested.
    expect(refused).toBeGreaterThan(40);
    expect(taken).toBeGreaterThan(40);
  });
});
