/**
 * What each command does to one key when nothing else happens: the sequential specification that a history is held
 * against. Deliberately naive, and written from the commands' documentation, not from the store's code.
 *
 * | model | commands |
 * |---|---|
 * | register | GET, SET with NX, XX and GET, DEL |
 * | counter | INCRBY, GET |
 * | string appended to | APPEND, GET |
 * | list | RPUSH, LPUSH, RPOP, LPOP, LRANGE key 0 -1 |
 *
 * Transactions over several keys need no model of their own: an operation is a list of calls.
 */
import type { Call, Reply } from './history.ts';

/** `null`: there is no such key. */
export type Value = null | string | readonly string[];

export interface Step {
  readonly value: Value;
  readonly reply: Reply;
}

const READS: ReadonlySet<string> = new Set(['GET', 'LRANGE']);

/** Whether a call never changes anything. */
export function isRead(call: Call): boolean {
  return READS.has(call[0]);
}

/** Whether a call that got this answer, if it is known, changed nothing, whatever there was. */
export function changedNothing(call: Call, reply: Reply | undefined): boolean {
  const [command] = call;
  if (command === 'DEL') return reply === 0;
  if (command === 'SET') return reply === null && !call.includes('GET', 3);
  if (command === 'LPOP' || command === 'RPOP') return reply === null;
  return isRead(call);
}

/** The only key of a call. */
export function keyOf(call: Call): string {
  const [, key] = call;
  if (key === undefined) throw new Error(`the model knows only commands with a key: ${call.join(' ')}`);
  return key;
}

/** Executes one call on the value of its key. Throws for a command or an argument that the model does not know. */
export function run(value: Value, call: Call): Step {
  const [command, , argument = ''] = call;
  switch (command) {
    case 'GET':
      return { value, reply: text(value) };
    case 'SET':
      return set(value, argument, call.slice(3));
    case 'DEL':
      return { value: null, reply: value === null ? 0 : 1 };
    case 'INCRBY': {
      const sum = Number(text(value) ?? 0) + Number(argument);
      return { value: String(sum), reply: sum };
    }
    case 'APPEND': {
      const longer = (text(value) ?? '') + argument;
      return { value: longer, reply: longer.length };
    }
    case 'RPUSH': {
      const longer = [...list(value), ...call.slice(2)];
      return { value: longer, reply: longer.length };
    }
    case 'LPUSH': {
      const longer = [...call.slice(2).toReversed(), ...list(value)];
      return { value: longer, reply: longer.length };
    }
    case 'LPOP':
      return { value: listValue(list(value).slice(1)), reply: list(value)[0] ?? null };
    case 'RPOP':
      return { value: listValue(list(value).slice(0, -1)), reply: list(value).at(-1) ?? null };
    case 'LRANGE':
      if (argument !== '0' || call[3] !== '-1')
        throw new Error('the model reads lists only as a whole, 0 -1');
      return { value, reply: list(value) };
    default:
      throw new Error(`the model does not know ${command}; describe it in models.ts`);
  }
}

function set(value: Value, next: string, options: readonly string[]): Step {
  const previous = options.includes('GET') ? text(value) : null;
  const blocked = options.includes(value === null ? 'XX' : 'NX');
  const reply = options.includes('GET') ? previous : blocked ? null : 'OK';
  return { value: blocked ? value : next, reply };
}

function text(value: Value): string | null {
  if (value === null || typeof value === 'string') return value;
  throw new Error('the history uses a list as a string');
}

function list(value: Value): readonly string[] {
  if (typeof value === 'string') throw new Error('the history uses a string as a list');
  return value ?? [];
}

/** A list without elements does not exist. */
function listValue(elements: readonly string[]): Value {
  return elements.length === 0 ? null : elements;
}
