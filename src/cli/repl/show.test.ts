/** Against redis-cli 7.0 itself where it is installed: see `test/integration/repl.test.ts`. */
import { expect, test } from 'vitest';

import { type Reply, ReplyDecoder } from './reply.ts';
import { quoted } from '../../server/resp/quoted.ts';
import { human, json, plain, raw } from './show.ts';

function reply(bytes: string): Reply {
  return new ReplyDecoder().push(bytes)[0]!;
}

const NESTED = reply('*3\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n%1\r\n+f\r\n~2\r\n_\r\n#t\r\n');

test('for people', () => {
  expect(human(NESTED)).toBe(
    [
      '1) "a"',
      '2) 1) (integer) 1',
      '   2) (empty array)',
      '3) 1# f => ',
      '      1~ (nil)',
      '      2~ (true)',
    ].join('\n'),
  );
  expect(human(reply('%1\r\n+f\r\n*2\r\n:1\r\n:2\r\n'))).toBe(
    '1# f => \n   1) (integer) 1\n   2) (integer) 2',
  );
  const eleven = reply(`*11\r\n${':7\r\n'.repeat(11)}`);
  expect(human(eleven).split('\n').slice(8)).toEqual([
    ' 9) (integer) 7',
    '10) (integer) 7',
    '11) (integer) 7',
  ]);
  expect(human(reply('-ERR no\r\n'))).toBe('(error) ERR no');
  expect(human(reply(',1.5\r\n'))).toBe('(double) 1.5');
  expect(human(reply('%0\r\n'))).toBe('(empty hash)');
  expect(human(reply('=7\r\ntxt:a\nb\r\n'))).toBe('a\nb');
});

test('for programs: one element a line', () => {
  expect(raw(NESTED)).toBe('a\n1\n\nf\n\n1');
  expect(raw(reply('$3\r\n\x00"\xff\r\n'))).toBe('\x00"\xff');
  expect(raw(reply('_\r\n'))).toBe('');
});

test('for people who look at a file: no quotes, but nothing that can be taken for nothing', () => {
  expect(plain(reply('*2\r\n$6\r\nuser:1\r\n$6\r\nuser:2\r\n'))).toBe('user:1\nuser:2');
  expect(plain(reply('_\r\n'))).toBe('(nil)');
  expect(plain(reply('*0\r\n'))).toBe('(empty)');
  expect(plain(reply('-ERR no\r\n'))).toBe('(error) ERR no');
});

test('as JSON, in the terms of replies over HTTP', () => {
  expect(json(NESTED)).toBe('["a",[1,[]],{"f":[null,true]}]');
  expect(json(reply('$1\r\n\xff\r\n'))).toBe('{"base64":"/w=="}');
  expect(Buffer.from(json(reply('$2\r\n\xc3\xa4\r\n')), 'latin1').toString()).toBe('"ä"');
  expect(json(reply(':9223372036854775807\r\n'))).toBe('"9223372036854775807"');
  expect(json(reply(',inf\r\n'))).toBe('"inf"');
  expect(json(reply(',-inf\r\n'))).toBe('"-inf"');
  expect(json(reply('-WRONGTYPE not so\r\n'), { line: 3 })).toBe(
    '{"error":{"code":"WRONGTYPE","message":"not so","line":3}}',
  );
});

test('quotes hold every byte', () => {
  expect(quoted('a"\\\n\r\t\x07\b\x00\x7f\xff ~')).toBe(String.raw`"a\"\\\n\r\t\a\b\x00\x7f\xff ~"`);
});
