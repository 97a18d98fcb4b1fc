/** The last lines of a run, and a hash over all of it: the same seed must give the same hash. */
import type { Effect, Entry, Event, Message, NodeId, RoleName } from '../../src/raft/types.ts';

/** Records kept for the report of a failure. */
const RECORDS_KEPT = 60;

/** A node after a step. */
export interface View {
  readonly role: RoleName;
  readonly term: number;
  readonly lastIndex: number;
  readonly commit: number;
}

/** One thing that happened, at a virtual time in ms. */
export type TraceRecord =
  | {
      readonly type: 'step';
      readonly at: number;
      readonly id: NodeId;
      readonly event: Event;
      readonly effects: readonly Effect[];
      readonly view: View;
    }
  | {
      readonly type: 'lost';
      readonly at: number;
      readonly from: NodeId;
      readonly to: NodeId;
      readonly message: Message;
    }
  /** Something done to a node, or to the whole cluster. */
  | { readonly type: 'note'; readonly at: number; readonly id: NodeId | null; readonly text: string };

export class Trace {
  steps = 0;
  hash = 0x811c9dc5;
  private readonly recent: TraceRecord[] = [];
  private at = 0;
  private readonly watch: ((record: TraceRecord) => void) | null;

  /** `watch` gets every record at once. */
  constructor(watch: ((record: TraceRecord) => void) | null) {
    this.watch = watch;
  }

  step(at: number, id: NodeId, event: Event, effects: readonly Effect[], view: View): void {
    this.steps += 1;
    this.mix(at * 1000);
    this.mix(id.charCodeAt(id.length - 1));
    this.mix(event.type.length);
    this.mix(effects.length);
    this.mix(view.term);
    this.mix(view.lastIndex);
    this.mix(view.commit);
    this.mix(view.role.length);
    this.keep({ type: 'step', at, id, event, effects, view });
  }

  /** A message will not arrive. */
  lost(at: number, from: NodeId, to: NodeId, message: Message): void {
    this.keep({ type: 'lost', at, from, to, message });
  }

  /** Something that is not a step of a node. */
  note(at: number, id: NodeId | null, text: string): void {
    for (let position = 0; position < text.length; position += 1) this.mix(text.charCodeAt(position));
    this.keep({ type: 'note', at, id, text });
  }

  /** The last records, oldest first. */
  records(): TraceRecord[] {
    return [...this.recent.slice(this.at), ...this.recent.slice(0, this.at)];
  }

  private keep(record: TraceRecord): void {
    this.recent[this.at] = record;
    this.at = (this.at + 1) % RECORDS_KEPT;
    this.watch?.(record);
  }

  /** FNV-1a over 32-bit words. */
  private mix(value: number): void {
    this.hash = Math.imul(this.hash ^ value, 0x01000193);
  }
}

function time(at: number): string {
  return at.toFixed(3).padStart(11);
}

/** One line. */
export function formatRecord(record: TraceRecord): string {
  const at = time(record.at);
  switch (record.type) {
    case 'note':
      return [at, record.id, record.text].filter((part) => part !== null).join(' ');
    case 'lost':
      return `${at} ${record.from} → ${record.to} lost: ${formatMessage(record.message)}`;
    case 'step': {
      const shown = record.effects.map((effect) => formatEffect(effect));
      const effects = shown.length > 0 ? ` ⇒ ${shown.join(' · ')}` : '';
      return `${at} ${record.id} ${formatEvent(record.event)}${effects}`;
    }
  }
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
