/** LCS: what two strings have in common. */
import type { DataCommand } from '../command.ts';
import { CommonSubsequence, isTooLongForTable } from '../common-subsequence.ts';
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../errors.ts';
import { clampInteger, parseInteger } from '../integer.ts';
import type { ReplyWriter } from '../reply.ts';
import { isString, textOf } from '../value.ts';
import { TWO_KEYS } from './positions.ts';

interface Options {
  /** LEN. */
  length: boolean;
  /** IDX. */
  ranges: boolean;
  /** MINMATCHLEN. */
  rangeMin: number;
  /** WITHMATCHLEN. */
  rangeLengths: boolean;
}

/** The options behind the keys, or the text of the error reply. */
function parseOptions(args: readonly string[]): Options | string {
  const options: Options = { length: false, ranges: false, rangeMin: 0, rangeLengths: false };
  for (let at = 3; at < args.length; at++) {
    const word = (args[at] ?? '').toLowerCase();
    const argument = args[at + 1];
    if (word === 'len') options.length = true;
    else if (word === 'idx') options.ranges = true;
    else if (word === 'withmatchlen') options.rangeLengths = true;
    else if (word === 'minmatchlen' && argument !== undefined) {
      const least = parseInteger(argument);
      if (least === undefined) return NOT_AN_INTEGER;
      options.rangeMin = clampInteger(least);
      at++;
    } else return SYNTAX_ERROR;
  }
  return options.length && options.ranges
    ? 'ERR If you want both the length and indexes, please just use IDX.'
    : options;
}

const runLcs: DataCommand['run'] = (context, args, reply) => {
  const values = args.slice(1, 3).map((key) => context.keyspace.get(key, context.now)?.value ?? '');
  const [first = '', second = ''] = values;
  if (!isString(first) || !isString(second)) {
    reply.error('ERR The specified keys must contain string values');
    return;
  }
  const options = parseOptions(args);
  if (typeof options === 'string') {
    reply.error(options);
    return;
  }
  const [one, other] = [textOf(first), textOf(second)];
  if (isTooLongForTable(one, other)) {
    reply.error('ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len');
    return;
  }
  const common = new CommonSubsequence(one, other);
  if (options.ranges) replyRanges(common, options, reply);
  else if (options.length) reply.integer(common.length);
  else reply.bulk(common.text());
};

function replyRanges(common: CommonSubsequence, options: Options, reply: ReplyWriter): void {
  const lengthOf = (range: readonly [number, number]): number => range[1] - range[0] + 1;
  const ranges = common.ranges().filter(({ first }) => lengthOf(first) >= options.rangeMin);
  reply.map(2);
  reply.bulk('matches');
  reply.array(ranges.length);
  for (const { first, second } of ranges) {
    reply.array(options.rangeLengths ? 3 : 2);
    for (const range of [first, second]) {
      reply.array(2);
      for (const position of range) reply.integer(position);
    }
    if (options.rangeLengths) reply.integer(lengthOf(first));
  }
  reply.bulk('len');
  reply.integer(common.length);
}

export const commonSubsequenceCommands: readonly DataCommand[] = [
  {
    kind: 'data',
    group: 'string',
    name: 'lcs',
    arity: -3,
    write: false,
    flags: ['readonly'],
    keys: TWO_KEYS,
    categories: ['read', 'string', 'slow'],
    usage: '<key1> <key2> [LEN] [IDX] [MINMATCHLEN <len>] [WITHMATCHLEN]',
    summary: 'The longest common subsequence of two strings',
    since: '7.0.0',
    complexity: 'O(N*M) where N and M are the lengths of the strings',
    run: runLcs,
  },
];
