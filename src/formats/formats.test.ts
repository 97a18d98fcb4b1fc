/** Golden files, made by Go and by Redis; what is wrong with damaged ones; and that no damage does more than end in an error. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  array,
  assert,
  asyncProperty,
  constant,
  constantFrom,
  double,
  nat,
  oneof,
  record,
  uint8Array,
} from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NEWER, SAMPLES } from '../../test/differential/dumps.ts';
import { LIBRARY, MANIFEST, readSaid, SNAPSHOT } from '../../test/formats/snapshot.ts';
import { crc64 } from '../store/rdb/crc64.ts';
import { Harness } from '../store/testing/harness.ts';
import { commandsOf } from './commands.ts';
import { type Entry, type Format, FORMATS, type ReadCommand, recognise, Unrepresentable } from './format.ts';
import { encoderOf, readFormat } from './formats.ts';
import { DamagedFile, Input } from './input.ts';
import { encodeCommand, isManifest, manifestFiles } from './resp.ts';

const GOLDEN = join(import.meta.dirname, '../../test/fixtures/formats');
const NOW = Date.UTC(2024, 0, 15, 10, 30, 0, 250);

const golden = (name: string): Buffer => readFileSync(join(GOLDEN, name));
const latin1 = (text: string): string => Buffer.from(text).toString('latin1');

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield Buffer.from(bytes.subarray(at, at + size));
}

interface Read {
  readonly commands: ReadCommand[];
  readonly leftOut: string[];
}

async function read(format: Format, bytes: Uint8Array, size = 65_536, check = true): Promise<Read> {
  const leftOut: string[] = [];
  const commands: ReadCommand[] = [];
  const reading = { check, leaveOut: (what: string): void => void leftOut.push(what) };
  for await (const command of readFormat(format, new Input('a file', chunksOf(bytes, size)), reading))
    commands.push(command);
  return { commands, leftOut };
}

async function argsIn(format: Format, bytes: Uint8Array, size?: number): Promise<readonly string[][]> {
  const { commands, leftOut } = await read(format, bytes, size);
  expect(leftOut).toEqual([]);
  return commands.map(({ args }) => [...args]);
}

async function damageIn(format: Format, bytes: Uint8Array): Promise<DamagedFile> {
  const error: unknown = await read(format, bytes).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(DamagedFile);
  return error as DamagedFile;
}

function encode(format: Format, entries: readonly Entry[], now: number = NOW): Buffer {
  const encoder = encoderOf(format, now);
  const body = entries.map((entry) => encoder.entry(entry));
  const { tail, head } = encoder.end();
  if (head !== null) expect(head.length).toBe(encoder.head.length);
  return Buffer.concat([head ?? encoder.head, ...body, tail]);
}

function strings(data: Readonly<Record<string, string>>): Entry[] {
  return Object.entries(data).map(([key, value]) => ({ kind: 'string', key, value, expiresAt: null }));
}

// As in make.go, in Go's order.
const TEXT: Readonly<Record<string, string>> = {
  '': '',
  counter: '42',
  escaped: latin1('" \\ / < > & \n \r \t \b \f \x01 \x7f \u2028 \u2029'),
  [latin1('grüße')]: latin1('日本 😀'),
  'user:1': 'Alice',
  'user:2': 'Bob',
};
const RAW: Readonly<Record<string, string>> = {
  '': '',
  'bytes \x00\xff\xc3': '\x00\r\n\xfe\xff',
  counter: '42',
  'user:1': 'Alice',
};
const sets = (data: Readonly<Record<string, string>>): string[][] =>
  Object.entries(data).map(([key, value]) => ['SET', key, value]);

/** The same numbers, their lowest byte first. */
function littleEndianBinary(): Buffer {
  const u32 = (number: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(number);
    return bytes;
  };
  const text = (of: string): Buffer => Buffer.concat([u32(of.length), Buffer.from(of, 'latin1')]);
  const head = [u32(0x004b_56db), u32(1), Buffer.alloc(8), u32(Object.keys(RAW).length)];
  return Buffer.concat([...head, ...Object.entries(RAW).flatMap(([key, value]) => [text(key), text(value)])]);
}

