import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ARGUMENTS_MAX,
  BULK_BYTES_MAX,
  INLINE_BYTES_MAX,
  RequestParser,
  STRANGER_BULK_BYTES_MAX,
} from './parser.ts';

const MIB = 1024 * 1024;

interface Parsed {
  readonly requests: string[][];
  readonly error: string | null;
}

/** Feeds the chunks one by one and takes what can be taken after each. */
function parse(
  chunks: readonly string[],
  options: { restricted?: boolean; requestBytesMax?: number } = {},
): Parsed {
  const parser = new RequestParser(options.requestBytesMax ?? 64 * MIB);
  parser.restricted = options.restricted ?? false;
  const requests: string[][] = [];
  for (const chunk of chunks) {
    parser.push(Buffer.from(chunk, 'latin1'));
    for (let request = parser.next(); request !== null; request = parser.next()) requests.push(request);
  }
  return { requests, error: parser.error };
}

/** The request as a client library writes it. */
function encode(args: readonly string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;
}

/** Cuts `text` at the given places. */
function cut(text: string, places: readonly number[]): string[] {
  const sorted = [...places].map((place) => place % (text.length + 1)).sort((a, b) => a - b);
  return [...sorted, text.length].map((end, at) => text.slice(sorted[at - 1] ?? 0, end));
}

describe('requests, whole and byte by byte', () => {
  const cases: [string, string, string[][]][] = [
    ['one command', '*1\r\n$4\r\nPING\r\n', [['PING']]],
    [
      'two commands',
      `${encode(['GET', 'a'])}${encode(['SET', 'a', 'b'])}`,
      [
        ['GET', 'a'],
        ['SET', 'a', 'b'],
      ],
    ],
    ['empty arguments', '*2\r\n$0\r\n\r\n$0\r\n\r\n', [['', '']]],
    ['binary arguments', encode(['SET', '\r\n*1\r\n', '\0\xff']), [['SET', '\r\n*1\r\n', '\0\xff']]],
    ['empty and null arrays are skipped', '*0\r\n*-1\r\n*-5\r\n*1\r\n$4\r\nPING\r\n', [['PING']]],
    [
      'inline',
      'SET a  b\r\nGET a\n',
      [
        ['SET', 'a', 'b'],
        ['GET', 'a'],
      ],
    ],
    ['blank lines', '\r\n\n  \t \r\nPING\r\n', [['PING']]],
    ['inline between arrays', `PING\r\n${encode(['GET', 'a'])}PING\r\n`, [['PING'], ['GET', 'a'], ['PING']]],
    ['double quotes', '"a b" "\\x41\\n\\q\\"" "" \r\n', [['a b', 'A\nq"', '']]],
    ['a hex escape cut short is a plain x', '"\\x4" "\\xzz"\r\n', [['x4', 'xzz']]],
    ['single quotes', "'a\\'b\\n' 'c\"'\r\n", [["a'b\\n", 'c"']]],
    ['quotes in the middle of a word', 'foo"bar baz"\r\n', [['foobar baz']]],
    ['a carriage return separates words', 'a\rb\r\n', [['a', 'b']]],
    ['a large argument', encode(['SET', 'a', 'x'.repeat(100_000)]), [['SET', 'a', 'x'.repeat(100_000)]]],
  ];
  test.each(cases)('%s', (_name, text, requests) => {
    expect(parse([text])).toEqual({ requests, error: null });
    expect(parse(text.split(''))).toEqual({ requests, error: null });
  });
});

