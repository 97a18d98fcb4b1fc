/**
 * Replies as text. For people and for pipes they look as redis-cli 7.0 shows them; in pipes as it shows those of RESP2,
 * one element a line, whichever protocol was spoken.
 */
import { type Json, JsonReply } from '../../server/json-reply.ts';
import { quoted } from '../../server/resp/quoted.ts';
import type { Reply } from './reply.ts';

/** A byte string without the line's end; */
export type Show = (reply: Reply) => string;

const EMPTY = {
  array: '(empty array)',
  map: '(empty hash)',
  set: '(empty set)',
  push: '(empty push)',
} as const;
const AFTER_NUMBER = { array: ')', push: ')', map: '#', set: '~' } as const;

/** For people: types and quotes. */
export function human(reply: Reply): string {
  return indented(reply, '');
}

function indented(reply: Reply, prefix: string): string {
  switch (reply.type) {
    case 'error':
      return `(error) ${reply.text}`;
    case 'status':
    case 'verbatim':
    case 'bignumber':
      return reply.text;
    case 'integer':
      return `(integer) ${reply.text}`;
    case 'double':
      return `(double) ${reply.text}`;
    case 'bulk':
      return quoted(reply.text);
    case 'nil':
      return '(nil)';
    case 'boolean':
      return reply.value ? '(true)' : '(false)';
    case 'array':
    case 'set':
    case 'push':
    case 'map':
      return numbered(reply, prefix);
  }
}

function numbered({ type, items }: Extract<Reply, { items: unknown }>, prefix: string): string {
  if (items.length === 0) return EMPTY[type];
  const perItem = type === 'map' ? 2 : 1;
  const digits = `${items.length / perItem}`.length;
  const inner = prefix + ' '.repeat(digits + 2);
  const lines: string[] = [];
  for (let at = 0; at < items.length; at += perItem) {
    const number = `${at / perItem + 1}`.padStart(digits);
    const [first = '', second] = items.slice(at, at + perItem).map((item) => indented(item, inner));
    // In a map a value of several lines begins on one of its own.
    const value = second === undefined ? '' : ` => ${second.includes('\n') ? `\n${inner}` : ''}${second}`;
    // The first element stands behind the number of what it is in.
    lines.push(`${at === 0 ? '' : prefix}${number}${AFTER_NUMBER[type]} ${first}${value}`);
  }
  return lines.join('\n');
}

/** For programs: nothing but the bytes, one element a line. */
export function raw(reply: Reply): string {
  switch (reply.type) {
    case 'nil':
      return '';
    case 'boolean':
      return reply.value ? '1' : '0';
    case 'array':
    case 'set':
    case 'push':
    case 'map':
      return reply.items.map(raw).join('\n');
    default:
      return reply.text;
  }
}

/** For people who look at a file: like {@link raw}, but what is not there or failed can be seen. */
export function plain(reply: Reply): string {
  switch (reply.type) {
    case 'nil':
    case 'error':
      return human(reply);
    case 'array':
    case 'set':
    case 'push':
    case 'map':
      return reply.items.length === 0 ? '(empty)' : reply.items.map(plain).join('\n');
    default:
      return raw(reply);
  }
}

/** For programs: one JSON value a line, in the same terms as replies over HTTP. `note`: goes into an error. */
export function json(reply: Reply, note: Readonly<Record<string, Json>> = {}): string {
  const writer = new JsonReply();
  write(reply, writer);
  const { failure } = writer;
  const value: Json = failure === null ? (writer.result ?? null) : { error: { ...failure, ...note } };
  return Buffer.from(JSON.stringify(value), 'utf8').toString('latin1');
}

function write(reply: Reply, writer: JsonReply): void {
  switch (reply.type) {
    case 'status':
      writer.simple(reply.text);
      return;
    case 'error':
      writer.error(reply.text);
      return;
    case 'bulk':
    case 'verbatim':
      writer.bulk(reply.text);
      return;
    case 'integer': {
      const value = Number(reply.text);
      writer.integer(Number.isSafeInteger(value) ? value : BigInt(reply.text));
      return;
    }
    case 'double':
      writer.double(Number(reply.text.replace('inf', 'Infinity')));
      return;
    case 'bignumber':
      writer.bigNumber(reply.text);
      return;
    case 'nil':
      writer.bulk(null);
      return;
    case 'boolean':
      writer.boolean(reply.value);
      return;
    case 'array':
    case 'push':
      writer.array(reply.items.length);
      break;
    case 'set':
      writer.set(reply.items.length);
      break;
    case 'map':
      writer.map(reply.items.length / 2);
      break;
  }
  for (const item of reply.items) write(item, writer);
}
