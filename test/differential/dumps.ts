/**
 * Values of all kinds, and what Redis's DUMP gave of them: for tests of our DUMP and RESTORE on machines without Redis. One
 * value per line of the fixture.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ByteWriter } from '../../src/store/bytes.ts';
import { crc64 } from '../../src/store/rdb/crc64.ts';
import type { Link } from './link.ts';
import { REDIS_VERSION } from './redis-server.ts';

/** A value under the key `k`, and how it comes about. */
export interface Sample {
  readonly title: string;
  readonly commands: readonly (readonly string[])[];
  /**
   * Where our dump is another one: `order` of members in a hash table, `digits` of scores, `deleted` entries of streams that
   * Redis keeps, `times` of the moment, `old` formats that only come in.
   */
  readonly differs?: 'order' | 'digits' | 'deleted' | 'times' | 'old';
}

/** With bytes as latin1 characters. */
export interface RecordedDump extends Sample {
  readonly dump: string;
}

const FILE = join(import.meta.dirname, `../fixtures/redis-${REDIS_VERSION}/dumps.jsonl`);

export function readDumps(): RecordedDump[] {
  const lines = readFileSync(FILE, 'utf8').trimEnd().split('\n');
  const dumps = new Map(lines.map((line) => JSON.parse(line) as [title: string, dump: string]));
  return SAMPLES.map((sample) => {
    const dump = dumps.get(sample.title);
    if (dump === undefined)
      throw new Error(`${sample.title} is not recorded: run test/differential/record.ts`);
    return { ...sample, dump };
  });
}

export async function recordDumps(redis: Link): Promise<void> {
  const lines: string[] = [];
  for (const { title, commands } of SAMPLES) {
    const replies = await redis.send([['FLUSHALL'], ...commands, ['DUMP', 'k']]);
    const failed = replies.find((reply) => reply.startsWith('-'));
    if (failed !== undefined) throw new Error(`${title}: ${failed}`);
    lines.push(`${JSON.stringify([title, bulkOf(replies.at(-1) ?? '')])}\n`);
  }
  writeFileSync(FILE, lines.join(''));
}

/** What a bulk string says. */
export function bulkOf(reply: string): string {
  return reply.slice(reply.indexOf('\r\n') + 2, -2);
}

/** Puts a version and a checksum behind a kind and a value. */
export function sealed(bytes: string, version = 10): string {
  const body = Buffer.from(`${bytes}${String.fromCharCode(version)}\0`, 'latin1');
  return body.toString('latin1') + crc64(body).toString('latin1');
}

// --- Formats of old servers --------------------------------------------------------------------------------------

/** A string with its length in 32 bits. */
function long(text: string): string {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return `\x80${length.toString('latin1')}${text}`;
}

function short(text: string): string {
  return String.fromCharCode(text.length) + text;
}

type Element = string | { readonly raw: string };

/** A ziplist, as up to Redis 6: strings, or elements with their encoding. */
function ziplist(...elements: Element[]): string {
  const writer = new ByteWriter(64);
  writer.bytes(Buffer.alloc(10));
  let [before, last] = [0, 10];
  for (const element of elements) {
    last = writer.length;
    if (before < 254) writer.byte(before);
    else {
      writer.byte(254);
      for (const shift of [0, 8, 16, 24]) writer.byte((before >>> shift) & 0xff);
    }
    if (typeof element === 'string') {
      if (element.length < 64) writer.byte(element.length);
      else {
        writer.byte(0x40 | (element.length >> 8));
        writer.byte(element.length & 0xff);
      }
      writer.characters(element);
    } else writer.characters(element.raw);
    before = writer.length - last;
  }
  writer.byte(0xff);
  const bytes = writer.view();
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt32LE(last, 4);
  bytes.writeUInt16LE(elements.length, 8);
  return bytes.toString('latin1');
}

/** -1, 4, 12, -20, 1000, 70000, -9000000000000000000 and a long string. */
const ZIPLIST = ziplist(
  { raw: '\xfe\xff' },
  { raw: '\xf5' },
  { raw: '\xfd' },
  { raw: '\xfe\xec' },
  { raw: '\xc0\xe8\x03' },
  { raw: '\xf0\x70\x11\x01' },
  { raw: '\xe0\x00\x00\x7b\xc9\x12\xc7\x19\x83' },
  { raw: '\xd0\xff\xff\xff\x7f' },
  'text',
  'x'.repeat(300),
  'behind it',
  '',
);