describe('the seeds’ formats, byte for byte as Go writes them', () => {
  test.each(['binary', 'kvsp', 'kvlg'] as const)('%s', async (format) => {
    expect(encode(format, strings(RAW))).toEqual(golden(`seed.${format}`));
    for (const size of [1, 7, 65_536])
      expect(await argsIn(format, golden(`seed.${format}`), size)).toEqual(sets(RAW));
  });

  test('the first bytes, as the seeds have them', () => {
    expect(golden('seed.binary').toString('hex', 0, 8)).toBe('004b56db00000001');
    expect(golden('seed.kvsp').toString('latin1', 0, 4)).toBe('KVSP');
    expect(golden('seed.kvlg').toString('hex', 0, 13)).toBe('4b564c470117aa7e9802304280');
  });

  test('binary with the lowest byte first is read', async () => {
    expect(await argsIn('binary', littleEndianBinary())).toEqual(sets(RAW));
  });

  test('a log that deletes', async () => {
    expect(await argsIn('kvlg', golden('deleted.kvlg'))).toEqual([...sets(RAW), ['DEL', 'user:1']]);
  });

  test('json', async () => {
    expect(encode('json', strings(TEXT)).toString()).toBe(golden('seed.json').toString());
    expect(encode('json', [])).toEqual(golden('empty.json'));
    expect(encode('json', strings({ 'user:1': 'Alice' }), NOW - 250)).toEqual(golden('whole-second.json'));
    for (const size of [1, 7, 65_536])
      expect(await argsIn('json', golden('seed.json'), size)).toEqual(sets(TEXT));
    expect(await argsIn('json', golden('empty.json'))).toEqual([]);
  });

  test('json: the seed’s own example, other orders, escapes, numbers', async () => {
    const example = `{ "version": 1, "timestamp": "2024-01-15T10:30:00Z",
      "data": { "user:1": "Alice", "user:2": "Bob", "counter": "42" } }\n`;
    expect(await argsIn('json', Buffer.from(example))).toEqual([
      ['SET', 'user:1', 'Alice'],
      ['SET', 'user:2', 'Bob'],
      ['SET', 'counter', '42'],
    ]);
    const other = '\ufeff{"data":{"\\ud83d\\ude00\\/\\u0041":-1.5e3},"version":1}';
    for (const size of [1, 100])
      expect(await argsIn('json', Buffer.from(other), size)).toEqual([['SET', latin1('😀/A'), '-1.5e3']]);
  });
});

test.each<[Format, Buffer]>([
  ['json', golden('seed.json')],
  ['binary', golden('seed.binary')],
  ['binary', littleEndianBinary()],
  ['kvsp', golden('seed.kvsp')],
  ['kvlg', golden('seed.kvlg')],
  ['rdb', readFileSync(SNAPSHOT)],
  ['resp', readFileSync(MANIFEST)],
  ['resp', Buffer.from('*1\r\n')],
  ['resp', Buffer.from('SET a 1\n')],
])('a file of the format %s is recognised by its first bytes', (format, bytes) => {
  expect(recognise(bytes)).toBe(format);
});

test('what begins like no format is not taken for one', () => {
  for (const bytes of ['', '\x00\x01', '[1]', '\x1f\x8b', '<xml>'])
    expect(recognise(Buffer.from(bytes, 'latin1'))).toBe(null);
});

// --- Redis's files -----------------------------------------------------------------------------------------------