describe('protocol errors, whole and byte by byte', () => {
  const cases: [string, string, string][] = [
    ['a count that is no number', '*abc\r\n', 'invalid multibulk length'],
    ['an empty count', '*\r\n', 'invalid multibulk length'],
    ['a count with a plus', '*+1\r\n', 'invalid multibulk length'],
    ['a count with a leading zero', '*01\r\n', 'invalid multibulk length'],
    ['minus zero', '*-0\r\n', 'invalid multibulk length'],
    ['too many arguments', `*${ARGUMENTS_MAX + 1}\r\n`, 'invalid multibulk length'],
    ['an endless count', `*${'1'.repeat(100)}`, 'invalid multibulk length'],
    ['no bulk string', '*1\r\n:3\r\n', "expected '$', got ':'"],
    ['an array in an array', '*1\r\n*1\r\n', "expected '$', got '*'"],
    ['a negative length', '*1\r\n$-1\r\n', 'invalid bulk length'],
    ['a length that is no number', '*1\r\n$x\r\n', 'invalid bulk length'],
    ['a length beyond the limit', `*1\r\n$${BULK_BYTES_MAX + 1}\r\n`, 'invalid bulk length'],
    ['an open double quote', 'SET "a b\r\n', 'unbalanced quotes in request'],
    ['an open single quote', "SET 'a b\\'\r\n", 'unbalanced quotes in request'],
    ['no space behind a quote', '"a"b\r\n', 'unbalanced quotes in request'],
    ['an endless line', 'a'.repeat(INLINE_BYTES_MAX + 1), 'too big inline request'],
  ];
  test.each(cases)('%s', (_name, text, error) => {
    const expected = { requests: [], error: `ERR Protocol error: ${error}` };
    expect(parse([text])).toEqual(expected);
    expect(parse(text.split(''))).toEqual(expected);
  });

  test('what came before an error is kept, what comes after is not read', () => {
    expect(parse(['PING\r\n*x\r\nPING\r\n', 'PING\r\n'])).toEqual({
      requests: [['PING']],
      error: 'ERR Protocol error: invalid multibulk length',
    });
  });
});

describe('limits', () => {
  test('the longest of everything passes', () => {
    const line = 'a'.repeat(INLINE_BYTES_MAX);
    expect(parse([`${line}\n`]).requests).toEqual([[line]]);
    expect(
      parse([`*${ARGUMENTS_MAX}\r\n$${BULK_BYTES_MAX}\r\n`], { requestBytesMax: Infinity }).error,
    ).toBeNull();
  });

  test('a request is bounded over all its arguments', () => {
    const options = { requestBytesMax: 100 };
    expect(parse([encode(['SET', 'a', 'x'.repeat(96)])], options).error).toBeNull();
    expect(parse([encode(['SET', 'a', 'x'.repeat(97)])], options)).toEqual({
      requests: [],
      error: 'ERR Protocol error: request longer than 100 bytes',
    });
    const two = encode(['GET', 'x'.repeat(90)]).repeat(2);
    expect(parse([two], options).requests).toHaveLength(2);
  });

  test('a client that has not authenticated may send little', () => {
    const options = { restricted: true };
    expect(parse([encode(['AUTH', 'x'.repeat(STRANGER_BULK_BYTES_MAX)])], options).error).toBeNull();
    expect(parse([`*11\r\n`], options).error).toBe('ERR Protocol error: unauthenticated multibulk length');
    expect(parse([`*1\r\n$${STRANGER_BULK_BYTES_MAX + 1}\r\n`], options).error).toBe(
      'ERR Protocol error: unauthenticated bulk length',
    );
  });

  test('an announced length costs no memory before the bytes arrive', () => {
    const parser = new RequestParser(Infinity);
    const before = process.memoryUsage().arrayBuffers;
    parser.push(Buffer.from(`*1\r\n$${BULK_BYTES_MAX}\r\nx`));
    expect(parser.next()).toBeNull();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MIB);
  });
});

describe('any requests, cut anywhere', () => {
  const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
  const short = fc.array(byte, { maxLength: 40 }).map((bytes) => bytes.join(''));
  const long = fc.integer({ min: 30_000, max: 80_000 }).map((length) => 'abcdefg'.repeat(length / 7));
  const argument = fc.oneof({ weight: 9, arbitrary: short }, { weight: 1, arbitrary: long });
  const requests = fc.array(fc.array(argument, { minLength: 1, maxLength: 6 }), { maxLength: 12 });

  test('come out as they went in', () => {
    fc.assert(
      fc.property(requests, fc.array(fc.nat(), { maxLength: 20 }), (expected, places) => {
        const parsed = parse(cut(expected.map(encode).join(''), places));
        expect(parsed.error).toBeNull();
        expect(parsed.requests.length).toBe(expected.length);
        for (const [at, request] of parsed.requests.entries()) {
          expect(
            request.length === expected[at]!.length && request.every((arg, n) => arg === expected[at]![n]),
          ).toBe(true);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('and noise gives the same answer however it is cut', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '*1\r\n',
        '*2\r\n',
        '$4\r\nPING\r\n',
        '$1\r\n',
        '\r\n',
        '*',
        '$',
        '"',
        "'",
        '\\x41',
        '-1',
        ' ',
        'PING',
      ),
      byte,
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 40 }),
        fc.array(fc.nat(), { maxLength: 10 }),
        (pieces, places) => {
          const text = pieces.join('');
          const whole = parse([text]);
          expect(parse(cut(text, places))).toEqual(whole);
          expect(parse(text.split(''))).toEqual(whole);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
