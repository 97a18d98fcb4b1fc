/** The last lines of a run, and a hash over all of it: the same seed must give the same hash. */
import type { Effect, Entry, Event, Message, NodeId } from '../../src/raft/types.ts';

/** Lines kept for the report of a failure. */
const LINES_KEPT = 60;

interface Step {
  readonly at: number;
  readonly id: NodeId;
  readonly event: Event;
  readonly effects: readonly Effect[];
}

export class Trace {
  steps = 0;
  hash = 0x811c9dc5;
  private readonly recent: (Step | string)[] = [];
  private at = 0;
  private readonly print: ((line: string) => void) | null;

  /** `print` gets every line at once. */
  constructor(print: ((line: string) => void) | null) {
    this.print = print;
  }

  step(at: number, id: NodeId, event: Event, effects: readonly Effect[], numbers: readonly number[]): void {
    this.steps += 1;
    this.mix(at * 1000);
    this.mix(id.charCodeAt(id.length - 1));
    this.mix(event.type.length);
    this.mix(effects.length);
    for (const number of numbers) this.mix(number);
    const record: Step = { at, id, event, effects };
    this.keep(record);
    this.print?.(formatStep(record));
  }

  /** Something that is not a step of a node. */
  note(at: number, text: string): void {
    const line = `${time(at)} ${text}`;
    for (let position = 0; position < text.length; position += 1) this.mix(text.charCodeAt(position));
    this.keep(line);
    this.print?.(line);
  }

  lines(): string[] {
    const inOrder = [...this.recent.slice(this.at), ...this.recent.slice(0, this.at)];
    return inOrder.map((line) => (typeof line === 'string' ? line : formatStep(line)));
  }

  private keep(line: Step | string): void {
    this.recent[this.at] = line;
    this.at = (this.at + 1) % LINES_KEPT;
  }

  /** FNV-1a over 32-bit words. */
  private mix(value: number): void {
    this.hash = Math.imul(this.hash ^ value, 0x01000193);
  }
}

function time(at: number): string {
  return at.toFixed(3).padStart(11);
}

function formatStep({ at, id, event, effects }: Step): string {
  const shown = effects.map((effect) => formatEffect(effect));
  return `${time(at)} ${id} ${formatEvent(event)}${shown.length > 0 ? ` ⇒ ${shown.join(' · ')}` : ''}`;
}

function formatEvent(event: Event): string {
  switch (event.type) {
    case 'message':
      return `← ${event.from} ${formatMessage(event.message)}`;
    case 'logRead':
      return `logRead ${event.id} ${formatEntries(event.entries)}`;
    case 'propose':
      return `propose ${event.id}`;
    default:
      return compactJson(event);
  }
}

function formatEffect(effect: Effect): string {
  switch (effect.type) {
    case 'send':
      return `→ ${effect.to} ${formatMessage(effect.message)}`;
    case 'apply':
      return `apply ${formatEntries(effect.entries)}`;
    case 'persist': {
      const { sequence, hardState, snapshot, entries, commit, replies } = effect;
      const parts = [`persist #${sequence}`];
      if (hardState !== null) parts.push(`term ${hardState.term} vote ${hardState.vote ?? '-'}`);
      if (snapshot !== null) parts.push(`snapshot ${snapshot.index}@${snapshot.term}`);
      parts.push(formatEntries(entries), `commit ${commit}`);
      for (const { to, message } of replies) parts.push(`then → ${to} ${formatMessage(message)}`);
      return parts.join(' ');
    }
    default:
      return compactJson(effect);
  }
}

export function formatMessage(message: Message): string {
  if (message.type !== 'append') return compactJson(message);
  const { term, prevIndex, prevTerm, entries, commit } = message;
  return `append term ${term} after ${prevIndex}@${prevTerm} ${formatEntries(entries)} commit ${commit}`;
}

function formatEntries(entries: readonly Entry[]): string {
  return `[${entries.map(({ index, term }) => `${index}@${term}`).join(' ')}]`;
}

/** An event, effect or message as `type field=value …`; a snapshot by its index and term only. */
function compactJson(value: { readonly type: string }): string {
  const fields = Object.entries(value)
    .filter(([name]) => name !== 'type' && name !== 'now' && name !== 'configuration')
    .map(([name, field]: [string, unknown]) => {
      if (typeof field === 'object' && field !== null && 'configuration' in field) {
        const { index, term } = field as { index?: number; term?: number };
        return `${name}=${index}@${term}`;
      }
      return `${name}=${JSON.stringify(field)}`;
    });
  return [value.type, ...fields].join(' ');
}
