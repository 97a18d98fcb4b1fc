import { describe, expect, test } from 'vitest';
import { RespWriter } from './writer.ts';

/** What `write` puts on the wire in the given protocol. */
function bytes(protocol: 2 | 3, write: (reply: RespWriter) => void): string {
  const writer = new RespWriter();
  writer.protocol = protocol;
  write(writer);
  return writer.take().latin1Slice();
}

describe('replies on the wire', () => {
  const cases: [string, (reply: RespWriter) => void, string, string][] = [
    ['ok', (reply) => reply.ok(), '+OK\r\n', '+OK\r\n'],
    ['simple', (reply) => reply.simple('PONG'), '+PONG\r\n', '+PONG\r\n'],
    ['error', (reply) => reply.error('ERR no'), '-ERR no\r\n', '-ERR no\r\n'],
    ['error with a line break', (reply) => reply.error('ERR a\r\nb'), '-ERR a  b\r\n', '-ERR a  b\r\n'],
    ['bulk', (reply) => reply.bulk('hello'), '$5\r\nhello\r\n', '$5\r\nhello\r\n'],
    ['empty bulk', (reply) => reply.bulk(''), '$0\r\n\r\n', '$0\r\n\r\n'],
    ['binary bulk', (reply) => reply.bulk('\0\r\n\xff'), '$4\r\n\0\r\n\xff\r\n', '$4\r\n\0\r\n\xff\r\n'],
    ['null bulk', (reply) => reply.bulk(null), '$-1\r\n', '_\r\n'],
    ['null array', (reply) => reply.nullArray(), '*-1\r\n', '_\r\n'],
    ['array', (reply) => reply.array(3), '*3\r\n', '*3\r\n'],
    ['map', (reply) => reply.map(3), '*6\r\n', '%3\r\n'],
    ['set', (reply) => reply.set(12), '*12\r\n', '~12\r\n'],
    ['true', (reply) => reply.boolean(true), ':1\r\n', '#t\r\n'],
    ['false', (reply) => reply.boolean(false), ':0\r\n', '#f\r\n'],
    ['double', (reply) => reply.double(0.1), '$3\r\n0.1\r\n', ',0.1\r\n'],
    ['double with digits', (reply) => reply.double(0.1, '0.10'), '$4\r\n0.10\r\n', ',0.10\r\n'],
    ['whole double', (reply) => reply.double(3), '$1\r\n3\r\n', ',3\r\n'],
    ['inf', (reply) => reply.double(Infinity), '$3\r\ninf\r\n', ',inf\r\n'],
    ['-inf', (reply) => reply.double(-Infinity), '$4\r\n-inf\r\n', ',-inf\r\n'],
    ['nan', (reply) => reply.double(NaN), '$3\r\nnan\r\n', ',nan\r\n'],
    ['minus zero', (reply) => reply.double(-0), '$2\r\n-0\r\n', ',-0\r\n'],
    ['big number', (reply) => reply.bigNumber('-12'), '$3\r\n-12\r\n', '(-12\r\n'],
    ['verbatim', (reply) => reply.verbatim('txt', 'hi'), '$2\r\nhi\r\n', '=6\r\ntxt:hi\r\n'],
    [
      'a 64-bit integer',
      (reply) => reply.integer(2n ** 63n - 1n),
      ':9223372036854775807\r\n',
      ':9223372036854775807\r\n',
    ],
  ];
  test.each(cases)('%s', (_name, write, resp2, resp3) => {
    expect(bytes(2, write)).toBe(resp2);
    expect(bytes(3, write)).toBe(resp3);
  });

  test('integers of every length', () => {
    for (const value of [
      0,
      9,
      10,
      99,
      100,
      101,
      110,
      999,
      1000,
      65_536,
      2 ** 53 - 1,
      -1,
      -100,
      -(2 ** 53 - 1),
    ]) {
      expect(bytes(2, (reply) => reply.integer(value))).toBe(`:${value}\r\n`);
    }
  });
});

describe('the output buffer', () => {
  test('keeps every reply whole and in order while slabs fill up', () => {
    const writer = new RespWriter();
    let expected = '';
    for (let at = 0; at < 5_000; at += 1) {
      const value = String.fromCharCode(at % 256).repeat((at * 37) % 1_500);
      writer.bulk(value);
      expected += `$${value.length}\r\n${value}\r\n`;
    }
    expect(writer.length).toBe(expected.length);
    expect(writer.take().latin1Slice() === expected).toBe(true);
    expect(writer.length).toBe(0);
    expect(writer.take()).toHaveLength(0);
  });

  test('never touches bytes that were taken before', () => {
    const writer = new RespWriter();
    const taken: Buffer[] = [];
    for (let at = 0; at < 3_000; at += 1) {
      writer.integer(at);
      taken.push(writer.take());
    }
    expect(taken.map((piece) => piece.latin1Slice())).toEqual(taken.map((_piece, at) => `:${at}\r\n`));
  });

  test('takes a value larger than a slab', () => {
    const value = 'x'.repeat(1_000_000);
    expect(bytes(3, (reply) => reply.bulk(value)) === `$1000000\r\n${value}\r\n`).toBe(true);
  });

  test('stops gathering at its limit and says so', () => {
    const writer = new RespWriter(100_000);
    for (let at = 0; at < 50; at += 1) writer.bulk('x'.repeat(10_000));
    expect(writer.overflowed).toBe(true);
    expect(writer.length).toBeLessThan(200_000);
  });
});
