/** Commands over lists. */
import type { DataCommand } from '../command.ts';
import { changeAs, entryAs, readAs } from '../context.ts';
import { NOT_AN_INTEGER } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import { List } from '../types/list.ts';
import { ONE_KEY } from './positions.ts';

type Run = DataCommand['run'];

/** LPUSH and its kin; `onlyIfThere` makes it LPUSHX. */
function runPush(end: 'head' | 'tail', onlyIfThere: boolean): Run {
  const event = end === 'head' ? 'lpush' : 'rpush';
  return (context, args, reply) => {
    const [, key = ''] = args;
    const entry = entryAs(context, key, List);
    if (typeof entry === 'string') {
      reply.error(entry);
      return;
    }
    if (entry === undefined && onlyIfThere) {
      reply.integer(0);
      return;
    }
    const list = changeAs(context, key, List);
    if (typeof list === 'string') return;
    for (let at = 2; at < args.length; at++) list.push(end, args[at] ?? '');
    context.notify('l', event, key);
    reply.integer(list.size);
  };
}

const runLlen: Run = (context, args, reply) => {
  const list = readAs(context, args[1] ?? '', List);
  if (typeof list === 'string') reply.error(list);
  else reply.integer(list?.size ?? 0);
};

const runLrange: Run = (context, args, reply) => {
  const [, key = '', first = '', last = ''] = args;
  const [from, to] = [parseInteger(first), parseInteger(last)];
  if (from === undefined || to === undefined) {
    reply.error(NOT_AN_INTEGER);
    return;
  }
  const list = readAs(context, key, List);
  if (typeof list === 'string') {
    reply.error(list);
    return;
  }
  const size = list?.size ?? 0;
  const start = Math.max(0, clampInteger(from) + (from < 0 ? size : 0));
  const end = Math.min(size, clampInteger(to) + (to < 0 ? size : 0) + 1);
  reply.array(Math.max(0, end - start));
  list?.visit(start, end, (element) => reply.bulk(element));
};

type ListCommand = Omit<DataCommand, 'kind' | 'group'>;

const push: ListCommand = {
  name: 'lpush',
  arity: -3,
  write: true,
  flags: ['write', 'denyoom', 'fast'],
  keys: ONE_KEY,
  categories: ['write', 'list', 'fast'],
  summary: 'Puts elements in front of a list, creating it',
  since: '1.0.0',
  complexity: 'O(1) per element',
  run: runPush('head', false),
};

const commands: readonly ListCommand[] = [
  push,
  {
    ...push,
    name: 'rpush',
    summary: 'Puts elements behind a list, creating it',
    run: runPush('tail', false),
  },
  {
    ...push,
    name: 'lpushx',
    summary: 'Puts elements in front of a list that is there',
    since: '2.2.0',
    run: runPush('head', true),
  },
  {
    ...push,
    name: 'rpushx',
    summary: 'Puts elements behind a list that is there',
    since: '2.2.0',
    run: runPush('tail', true),
  },
  {
    name: 'llen',
    arity: 2,
    write: false,
    flags: ['readonly', 'fast'],
    keys: ONE_KEY,
    categories: ['read', 'list', 'fast'],
    summary: 'The number of elements of a list',
    since: '1.0.0',
    complexity: 'O(1)',
    run: runLlen,
  },
  {
    name: 'lrange',
    arity: 4,
    write: false,
    flags: ['readonly'],
    keys: ONE_KEY,
    categories: ['read', 'list', 'slow'],
    summary: 'A range of the elements of a list',
    since: '1.0.0',
    complexity: 'O(log N + M) where M is the number of elements returned',
    run: runLrange,
  },
];

export const listCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'list',
  ...command,
}));
