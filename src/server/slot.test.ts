import { expect, test } from 'vitest';
import { keySlot } from './slot.ts';

test('slots are those of Redis Cluster', () => {
  // The check value of the CRC's specification, and answers of redis-server 7.0.15 to CLUSTER KEYSLOT.
  expect(keySlot('123456789')).toBe(0x31c3);
  expect(keySlot('foo')).toBe(12182);
  expect(keySlot('')).toBe(0);
  expect(keySlot('\xff\x00\x80')).toBe(7915);
});

test('a hash tag stands for its key', () => {
  expect(keySlot('a{foo}b')).toBe(keySlot('foo'));
  expect(keySlot('{foo}{bar}')).toBe(keySlot('foo'));
  expect(keySlot('a{{foo}b')).toBe(keySlot('{foo'));
  expect(keySlot('a{}foo')).not.toBe(keySlot('foo'));
  expect(keySlot('a{}foo')).not.toBe(keySlot(''));
  expect(keySlot('a{foo')).not.toBe(keySlot('foo'));
  expect(keySlot('}a{foo}')).toBe(keySlot('foo'));
});
