/** Keyspace events as Redis 7.0.15 sends them for the same commands, `new` included (`notify-keyspace-events KEAn`). */
import { expect, test } from 'vitest';
import { eventsOf, Harness } from '../testing/harness.ts';

/** A command and what it tells; in order, each on top of those before it. `@n`: that many ms pass. */
const STORIES: Readonly<Record<string, readonly (readonly [command: string, ...events: string[]])[]>> = {
  SET: [
    ['SET a 1', 'new a', 'set a'],
    ['SET a 2', 'set a'],
    ['SET a 2 EX 100', 'set a', 'expire a'],
    ['SET b 2 EX 100', 'new b', 'set b', 'expire b'],
    ['SET a 3 KEEPTTL', 'set a'],
    ['SET a 3 NX'],
    ['SET a 3 XX GET', 'set a'],
    ['SET c 3 XX'],
    ['SET c 3 NX GET', 'new c', 'set c'],
    ['SET a v EXAT 1', 'set a', 'expire a', 'expired a'],
    ['SET a v EXAT 1', 'new a', 'set a', 'expire a', 'expired a'],
    ['SETNX a 1', 'new a', 'set a'],
    ['SETNX a 1'],
    ['SETEX a 10 v', 'set a', 'expire a'],
    ['SETEX d 10 v', 'new d', 'set d', 'expire d'],
    ['PSETEX a 1000 v', 'set a', 'expire a'],
    ['GETSET a w', 'set a'],
    ['GETSET e w', 'new e', 'set e'],
    ['MSET a 1 f 2 a 3', 'set a', 'new f', 'set f', 'set a'],
    ['MSETNX a 1 g 2'],
    ['MSETNX g 1 h 2', 'new g', 'set g', 'new h', 'set h'],
  ],
  GETDEL: [['SET a 1', 'new a', 'set a'], ['GETDEL a', 'del a'], ['GETDEL a']],
  GETEX: [
    ['SET a 1', 'new a', 'set a'],
    ['GETEX a'],
    ['GETEX a PERSIST'],
    ['GETEX a EX 100', 'expire a'],
    ['GETEX a PERSIST', 'persist a'],
    ['GETEX a PXAT 1', 'del a'],
    ['GETEX a EX 100'],
  ],
  parts: [
    ['APPEND a x', 'new a', 'append a'],
    ['APPEND a x', 'append a'],
    ['SETRANGE a 2 zz', 'setrange a'],
    ['SETRANGE b 3 z', 'new b', 'setrange b'],
    ['GETRANGE b 0 1'],
  ],
  numbers: [
    ['INCR a', 'new a', 'incrby a'],
    ['DECR a', 'incrby a'],
    ['INCRBY a 3', 'incrby a'],
    ['DECRBY b 3', 'new b', 'incrby b'],
    ['INCRBYFLOAT a 1.5', 'incrbyfloat a'],
    ['INCRBYFLOAT c 1.5', 'new c', 'incrbyfloat c'],
    ['INCR a'],
  ],
  keys: [
    ['MSET a 1 b 2', 'new a', 'set a', 'new b', 'set b'],
    ['DEL a missing b a', 'del a', 'del b'],
    ['MSET a 1 b 2', 'new a', 'set a', 'new b', 'set b'],
    ['UNLINK a', 'del a'],
    ['TOUCH a b'],
    ['FLUSHALL'],
  ],
  moves: [
    ['SET a 1 EX 100', 'new a', 'set a', 'expire a'],
    ['RENAME a b', 'new b', 'rename_from a', 'rename_to b'],
    ['RENAME b b'],
    ['RENAMENX b b'],
    ['RENAMENX b a', 'new a', 'rename_from b', 'rename_to a'],
    ['SET b 2', 'new b', 'set b'],
    ['RENAMENX a b'],
    // What was there is removed first, which nobody is told of.
    ['RENAME a b', 'new b', 'rename_from a', 'rename_to b'],
    ['COPY b c', 'new c', 'copy_to c'],
    ['COPY b c'],
    ['COPY b c REPLACE', 'new c', 'copy_to c'],
    ['RENAME missing b'],
    ['COPY missing b REPLACE'],
  ],
  deadlines: [
    ['SET a 1', 'new a', 'set a'],
    ['EXPIRE a 100', 'expire a'],
    ['EXPIRE a 100 NX'],
    ['PEXPIRE a 100000', 'expire a'],
    ['EXPIREAT a 9999999999', 'expire a'],
    ['PEXPIREAT a 9999999999999', 'expire a'],
    ['PERSIST a', 'persist a'],
    ['PERSIST a'],
    ['EXPIRE a 0', 'del a'],
    ['EXPIRE a 100'],
  ],
  'what has expired goes before what comes': [
    ['SET a 1 PX 10', 'new a', 'set a', 'expire a'],
    ['@20'],
    ['GET a'],
    ['SET a 2', 'expired a', 'new a', 'set a'],
    ['PEXPIRE a 10', 'expire a'],
    ['@20'],
    ['MSET a 2 b 3', 'expired a', 'new a', 'set a', 'new b', 'set b'],
    ['PEXPIRE a 10', 'expire a'],
    ['@20'],
    ['DEL a', 'expired a'],
    ['SET a 2 PX 10', 'new a', 'set a', 'expire a'],
    ['@20'],
    ['COPY b a', 'expired a', 'new a', 'copy_to a'],
    ['PEXPIRE a 10', 'expire a'],
    ['@20'],
    ['RENAME b a', 'expired a', 'new a', 'rename_from b', 'rename_to a'],
    ['PEXPIRE a 10', 'expire a'],
    ['@20'],
    ['RPUSH a x', 'expired a', 'new a', 'rpush a'],
  ],
  lists: [
    ['RPUSH l a b', 'new l', 'rpush l'],
    ['LPUSH l a b', 'lpush l'],
    ['RPUSHX l a', 'rpush l'],
    ['LSET l 0 z', 'lset l'],
    ['LINSERT l BEFORE z y', 'linsert l'],
    ['LREM l 1 y', 'lrem l'],
    ['LPOP l', 'lpop l'],
    ['RPOP l 2', 'rpop l'],
    ['LTRIM l 0 0', 'ltrim l'],
    ['LPOP l', 'lpop l', 'del l'],
    ['LPUSHX l 1'],
    ['RPUSH l a', 'new l', 'rpush l'],
    ['RPOPLPUSH l m', 'new m', 'lpush m', 'rpop l', 'del l'],
    ['LMOVE m m LEFT RIGHT', 'rpush m', 'lpop m'],
    ['LMOVE m n LEFT LEFT', 'new n', 'lpush n', 'lpop m', 'del m'],
    ['LMPOP 1 n LEFT', 'lpop n', 'del n'],
    ['RPUSH l a', 'new l', 'rpush l'],
    ['BLPOP l 0', 'lpop l', 'del l'],
    ['RPUSH l a b c', 'new l', 'rpush l'],
    ['LTRIM l 5 9', 'ltrim l', 'del l'],
  ],
};

/** The letters of `notify-keyspace-events`; all others are those of the types that have them. */
const GENERIC = ['del', 'expire', 'persist', 'rename_from', 'rename_to', 'copy_to'];
const STRING = ['set', 'append', 'setrange', 'incrby', 'incrbyfloat'];

function classOf(event: string): string {
  if (event === 'new') return 'n';
  if (event === 'expired') return 'x';
  if (GENERIC.includes(event)) return 'g';
  return STRING.includes(event) ? '$' : 'l';
}

test.each(Object.entries(STORIES))('%s', (_name, story) => {
  const harness = new Harness();
  const events = eventsOf(harness.store);
  for (const [command, ...expected] of story) {
    if (command.startsWith('@')) {
      harness.now += Number(command.slice(1));
      continue;
    }
    events.length = 0;
    harness.run(...command.split(' '));
    expect(events, command).toEqual(expected.map((event) => `${classOf(event.split(' ')[0]!)} ${event}`));
  }
  expect(harness.follower().digest()).toBe(harness.store.digest());
});