function id(milliseconds: number, sequence: number): string {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt32BE(milliseconds, 4);
  bytes.writeUInt32BE(sequence, 12);
  return bytes.toString('latin1');
}

/** The only node of a stream with the entry 1-1, whose field `f` is `v`. */
const NODE = `\x01${short(id(1, 1))}${short(
  '\x1d\x00\x00\x00\x0a\x00\x01\x01\x00\x01\x01\x01\x81f\x02\x00\x01\x02\x01\x00\x01\x00\x01\x81v\x02\x04\x01\xff',
)}`;
const TIME = '\x00\x00\x00\x00\x01\x00\x00\x00';
const PENDING = `\x01${id(1, 1)}${TIME}\x03`;

/** Nothing between the last id and the groups, and no number of reads in those. */
const STREAM_6 = `\x0f${NODE}\x01\x01\x01\x01${short('g')}\x01\x01${PENDING}\x01${short('c')}${TIME}\x01${id(1, 1)}`;
/** Consumers with two times. */
const STREAM_72 = `\x15${NODE}\x01\x01\x01\x01\x01\x00\x00\x01\x01${short('g')}\x01\x01\x01${PENDING}\x01${short('c')}${TIME}${TIME}\x01${id(1, 1)}`;

function old(title: string, bytes: string): Sample {
  return { title, commands: [['RESTORE', 'k', '0', sealed(bytes)]], differs: 'old' };
}

const OLD: readonly Sample[] = [
  old('a list of Redis 2', `\x01\x03${short('a')}\xc0\x05${short('')}`),
  old('a ziplist as a list', `\x0a${long(ZIPLIST)}`),
  old('a list of Redis 3 to 6', `\x0e\x02${long(ZIPLIST)}${short(ziplist('a', 'b'))}`),
  old('a hash of Redis 2.6 to 6', `\x0d${short(ziplist('f', 'v', 'g', { raw: '\xf3' }))}`),
  old(
    'a sorted set of Redis 2.6 to 6',
    `\x0c${short(ziplist('a', { raw: '\xf2' }, 'b', '1.5', 'c', 'inf'))}`,
  ),
  old(
    'scores as text',
    `\x03\x04${short('a')}${short('1.25')}${short('b')}\xfe${short('c')}\xff${short('d')}${short('-3e5')}`,
  ),
  old('an intset in the wrong kind of set', `\x02\x02${short('17')}\xc0\x05`),
  old('a stream of Redis 6', STREAM_6),
];