describe('rdb', () => {
  test('what redis-server saved becomes RESTORE with what its DUMP says, and the library', async () => {
    for (const size of [1000, 65_536]) {
      const commands = await argsIn('rdb', readFileSync(SNAPSHOT), size);
      expect(commands[0]).toEqual(['FUNCTION', 'LOAD', 'REPLACE', LIBRARY]);
      const keys = new Map(commands.slice(1).map((args) => [args[1], args]));
      const said = readSaid();
      expect(said.length).toBeGreaterThan(60);
      expect(keys.size).toBe(said.length);
      for (const { key, dump, expiresAt } of said) {
        const args = keys.get(key) ?? [];
        expect(args.slice(0, 7), key).toEqual([
          'RESTORE',
          key,
          String(expiresAt ?? 0),
          dump,
          'REPLACE',
          'ABSTTL',
          'FREQ',
        ]);
      }
    }
  });

  /** A snapshot of these parts, with its checksum. */
  function snapshot(version: number, ...parts: string[]): Buffer {
    const body = Buffer.from(`REDIS${String(version).padStart(4, '0')}${parts.join('')}\xff`, 'latin1');
    return version < 5 ? body : Buffer.concat([body, crc64(body)]);
  }
  const valueIn = (dump: string): string => dump.slice(1, -10);

  test.each(NEWER.map(({ title, dump }) => [title, dump] as const))('%s', async (_title, dump) => {
    const version = dump.charCodeAt(dump.length - 10);
    const bytes = snapshot(version, `${dump[0]}\x01k${valueIn(dump)}`);
    expect(await argsIn('rdb', bytes, 1)).toEqual([['RESTORE', 'k', '0', dump, 'REPLACE', 'ABSTTL']]);
  });

  test('databases, deadlines in seconds, idle times, hints and notes of the server', async () => {
    const string = '\x00\x01k\x01v';
    const { commands } = await read(
      'rdb',
      snapshot(
        11,
        '\xfa\x09redis-ver\x057.2.0',
        '\xfe\x00\xfb\x01\x00\xf4\x01\x01\x00',
        `\xfd\x01\x00\x00\x00\xf8\x05${string}`,
        `\xfe\x03${string}`,
      ),
    );
    expect(commands.map(({ args, database }) => [database, args[2], args.slice(4)])).toEqual([
      [0, '1000', ['REPLACE', 'ABSTTL', 'IDLETIME', '5']],
      [3, '0', ['REPLACE', 'ABSTTL']],
    ]);
  });

  test('a hash of Redis 2.4 becomes commands, and needs no checksum', async () => {
    const zipmap = '\x02\x01a\x01\x00b\x01c\x02\x01dd.\xff';
    expect(
      await argsIn('rdb', snapshot(2, `\x09\x01k${String.fromCharCode(zipmap.length)}${zipmap}`)),
    ).toEqual([
      ['DEL', 'k'],
      ['HSET', 'k', 'a', 'b', 'c', 'dd'],
    ]);
  });

  test('what belongs to other modules is named and left out', async () => {
    const type = Buffer.alloc(9, 0x81);
    let id = 0n;
    for (const character of 'graphdata')
      id =
        (id << 6n) |
        BigInt('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.indexOf(character));
    type.writeBigUInt64BE((id << 10n) | 7n, 1);
    const module = `${type.toString('latin1')}\x02\x05\x03\x00\x00\x00\x00\x04${'\0'.repeat(8)}\x05\x02xx\x00`;
    const bytes = snapshot(10, `\xf7${module}`, `\x07\x01k${module}`, '\x00\x01a\x01b');
    for (const check of [true, false]) {
      const { commands, leftOut } = await read('rdb', bytes, 3, check);
      expect(commands.map(({ args }) => args[1])).toEqual(['a']);
      expect(leftOut).toEqual([
        'data of the module graphdata that belong to no key',
        '"k", which belongs to the module graphdata',
      ]);
    }
  });

  test('a large value is rebuilt piece by piece', async () => {
    const store = new Harness();
    // Hardly to be compressed.
    const members = Array.from({ length: 10_000 }, (_, at) =>
      createHash('shake256', { outputLength: 1000 }).update(String(at)).digest().toString('latin1'),
    );
    store.run('RPUSH', 'k', ...members);
    const dump = String(store.run('DUMP', 'k'));
    const commands = await argsIn('rdb', encode('rdb', [{ kind: 'dump', key: 'k', dump, expiresAt: 5e12 }]));
    expect(commands.length).toBeGreaterThan(150);
    expect(commands[0]).toEqual(['DEL', 'k']);
    expect(commands.at(-1)).toEqual(['PEXPIREAT', 'k', '5000000000000']);
    expect(commands.slice(1, -1).flatMap((args) => args.slice(2))).toEqual(members);
  });

  test('what is written is read as it was', async () => {
    const entries = readSaid().map((said): Entry => ({ kind: 'dump', ...said }));
    const written = encode('rdb', [{ kind: 'library', code: LIBRARY }, ...entries]);
    const commands = await argsIn('rdb', written);
    expect(commands).toEqual([
      ['FUNCTION', 'LOAD', 'REPLACE', LIBRARY],
      ...readSaid().map(({ key, dump, expiresAt }) => [
        'RESTORE',
        key,
        String(expiresAt ?? 0),
        dump,
        'REPLACE',
        'ABSTTL',
      ]),
    ]);
  });
});

describe('resp', () => {
  test('an append-only file of redis-server, its manifest first', async () => {
    const manifest = readFileSync(MANIFEST);
    expect(isManifest(manifest)).toBe(true);
    const files = manifestFiles(manifest.toString('latin1')) ?? [];
    expect(files).toEqual(['appendonly.aof.1.base.rdb', 'appendonly.aof.1.incr.aof']);
    const [base, increments] = files.map((name) => readFileSync(join(dirname(MANIFEST), name)));
    expect((await argsIn('resp', base!)).map(([name, key]) => `${name} ${key}`).toSorted()).toEqual([
      'FUNCTION LOAD',
      'RESTORE in the base',
      'RESTORE list',
    ]);
    const wanted = [
      ['SET', 'a\r\nb', '\x00\xff'],
      ['SET', 'number', '1.5', 'KEEPTTL'],
      ['SET', 'with a deadline', 'x', 'PXAT', '4102444800000'],
      ['LPOP', 'list'],
      ['XADD', 'stream', '5-1', 'f', 'v'],
      ['DEL', 'in the base'],
    ];
    expect(await argsIn('resp', increments!)).toEqual(wanted);
    // Before Redis 7 both are one file.
    const one = Buffer.concat([base!, increments!]);
    for (const size of [1, 1000]) expect((await argsIn('resp', one, size)).slice(3)).toEqual(wanted);
  });

  test('inline commands, quotes, notes, empty lines, databases, a last line without an end', async () => {
    const bytes = Buffer.from(
      '#TS:1700000000\r\nset a 1\r\n\n"SET" b "x\\r\\n\\xff"\nselect 2\n*0\r\nGET \'a b\'',
      'latin1',
    );
    for (const size of [1, 1000]) {
      const { commands } = await read('resp', bytes, size);
      expect(commands.map(({ args, database }) => [database, ...args])).toEqual([
        [0, 'set', 'a', '1'],
        [0, 'SET', 'b', 'x\r\n\xff'],
        [2, 'GET', 'a b'],
      ]);
    }
  });

  test.each([
    ['SET a 1\nMULTI\nSET b 2\n', 'the end of the file, in the transaction that begins at byte 8', 8],
    ['SET a 1\n*2\r\n$3\r\nDE', 'the end of the file, inside what begins at byte 8', 8],
    ['SUBSCRIBE a\n', 'SUBSCRIBE at byte 0', null],
    ['*1\r\n$3\r\nGETxx', '78 78 ("xx")', null],
    ['\x00\x01', '00 01 ("..")', null],
    ['SET "a\n', '53 45 54 20 22 61 0a ("SET \\"a.")', null],
  ])('%j is damaged', async (text, found, wholeTo) => {
    const damage = await damageIn('resp', Buffer.from(text));
    expect(damage.found).toBe(found);
    expect(damage.wholeTo).toBe(wholeTo);
  });

  test('commands rebuild every value of every kind', async () => {
    for (const { title, commands } of SAMPLES) {
      const [store, copy] = [new Harness(), new Harness()];
      for (const args of commands) store.run(...args);
      const dump = String(store.run('DUMP', 'k'));
      const bytes = encode('resp', [{ kind: 'dump', key: 'k', dump, expiresAt: null }]);
      copy.run('SET', 'k', 'something else');
      for (const args of await argsIn('resp', bytes)) {
        const reply = copy.run(...args);
        expect(reply, title).not.toBeInstanceOf(Error);
      }
      expect(copy.run('DUMP', 'k'), title).toBe(dump);
    }
  });

  test('fields keep their deadlines, keys theirs', () => {
    const store = new Harness();
    store.run('HSET', 'k', 'f', 'v', 'g', 'w');
    store.run('HPEXPIREAT', 'k', '4102444800000', 'FIELDS', '1', 'g');
    expect([...commandsOf('k', String(store.run('DUMP', 'k')), 7)].slice(-2)).toEqual([
      ['HPEXPIREAT', 'k', '4102444800000', 'FIELDS', '1', 'g'],
      ['PEXPIREAT', 'k', '7'],
    ]);
  });
});

// --- What can't be written, what can't be read -----------------------------------------------------------------------

test.each(['json', 'binary', 'kvsp', 'kvlg'] as const)('%s refuses what it has no words for', (format) => {
  const refused = (entry: Entry): string => {
    try {
      encoderOf(format, NOW).entry(entry);
    } catch (error) {
      if (error instanceof Unrepresentable) return error.message;
    }
    throw new Error('was written');
  };
  const list = readSaid().find(({ key }) => key === 'a list of 1')!;
  expect(refused({ kind: 'dump', ...list })).toBe('"a list of 1", which is a list');
  expect(refused({ kind: 'string', key: 'a', value: '', expiresAt: 5 })).toBe('"a", which expires');
  expect(refused({ kind: 'library', code: '' })).toBe('a library of functions');
  if (format === 'json')
    expect(refused({ kind: 'string', key: 'a', value: '\xff', expiresAt: null })).toBe(
      '"a", which has bytes that are no UTF-8',
    );
});

test.each<[Format, string | Buffer, number, string, string]>([
  ['kvsp', 'KVSX', 0, 'the magic number KVSP', '4b 56 53 58 ("KVSX")'],
  [
    'kvsp',
    golden('seed.kvsp').subarray(0, 30),
    30,
    'a key',
    'the end of the file, inside what begins at byte 24',
  ],
  ['kvsp', golden('seed.kvsp').subarray(0, 24), 24, 'entry 2 of 4', 'the end of the file'],
  [
    'kvsp',
    Buffer.concat([golden('seed.kvsp'), Buffer.of(0)]),
    82,
    'the end of the file after 4 entries',
    'more bytes',
  ],
  [
    'binary',
    golden('seed.kvsp'),
    0,
    'the magic number 00 4b 56 db or db 56 4b 00',
    '4b 56 53 50 17 aa 7e 98 02 30 42 80 00 00 00 04 ("KVSP..~..0B.....")',
  ],
  ['binary', '\x00KV\xdb\x00\x00\x00\x02', 4, 'version 1', 'version 2'],
  ['kvlg', 'KVLG\x03', 4, 'the operation 01 (set) or 02 (delete)', '03 (".")'],
  [
    'kvlg',
    `KVLG\x01${'\0'.repeat(8)}\xff\xff\xff\xff`,
    13,
    'a key of at most 536870888 bytes',
    'a length of 4294967295',
  ],
  [
    'kvlg',
    `KVLG\x02${'\0'.repeat(8)}\0\0\0\x01a\0\0\0\x01b`,
    18,
    'no value for a deleted key',
    'one of 1 bytes',
  ],
  ['json', '{"version": 2}', 12, 'version 1', '32 7d ("2}")'],
  ['json', '{"version": 1}', 14, 'a member "data" before the end', 'none'],
  [
    'json',
    '{"version": 1, "data": {"a": null}}',
    29,
    'a value, which is a string or a number',
    '6e 75 6c 6c 7d 7d ("null}}")',
  ],
  [
    'json',
    '{"version": 1, "data": {"a": "\\ud800"}}',
    29,
    'a value with escapes that JSON knows, of whole characters',
    '22 5c 75 64 38 30 30 22 7d 7d ("\\"\\\\ud800\\"}}")',
  ],
  [
    'json',
    '{"version": 1, "data": {"a": "b"',
    32,
    'more',
    'the end of the file, inside what begins at byte 32',
  ],
  ['json', '{"version": 1, "data": {}} x', 27, 'the end of the file', '78 ("x")'],
  ['rdb', 'REDIS0013', 5, 'a version from 0001 to 0012', '"0013"'],
  ['rdb', 'REDIS0011\x08', 9, 'a key, or what is known to stand between keys', ''],
])('%s: %j', async (format, bytes, offset, expected, found) => {
  const damage = await damageIn(format, Buffer.from(bytes as string, 'latin1'));
  if (found === '') return;
  expect([damage.offset, damage.expected, damage.found]).toEqual([offset, expected, found]);
  expect(damage.message).toBe(`a file is damaged at byte ${offset}: expected ${expected}, found ${found}`);
});

test('one byte of a snapshot that is another one is found, wherever it is', async () => {
  const bytes = encode(
    'rdb',
    readSaid()
      .filter(({ dump }) => dump.length < 60)
      .slice(0, 10)
      .map((said) => ({ kind: 'dump', ...said })),
  );
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 0x01;
    await damageIn('rdb', damaged);
  }
});

