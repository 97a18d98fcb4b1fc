import { expect, test } from 'vitest';

import { ProtocolError, type Reply, ReplyDecoder } from './reply.ts';

const ALL = [
  '+OK\r\n',
  '-ERR no\r\n',
  ':-42\r\n',
  '$5\r\na\r\nbc\r\n',
  '$0\r\n\r\n',
  '$-1\r\n',
  '*-1\r\n',
  '_\r\n',
  '#t\r\n',
  ',1.5\r\n',
  '(123456789012345678901234567890\r\n',
  '=7\r\ntxt:a\nb\r\n',
  '!5\r\nERR x\r\n',
  '*0\r\n',
  '%1\r\n+f\r\n*2\r\n:1\r\n~0\r\n',
  '|1\r\n+ttl\r\n:3\r\n+with\r\n',
  '>2\r\n$7\r\nmessage\r\n$1\r\n\xff\r\n',
];
const EXPECTED: readonly Reply[] = [
  { type: 'status', text: 'OK' },
  { type: 'error', text: 'ERR no' },
  { type: 'integer', text: '-42' },
  { type: 'bulk', text: 'a\r\nbc' },
  { type: 'bulk', text: '' },
  { type: 'nil' },
  { type: 'nil' },
  { type: 'nil' },
  { type: 'boolean', value: true },
  { type: 'double', text: '1.5' },
  { type: 'bignumber', text: '123456789012345678901234567890' },
  { type: 'verbatim', text: 'a\nb' },
  { type: 'error', text: 'ERR x' },
  { type: 'array', items: [] },
  {
    type: 'map',
    items: [
      { type: 'status', text: 'f' },
      {
        type: 'array',
        items: [
          { type: 'integer', text: '1' },
          { type: 'set', items: [] },
        ],
      },
    ],
  },
  { type: 'status', text: 'with' },
  {
    type: 'push',
    items: [
      { type: 'bulk', text: 'message' },
      { type: 'bulk', text: '\xff' },
    ],
  },
];

test('all kinds in one chunk', () => {
  expect(new ReplyDecoder().push(ALL.join(''))).toEqual(EXPECTED);
});

test('the same in chunks of each size', () => {
  const bytes = ALL.join('');
  for (let size = 1; size < 20; size += 1) {
    const decoder = new ReplyDecoder();
    const got: Reply[] = [];
    for (let at = 0; at < bytes.length; at += size) got.push(...decoder.push(bytes.slice(at, at + size)));
    expect(got).toEqual(EXPECTED);
  }
});

test.each(['HTTP/1.1 400 Bad Request\r\n', '$x\r\n', '*1.5\r\n', '$\r\n'])('%j is no reply', (bytes) => {
  expect(() => new ReplyDecoder().push(bytes)).toThrow(ProtocolError);
});