/** What newer servers write, and commands that make the same. */
export const NEWER: readonly RecordedDump[] = [
  {
    title: 'a set of Redis 7.2',
    dump: sealed(`\x14${short('\x0f\x00\x00\x00\x03\x00\x81a\x02\x81b\x02\x07\x01\xff')}`, 11),
    commands: [['SADD', 'k', 'a', 'b', '7']],
  },
  {
    title: 'a stream of Redis 7.2',
    dump: sealed(STREAM_72, 11),
    commands: [
      ['XADD', 'k', '1-1', 'f', 'v'],
      ['XGROUP', 'CREATE', 'k', 'g', '0'],
      ['XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'k', '>'],
      ['XCLAIM', 'k', 'g', 'c', '0', '1-1', 'RETRYCOUNT', '3'],
    ],
  },
  {
    title: 'a hash of Redis 7.4 with deadlines in a listpack',
    dump: sealed(
      `\x19${TIME}${short('\x1e\x00\x00\x00\x06\x00\x81f\x02\x81v\x02\xf4\x00\x00\x00\x00\x01\x00\x00\x00\x09\x81n\x02\x05\x01\x00\x01\xff')}`,
      12,
    ),
    commands: [
      ['HSET', 'k', 'f', 'v', 'n', '5'],
      ['HPEXPIREAT', 'k', '4294967296', 'FIELDS', '1', 'f'],
    ],
  },
  {
    title: 'a hash of Redis 7.4 with deadlines',
    dump: sealed(
      `\x18${TIME}\x03\x01${short('f')}${short('v')}\x00${short('n')}\xc0\x05\x06${short('l')}${short('w')}`,
      12,
    ),
    commands: [
      ['HSET', 'k', 'f', 'v', 'n', '5', 'l', 'w'],
      ['HPEXPIREAT', 'k', '4294967296', 'FIELDS', '1', 'f'],
      ['HPEXPIREAT', 'k', '4294967301', 'FIELDS', '1', 'l'],
    ],
  },
];

// --- Values of all kinds -----------------------------------------------------------------------------------------

function numbered(count: number, text: (at: number) => string): string[] {
  return Array.from({ length: count }, (_, at) => text(at));
}

/** Digits without a pattern that would compress well. */
function mixed(at: number): string {
  return String((at * 2_654_435_761) % 4_294_967_296);
}

const STRINGS: readonly string[] = [
  '',
  ' 5',
  '\x00\xff\r\n',
  ...'0 -1 127 128 -128 -129 32767 32768 -32769 2147483647 2147483648 -2147483649'.split(' '),
  ...'9223372036854775807 007 -0 1e3 hello'.split(' '),
  ...[19, 20, 21, 24, 25, 63, 64, 300, 17_000].map((length) => 'a'.repeat(length)),
  'ab'.repeat(500),
  numbered(300, mixed).join(''),
  numbered(900, (at) => `${at % 7}${(at * at) % 13}ab`).join(''),
  // What is copied begins right behind the beginning, far away, or ends with the string.
  `xyzabcabc${'abcdefghij'.repeat(3)}${mixed(5).repeat(2)}abc`,
  `needle${numbered(1000, mixed).join('')}needle needle`,
];

const PAIRS = [
  '1',
  'a',
  '2.5',
  'b',
  '-inf',
  'c',
  'inf',
  'd',
  '1e17',
  'e',
  '-4096',
  'f',
  '4611686018427387904',
  'g',
];
const ENTRIES: readonly (readonly string[])[] = [
  ['XADD', 'k', '1-1', 'f', 'v'],
  ['XADD', 'k', '1-2', 'f', 'v2'],
  ['XADD', 'k', '5-0', 'g', '1', 'h', '-70000'],
];

export const SAMPLES: readonly Sample[] = [
  ...STRINGS.map((value) => ({
    title: `the string ${JSON.stringify(value.slice(0, 20))} of ${value.length}`,
    commands: [['SET', 'k', value]],
  })),
  { title: 'a bit far behind', commands: [['SETBIT', 'k', '100000', '1']] },
  { title: 'a sparse HyperLogLog', commands: [['PFADD', 'k', ...numbered(500, String)]] },
  { title: 'a dense HyperLogLog', commands: [['PFADD', 'k', ...numbered(4000, String)]] },
  ...[1, 50, 127, 128, 700].map((count) => ({
    title: `a list of ${count}`,
    commands: [['RPUSH', 'k', ...numbered(count, (at) => (at % 3 === 0 ? `element ${at}` : mixed(at)))]],
  })),
  {
    title: 'a list of numbers of all sizes',
    commands: [
      'RPUSH k 0 127 128 -1 4095 4096 -4096 -4097 32767 -32769 8388607 8388608 -8388609'.split(' '),
      'RPUSH k 2147483648 -2147483649 9223372036854775807 -9223372036854775808 -0'.split(' '),
    ],
  },
  ...[0, 63, 64, 125, 4095, 4096, 8180, 8184, 8185, 8192, 8193, 20_000].map((length) => ({
    title: `a list with an element of ${length}`,
    commands: [['RPUSH', 'k', 'a', 'z'.repeat(length), 'b']],
  })),
  {
    title: 'a list of elements of all lengths',
    commands: numbered(40, String).map((at) => [
      'RPUSH',
      'k',
      ...numbered(10, (other) => 'q'.repeat((Number(at) * other * 97) % 700) + at),
    ]),
  },
  { title: 'an intset of 16 bits', commands: [['SADD', 'k', '1', '5', '-3']] },
  { title: 'an intset of 32 bits', commands: [['SADD', 'k', '1', '70000', '-3']] },
  {
    title: 'an intset of 64 bits',
    commands: [['SADD', 'k', '1', '-9223372036854775808', '9223372036854775807']],
  },
  { title: 'an intset of 512', commands: [['SADD', 'k', ...numbered(512, (at) => String(at * 3))]] },
  { title: 'a set of one text', commands: [['SADD', 'k', 'hello world long long long long long long']] },
  { title: 'a set of texts', commands: [['SADD', 'k', 'a', 'b', '7', 'x'.repeat(99)]], differs: 'order' },
  { title: 'a set of 513', commands: [['SADD', 'k', ...numbered(513, String)]], differs: 'order' },
  {
    title: 'a small hash',
    commands: [
      ['HSET', 'k', 'f', 'v', 'n', '123', 'long', 'x'.repeat(60), 'neg', '-5000', '', '', 'r', 'random text'],
    ],
  },
  { title: 'a hash of one long value', commands: [['HSET', 'k', 'f', 'v'.repeat(100)]] },
  {
    title: 'a hash of 600',
    commands: [['HSET', 'k', ...numbered(600, (at) => `field ${at}`).flatMap((field) => [field, field])]],
    differs: 'order',
  },
  { title: 'a small sorted set', commands: [['ZADD', 'k', ...PAIRS]] },
  { title: 'scores with 17 digits', commands: [['ZADD', 'k', '0.1', 'a', '1e300', 'b']], differs: 'digits' },
  { title: 'a sorted set of one long member', commands: [['ZADD', 'k', '1.5', 'a'.repeat(100)]] },
  {
    title: 'a sorted set of 200',
    commands: [['ZADD', 'k', ...numbered(200, mixed).flatMap((text, at) => [String(at / 8), text])]],
    differs: 'order',
  },
  { title: 'a stream', commands: ENTRIES },
  {
    title: 'a stream of 350 entries',
    commands: numbered(350, String).map((text, at) => [
      'XADD',
      'k',
      `${1000 + at * 3}-${at % 2}`,
      'name',
      `v${text}`,
      ...(at % 5 === 0 ? ['extra', 'long'.repeat(at % 20)] : []),
    ]),
  },
  {
    title: 'a stream with ids at the edges',
    commands: [
      ['XADD', 'k', '0-1', 'f', 'v'],
      ['XADD', 'k', '9223372036854775808-0', 'f', 'v'],
      ['XADD', 'k', '18446744073709551615-18446744073709551615', 'f', 'v'],
    ],
  },
  {
    title: 'groups',
    commands: [
      ...ENTRIES,
      ['XGROUP', 'CREATE', 'k', 'z', '0'],
      ['XGROUP', 'CREATE', 'k', 'a', '$', 'ENTRIESREAD', '3'],
    ],
  },
  { title: 'a group without a stream', commands: [['XGROUP', 'CREATE', 'k', 'g', '$', 'MKSTREAM']] },
  {
    title: 'a stream that lost all entries',
    commands: [...ENTRIES, ['XDEL', 'k', '1-1', '5-0', '1-2'], ['XSETID', 'k', '7-7', 'ENTRIESADDED', '99']],
  },
  { title: 'a stream that lost an entry', commands: [...ENTRIES, ['XDEL', 'k', '1-2']], differs: 'deleted' },
  {
    title: 'a stream that went back',
    commands: [...ENTRIES, ['XDEL', 'k', '5-0'], ['XSETID', 'k', '2-0'], ['XADD', 'k', '3-0', 'g', '1']],
    differs: 'deleted',
  },
  {
    title: 'entries that are pending',
    commands: [
      ...ENTRIES,
      ['XGROUP', 'CREATE', 'k', 'g', '0'],
      ['XREADGROUP', 'GROUP', 'g', 'zoe', 'COUNT', '2', 'STREAMS', 'k', '>'],
      ['XREADGROUP', 'GROUP', 'g', 'alice', 'STREAMS', 'k', '>'],
      ['XCLAIM', 'k', 'g', 'bob', '0', '1-2', 'RETRYCOUNT', '300'],
      ['XACK', 'k', 'g', '1-1'],
    ],
    differs: 'times',
  },
  {
    title: 'groups that share entries, of which one is gone',
    commands: [
      ...ENTRIES,
      ...['g', 'h'].map((group) => ['XGROUP', 'CREATE', 'k', group, '0']),
      ['XREADGROUP', 'GROUP', 'g', 'zoe', 'STREAMS', 'k', '>'],
      ['XREADGROUP', 'GROUP', 'h', 'zoe', 'NOACK', 'COUNT', '1', 'STREAMS', 'k', '>'],
      ['XREADGROUP', 'GROUP', 'h', 'bob', 'STREAMS', 'k', '>'],
      ['XGROUP', 'CREATECONSUMER', 'k', 'h', 'idle'],
      ['XDEL', 'k', '5-0'],
    ],
    differs: 'deleted',
  },
  ...OLD,
];