test('a length that promises more than there is asks for no memory', async () => {
  const before = process.memoryUsage().arrayBuffers;
  for (const bytes of [
    `KVLG\x01${'\0'.repeat(8)}\x1f\xff\xff\xff`,
    'REDIS0010\x00\x80\x1f\xff\xff\xff',
    '*2\r\n$3\r\nGET\r\n$536870000\r\n',
  ])
    await damageIn(recognise(Buffer.from(bytes, 'latin1'))!, Buffer.from(bytes, 'latin1'));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50 * 1024 * 1024);
});

test('a record that never ends is given up', async () => {
  let given = 0;
  async function* endless(): AsyncGenerator<Buffer> {
    // A set of four billion members.
    yield Buffer.from('REDIS0010\x02\x01k\x80\xff\xff\xff\xff', 'latin1');
    for (; ; given++) yield Buffer.from('\x01a'.repeat(10_000));
  }
  const reading = { check: true, leaveOut: (): void => {} };
  const reader = readFormat('rdb', new Input('a file', endless(), 1_000_000), reading);
  await expect(reader.next()).rejects.toThrow(
    'expected at most 1000000 bytes until the length of an element',
  );
  expect(given).toBeLessThan(60);
});

describe('fuzz', () => {
  const files: Record<Format, Buffer[]> = {
    json: [golden('seed.json')],
    binary: [golden('seed.binary'), littleEndianBinary()],
    kvsp: [golden('seed.kvsp')],
    kvlg: [golden('deleted.kvlg')],
    rdb: [encode('rdb', SAMPLES.length > 0 ? smallOnes() : [])],
    resp: [encode('resp', smallOnes()), Buffer.from('SET a 1\nMULTI\n"SET" b "x\\xff"\nEXEC\n')],
  };

  function smallOnes(): Entry[] {
    return readSaid()
      .filter(({ dump }) => dump.length < 400)
      .map((said) => ({ kind: 'dump', ...said }));
  }

  const mutation = oneof(
    record({ kind: constant('flip'), at: double({ min: 0, max: 1, noNaN: true }), to: nat(255) }),
    record({ kind: constant('cut'), at: double({ min: 0, max: 1, noNaN: true }), to: nat(255) }),
    record({
      kind: constant('repeat'),
      at: double({ min: 0, max: 1, noNaN: true }),
      to: nat(255),
    }),
  );

  test.each(FORMATS)('%s: whatever is changed, it is read or refused', async (format) => {
    await assert(
      asyncProperty(
        constantFrom(...files[format]),
        array(mutation, { minLength: 1, maxLength: 6 }),
        constantFrom(3, 100, 65_536),
        async (file, mutations, size) => {
          let bytes: Buffer = Buffer.from(file);
          for (const { kind, at, to } of mutations) {
            const place = Math.floor(at * bytes.length);
            if (kind === 'flip') {
              if (place < bytes.length) bytes[place] = to;
            } else if (kind === 'cut') {
              bytes = Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + to)]);
            } else {
              bytes = Buffer.concat([bytes.subarray(0, place + to), bytes.subarray(place)]);
            }
          }
          try {
            const { commands } = await read(format, bytes, size);
            for (const { args } of commands) expect(args.length).toBeGreaterThan(0);
          } catch (error) {
            if (!(error instanceof DamagedFile)) throw error;
            expect(error.offset).toBeLessThanOrEqual(bytes.length);
          }
        },
      ),
      { numRuns: 1500 },
    );
  });

  test.each(FORMATS)('%s: cut off anywhere, it is refused, or a log that ends there', async (format) => {
    for (const file of files[format]) {
      const whole = (await read(format, file)).commands.map(({ args }) => args);
      for (let size = 0; size < file.length; size += Math.ceil(file.length / 500)) {
        const cut = file.subarray(0, size);
        const outcome = await read(format, cut, 1000).catch((error: unknown) => error);
        if (outcome instanceof DamagedFile) expect(outcome.offset).toBeLessThanOrEqual(size);
        else {
          expect(['kvlg', 'resp']).toContain(format);
          const commands = (outcome as Read).commands.map(({ args }) => args);
          // The last line of a person's commands needs no end: what is there of it counts.
          const open = cut.at(-1) === 0x0a || format === 'kvlg' ? 0 : 1;
          const complete = Math.max(0, commands.length - open);
          expect(commands.slice(0, complete)).toEqual(whole.slice(0, complete));
        }
      }
    }
  });

  test.each(FORMATS)('%s: any bytes behind its beginning', async (format) => {
    const start = files[format][0]!.subarray(0, 9);
    await assert(
      asyncProperty(uint8Array({ maxLength: 200 }), async (rest) => {
        try {
          await read(format, Buffer.concat([start, rest]), 50);
        } catch (error) {
          if (!(error instanceof DamagedFile)) throw error;
        }
      }),
      { numRuns: 1000 },
    );
  });
});

test('a command as RESP', () => {
  expect(encodeCommand(['SET', 'a', '\xff']).toString('latin1')).toBe(
    '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n\xff\r\n',
  );
});
