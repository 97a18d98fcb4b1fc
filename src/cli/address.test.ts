import { expect, test } from 'vitest';
import { reasonOf } from './address.ts';

test('a name with several addresses, none of which answers, has a reason, too', () => {
  const each = ['::1', '127.0.0.1'].map((host) => new Error(`connect ECONNREFUSED ${host}:1`));
  // As Node makes it.
  const error = Object.assign(new AggregateError(each), { code: 'ECONNREFUSED' });
  expect(reasonOf(error)).toBe('ECONNREFUSED');
  expect(reasonOf(new Error('connect ECONNREFUSED ::1:1'))).toBe('connect ECONNREFUSED ::1:1');
});
