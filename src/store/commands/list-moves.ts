/** Commands that take an element off one list and put it on another, or on the same: queues whose work is not lost. */
import type { DataCommand } from '../command.ts';
import { changeAs, type Context, entryAs } from '../context.ts';
import { SYNTAX_ERROR } from '../errors.ts';
import type { Entry } from '../entry.ts';
import type { ReplyWriter } from '../reply.ts';
import { parseTimeout } from '../timeout.ts';
import { type End, List } from '../types/list.ts';
import { parseEnd } from './list-pops.ts';
import { TWO_KEYS } from './positions.ts';

type Run = DataCommand['run'];

interface Move {
  readonly from: End;
  readonly to: End;
  /** Null: it does not wait. */
  readonly timeoutMs: number | null;
}

/** Where a command says what is to be moved: the move, or the text of the error reply. */
type Parse = (args: readonly string[]) => Move | string;

const parseMove: Parse = (args) => {
  const [from, to] = [parseEnd(args[3] ?? ''), parseEnd(args[4] ?? '')];
  return from === undefined || to === undefined ? SYNTAX_ERROR : { from, to, timeoutMs: null };
};

const parseBlockingMove: Parse = (args) => {
  const move = parseMove(args);
  if (typeof move === 'string') return move;
  const timeoutMs = parseTimeout(args[5] ?? '');
  return typeof timeoutMs === 'string' ? timeoutMs : { ...move, timeoutMs };
};

const parseRightToLeft: Parse = () => ({ from: 'tail', to: 'head', timeoutMs: null });

const parseBlockingRightToLeft: Parse = (args) => {
  const timeoutMs = parseTimeout(args[3] ?? '');
  return typeof timeoutMs === 'string' ? timeoutMs : { from: 'tail', to: 'head', timeoutMs };
};

function runMove(parse: Parse): Run {
  return (context, args, reply) => {
    const [, source = '', target = ''] = args;
    const move = parse(args);
    if (typeof move === 'string') {
      reply.error(move);
      return;
    }
    const entry = entryAs(context, source, List);
    if (typeof entry === 'string') {
      reply.error(entry);
      return;
    }
    if (entry !== undefined) {
      moveElement(context, { key: source, entry }, target, move, reply);
      return;
    }
    const { timeoutMs } = move;
    if (timeoutMs === null || !context.wait({ keys: [source], timeoutMs, retry: args })) reply.bulk(null);
  };
}

function moveElement(
  context: Context,
  source: { readonly key: string; readonly entry: Entry<List> },
  target: string,
  { from, to }: Move,
  reply: ReplyWriter,
): void {
  const { key, entry } = source;
  // The type of the target is checked, and a missing one created, before anything leaves the source.
  const list = changeAs(context, target, List);
  if (typeof list === 'string') {
    reply.error(list);
    return;
  }
  context.keyspace.change(key, entry);
  const element = entry.value.pop(from) ?? '';
  list.push(to, element);
  context.notify('l', to === 'head' ? 'lpush' : 'rpush', target);
  context.notify('l', from === 'head' ? 'lpop' : 'rpop', key);
  reply.bulk(element);
}

// --- The table ---------------------------------------------------------------------------------------------------

type MoveCommand = Pick<
  DataCommand,
  'name' | 'arity' | 'flags' | 'categories' | 'usage' | 'summary' | 'since' | 'run'
>;

const BLOCKING_FLAGS: DataCommand['flags'] = ['write', 'denyoom', 'noscript', 'blocking'];

const commands: readonly MoveCommand[] = [
  {
    name: 'lmove',
    arity: 5,
    flags: ['write', 'denyoom'],
    categories: ['write', 'list', 'slow'],
    usage: '<source> <destination> LEFT|RIGHT LEFT|RIGHT',
    summary: 'Moves an element from an end of a list to an end of another one',
    since: '6.2.0',
    run: runMove(parseMove),
  },
  {
    name: 'rpoplpush',
    arity: 3,
    flags: ['write', 'denyoom'],
    categories: ['write', 'list', 'slow'],
    usage: '<source> <destination>',
    summary: 'Moves the last element of a list to the head of another one',
    since: '1.2.0',
    run: runMove(parseRightToLeft),
  },
  {
    name: 'blmove',
    arity: 6,
    flags: BLOCKING_FLAGS,
    categories: ['write', 'list', 'slow', 'blocking'],
    usage: '<source> <destination> LEFT|RIGHT LEFT|RIGHT <timeout>',
    summary: 'As LMOVE, or waits until there is an element',
    since: '6.2.0',
    run: runMove(parseBlockingMove),
  },
  {
    name: 'brpoplpush',
    arity: 4,
    flags: BLOCKING_FLAGS,
    categories: ['write', 'list', 'slow', 'blocking'],
    usage: '<source> <destination> <timeout>',
    summary: 'As RPOPLPUSH, or waits until there is an element',
    since: '2.2.0',
    run: runMove(parseBlockingRightToLeft),
  },
];

export const listMoveCommands: readonly DataCommand[] = commands.map((command) => ({
  kind: 'data',
  group: 'list',
  write: true,
  keys: TWO_KEYS,
  complexity: 'O(log N)',
  ...command,
}));
