/** Says in words and a picture why a history is not linearizable. */
import { check, returnedAt, type Stuck } from './checker.ts';
import type { Call, Operation, Reply } from './history.ts';
import { minimise } from './minimise.ts';
import { keyOf, run, type Value } from './models.ts';

/** Longer values are shown by their ends. */
const VALUE_LENGTH_MAX = 60;
const PICTURE_WIDTH = 64;
/** More operations than this are listed in parts. */
const LISTED_MAX = 40;

/** `history` is not linearizable. The text is made of a smaller one that isn't either, and says why it isn't. */
export function explain(history: readonly Operation[]): string {
  const whole = check(history);
  if (whole.verdict === 'linearizable') throw new Error('nothing to explain: the history is linearizable');
  if (whole.verdict === 'undecided') {
    return `Undecided after ${whole.configurations} configurations, here:\n\n${describe(whole)}`;
  }
  const operations = minimise(whole.operations);
  const small = check(operations);
  if (small.verdict !== 'violated') throw new Error('the smaller history is linearizable');
  const keys = [...new Set(operations.flatMap(({ calls }) => calls.map(keyOf)))].join(', ');
  return [
    `Not linearizable. Of ${history.length} operations, ${operations.length === 1 ? 'this one' : `these ${operations.length}`} on ${keys} show it:`,
    picture(operations, small.unplaced),
    describe(small),
    ...origin(history, small),
  ].join('\n\n');
}

/** Who wrote the value that doesn't fit, where that is not shown yet, since the smaller history has no need of it. */
function origin(history: readonly Operation[], { operations, unplaced }: Stuck): string[] {
  const calls = history.flatMap((operation) => operation.calls.map((call) => ({ operation, call })));
  return unplaced.calls.flatMap((read, at) => {
    const value = unplaced.outcome?.replies?.[at];
    const onKey = calls.filter(({ call }) => keyOf(call) === keyOf(read));
    const isRead = read[0] === 'GET' || read.includes('GET', 3);
    const counted = onKey.some(({ call }) => call[0] === 'INCRBY');
    if (typeof value !== 'string' || !isRead || counted) return [];
    const writers = onKey.filter(
      ({ call: [, , written] }) => written !== undefined && value.includes(written),
    );
    if (writers.length === 0) return [`No operation writes ${shortened(value)}: was a refused one executed?`];
    const hidden = writers.filter(({ call }) => !operations.some((other) => other.calls.includes(call)));
    if (hidden.length === 0) return [];
    return [`Its value is written by\n${listed(hidden.map(({ operation }) => shown(operation)))}`];
  });
}

function describe({ operations, order, values, unplaced }: Stuck): string {
  const during = operations.filter(
    (other) =>
      other !== unplaced && other.invoked <= returnedAt(unplaced) && returnedAt(other) >= unplaced.invoked,
  );
  const state = [...values].map(([key, value]) => `  ${key} = ${shownValue(value)}`);
  return [
    `The longest order that fits the answers:\n${listed(order.map(shown))}`,
    `It leaves\n${listed(state)}`,
    `and what must come next is\n  ${shown(unplaced)}`,
    `which would have been answered ${shownReplies(repliesAfter(values, unplaced.calls))}.`,
    ...differences(repliesAfter(values, unplaced.calls), unplaced.outcome?.replies ?? []),
    during.length === 0
      ? 'Nothing else was under way at that time.'
      : `Under way at the same time:\n${listed(during.map(shown))}`,
  ].join('\n');
}

/** Where two long values part: their ends alone don't tell. */
function differences(expected: readonly Reply[], got: readonly Reply[]): string[] {
  return expected.flatMap((one, at) => {
    const other = got[at];
    if (typeof one !== 'string' || typeof other !== 'string' || one === other) return [];
    if (Math.max(one.length, other.length) <= VALUE_LENGTH_MAX) return [];
    let same = 0;
    while (one[same] === other[same]) same += 1;
    const [rest, otherRest] = [one.slice(same), other.slice(same)].map((text) =>
      shortened(JSON.stringify(text)),
    );
    return [`After ${same} bytes that agree, ${rest} would have come, and ${otherRest} came.`];
  });
}

function repliesAfter(values: ReadonlyMap<string, Value>, calls: readonly Call[]): Reply[] {
  const after = new Map(values);
  return calls.map((call) => {
    const { value, reply } = run(after.get(keyOf(call)) ?? null, call);
    after.set(keyOf(call), value);
    return reply;
  });
}

/** One line per operation. Only the order of the moments is to scale; an unknown outcome is open to the right. */
function picture(operations: readonly Operation[], unplaced: Operation): string {
  const moments = operations.flatMap((operation) => [operation.invoked, returnedAt(operation)]);
  const ranks = [...new Set(moments.filter(Number.isFinite))].sort((a, b) => a - b);
  const columns = new Map(ranks.map((moment, rank) => [moment, rank]));
  const scale = Math.min(3, PICTURE_WIDTH / Math.max(1, ranks.length));
  const column = (moment: number): number => Math.round((columns.get(moment) ?? ranks.length) * scale);
  const width = column(Infinity);
  const sorted = [...operations].sort((a, b) => a.invoked - b.invoked);
  const lines = sorted.map((operation) => {
    const from = column(operation.invoked);
    const known = operation.outcome !== null;
    const to = Math.max(column(returnedAt(operation)), from + 1);
    const bar = `├${(known ? '─' : '╌').repeat(to - from - 1)}${known ? '┤' : '╌'}`;
    const mark = operation === unplaced ? '  ◀ does not fit' : '';
    return `  ${`${' '.repeat(from)}${bar}`.padEnd(width + 1)}  ${shown(operation)}${mark}`;
  });
  return listed(lines, '');
}

function listed(lines: readonly string[], indent = '  '): string {
  if (lines.length === 0) return `${indent}(nothing)`;
  const half = LISTED_MAX / 2;
  const some =
    lines.length <= LISTED_MAX
      ? lines
      : [...lines.slice(0, half), `… ${lines.length - LISTED_MAX} more …`, ...lines.slice(-half)];
  return some.map((line) => (line.startsWith(indent) ? line : indent + line)).join('\n');
}

function shown({ client, invoked, calls, outcome }: Operation): string {
  const text = calls.map((call) => call.map((word) => shortened(word)).join(' ')).join(' + ');
  const interval = `[${invoked.toFixed(1)} … ${outcome === null ? '' : `${outcome.returned.toFixed(1)} `}ms]`;
  return `${client} ${interval} ${text} → ${outcome === null ? 'unknown' : outcome.replies === null ? 'any' : shownReplies(outcome.replies)}`;
}

function shownReplies(replies: readonly Reply[]): string {
  return replies.map((reply) => shortened(JSON.stringify(reply))).join(' + ');
}

function shownValue(value: Value): string {
  return value === null ? '(no such key)' : shortened(JSON.stringify(value));
}

function shortened(text: string): string {
  if (text.length <= VALUE_LENGTH_MAX) return text;
  const half = VALUE_LENGTH_MAX / 2;
  return `${text.slice(0, half)}…(${text.length} bytes)…${text.slice(-half)}`;
}
