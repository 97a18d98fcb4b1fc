import { expect, test } from 'vitest';

import { type Part, partsOf } from '../../server/syntax.ts';
import { commandTable } from '../../server/table.ts';
import type { CommandSpec } from '../../store/command.ts';
import { Hints } from './hints.ts';

const hints = new Hints([]);

/** Commands, and in place of containers their subcommands. */
function specs(): CommandSpec[] {
  return [...new Set(commandTable.values())].flatMap((command): readonly CommandSpec[] => {
    const subcommands = command.kind === 'local' ? (command.subcommands ?? []) : [];
    return subcommands.length > 0 ? subcommands : [command];
  });
}

test('every command that takes arguments says which', () => {
  const missing = specs().filter(({ name, arity, usage, absent }) => {
    const argumentless = arity === (name.includes('|') ? 2 : 1);
    return !argumentless && usage === undefined && absent !== true;
  });
  expect(missing, 'add `usage` to these').toEqual([]);
});

test('the least number of arguments of a usage is what the arity says', () => {
  const wrong = specs().flatMap(({ name, arity, usage }) => {
    if (usage === undefined || usage === '') return [];
    const least = leastWords(partsOf(usage)) + (name.includes('|') ? 2 : 1);
    return least === Math.abs(arity) ? [] : [`${name}: ${arity}, "${usage}" has ${least}`];
  });
  expect(wrong).toEqual([]);
});

test.each([
  ['', ''],
  ['GE', ''],
  ['GET', ' key'],
  ['get ', 'key'],
  ['get a', ''],
  ['get "a', ''],
  [
    'SET a',
    ' value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]',
  ],
  ['SET a "b c" ex ', 'seconds [NX|XX] [GET]'],
  ['SET a b ex 5 nx', ' [GET]'],
  ['MSET a 1', ' [key value ...]'],
  ['MSET a 1 b', ' value [key value ...]'],
  ['BLPOP a', ' [key ...] timeout'],
  ['LINSERT k', ' BEFORE|AFTER pivot element'],
  ['LINSERT k before ', 'pivot element'],
  ['XADD s MAXLEN ~ 1000 ', '[LIMIT count] [NOMKSTREAM] *|id field value [field value ...]'],
  ['XADD s * ', 'field value [field value ...]'],
  ['ZADD z XX 1', ' member [score member ...]'],
  ['CONFIG GET ', 'pattern [pattern ...]'],
  [
    'SORT k GET a ',
    '[BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA] [STORE destination]',
  ],
  [
    'CLIENT KILL TYPE normal ',
    '(ID client-id|TYPE (NORMAL|MASTER|REPLICA|PUBSUB)|USER username|ADDR ip:port|LADDR ip:port|SKIPME yes/no ...)',
  ],
  ['GET a b c', ''],
  ['NOSUCH a', ''],
])('behind %j comes %j', (line, expected) => {
  expect(hints.hint(line)).toBe(expected);
});

test.each<[string, readonly string[]]>([
  ['HGETA', ['HGETALL ']],
  ['hgeta', ['hgetall ']],
  ['CONFIG RES', ['RESETSTAT ']],
  ['config res', ['resetstat ']],
  ['SET a b K', ['KEEPTTL ']],
  ['SET a b nx e', ['ex ', 'exat ']],
  ['LMOVE a b ', ['LEFT ', 'RIGHT ']],
  ['GEOSEARCH k FROMMEMBER m BYR', ['BYRADIUS ']],
  ['GET ', []],
  ['HELP hgeta', ['hgetall ']],
])('%j is completed to %j', (line, expected) => {
  expect(hints.complete(line)[0]).toEqual(expected);
});

/** Arguments that no bracket makes optional; of a choice of sequences the shortest. */
function leastWords(parts: readonly Part[]): number {
  const counts = parts.map((part) => {
    if (part.kind !== 'choice') return 1;
    return part.optional ? 0 : Math.min(...part.alternatives.map(leastWords));
  });
  return counts.reduce((sum, count) => sum + count, 0);
}
