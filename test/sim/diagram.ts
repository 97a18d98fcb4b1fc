/**
 * A run as a sequence diagram: one column per node, time downwards, a row per thing that happened. What repeats itself
 * without consequence (heartbeats, ticks) is left out.
 *
 * ```
 *      time  n1                          n2                          n3
 *     1.234  │ campaigns in term 2       │                           │
 *     1.234  ├── vote? term 2 log 1@1 ──▶│                           │
 *     1.240  │                           │ disk ◂ term 2 vote n1     │
 *     1.310  ├────────────────── vote? term 2 log 1@1 ──────────✗    │
 * ```
 */
import type { Effect, Event, Message, NodeId, Persist } from '../../src/raft/types.ts';
import type { TraceRecord, View } from './trace.ts';
import { changeWords, configurationWords, entriesWords, messageWords } from './words.ts';

/** A row of the diagram. */
type Row =
  | {
      readonly type: 'message';
      readonly at: number;
      readonly from: NodeId;
      readonly to: NodeId;
      readonly text: string;
      readonly lost: boolean;
    }
  | { readonly type: 'node'; readonly at: number; readonly id: NodeId; readonly text: string }
  | { readonly type: 'all'; readonly at: number; readonly text: string };

export type DiagramStyle = 'text' | 'mermaid';

/** A message that took longer, in ms, says when it was sent. */
const LATE_MS = 50;
/** Room for times on the left. */
const MARGIN = 12;
/** Width of the whole text diagram that columns are fitted into. */
const WIDTH = 150;
const COLUMN_MIN = 16;
const COLUMN_MAX = 44;

/** Draws the last `lines` rows of what the records tell. */
export function drawDiagram(records: readonly TraceRecord[], style: DiagramStyle, lines: number): string {
  const all = rowsOf(records);
  const rows = all.slice(-lines);
  const left = all.length - rows.length;
  const ids = [...new Set(all.flatMap((row) => idsOf(row)))].sort((a, b) =>
    a.localeCompare(b, 'en', { numeric: true }),
  );
  const note = left > 0 ? `(${left} earlier rows are not shown)` : '';
  return style === 'mermaid' ? drawMermaid(rows, ids, note) : drawText(rows, all.slice(0, left), ids, note);
}

function idsOf(row: Row): readonly NodeId[] {
  switch (row.type) {
    case 'message':
      return [row.from, row.to];
    case 'node':
      return [row.id];
    case 'all':
      return [];
  }
}

/* ---- from records to rows ------------------------------------------------------------------------------------- */

function rowsOf(records: readonly TraceRecord[]): Row[] {
  const rows: Row[] = [];
  const views = new Map<NodeId, View>();
  const sentAt = new Map<Message, number>();
  const writes = new Map<NodeId, string>();
  for (const record of records) {
    const { at } = record;
    switch (record.type) {
      case 'note':
        if (record.id === null) rows.push({ type: 'all', at, text: record.text });
        else rows.push({ type: 'node', at, id: record.id, text: record.text });
        if (record.id !== null) views.delete(record.id);
        break;
      case 'lost':
        if (isLoud(record.message))
          rows.push({ ...record, type: 'message', text: messageWords(record.message), lost: true });
        break;
      case 'step': {
        const { id, event, effects, view } = record;
        for (const message of sentBy(effects)) sentAt.set(message, at);
        const news = newsOf(views.get(id), view, effects);
        const durable = event.type === 'persisted' ? writes.get(id) : undefined;
        const write = writtenBy(effects);
        if (write !== null) writes.set(id, write);
        else if (event.type === 'persisted') writes.delete(id);
        views.set(id, view);
        const line = (text: string): void => void rows.push({ type: 'node', at, id, text });
        if (event.type === 'message' && (isLoud(event.message) || news.length > 0)) {
          const late = at - (sentAt.get(event.message) ?? at);
          const age = late < LATE_MS ? '' : ` (${Math.round(late)} ms old)`;
          const text = messageWords(event.message) + age;
          rows.push({ type: 'message', at, from: event.from, to: id, text, lost: false });
        }
        const told = eventWords(event);
        if (told !== null) line(told);
        if (durable !== undefined && durable !== '') line(`disk ✓ ${durable}`);
        if (news.length > 0) line(news.join(', '));
        if (write !== null && write !== '') line(`disk ◂ ${write}`);
        break;
      }
    }
  }
  return rows;
}

/** What comes from outside the cluster. */
function eventWords(event: Event): string | null {
  switch (event.type) {
    case 'read':
      return `is asked to read (${event.id})`;
    case 'transfer':
      return `is asked to hand over${event.to === null ? '' : ` to ${event.to}`}`;
    case 'changeMembership':
      return `is asked to ${changeWords(event.change)}`;
    case 'peerDown':
      return `sees that ${event.peer} is gone`;
    case 'snapshotSaved':
      return `has saved snapshot ${event.snapshot.index}@${event.snapshot.term}`;
    case 'snapshotFetchFailed':
      return `could not fetch snapshot ${event.snapshot.index}`;
    case 'tick':
    case 'message':
    case 'persisted':
    case 'propose':
    case 'logRead':
    case 'snapshotFetched':
    case 'snapshotRestored':
    case 'unreachable':
    case 'campaign':
      return null;
  }
}

/** Heartbeats matter only for what they change. */
function isLoud(message: Message): boolean {
  return message.type !== 'heartbeat' && message.type !== 'heartbeatReply';
}

function sentBy(effects: readonly Effect[]): Message[] {
  return effects.flatMap((effect) => {
    if (effect.type === 'send') return [effect.message];
    return effect.type === 'persist' ? effect.replies.map(({ message }) => message) : [];
  });
}

/** What a disk write that begins here holds; `null` where none begins. */
function writtenBy(effects: readonly Effect[]): string | null {
  const persist = effects.find((effect): effect is Persist => effect.type === 'persist');
  if (persist === undefined) return null;
  const { hardState, snapshot, entries } = persist;
  const parts: string[] = [];
  if (hardState !== null) {
    parts.push(
      `term ${hardState.term} vote ${hardState.vote ?? '-'}${hardState.recovering ? ' recovering' : ''}`,
    );
  }
  if (snapshot !== null) parts.push(`snapshot ${snapshot.index}@${snapshot.term}`);
  if (entries.length > 0) parts.push(entriesWords(entries));
  return parts.join(', ');
}

/** What is different about the node after the step, in words. */
function newsOf(before: View | undefined, after: View, effects: readonly Effect[]): string[] {
  const news: string[] = [];
  if (before !== undefined && (before.role !== after.role || before.term !== after.term)) {
    news.push(roleWords(before, after));
  }
  for (const effect of effects) {
    const words = effectWords(effect);
    if (words !== null) news.push(words);
  }
  if (before !== undefined && before.commit !== after.commit) news.push(`commit ${after.commit}`);
  return news;
}

function roleWords(before: View, { role, term }: View): string {
  switch (role) {
    case 'follower':
      if (before.term === term) return before.role === 'leader' ? 'leads no more' : 'gives up';
      return before.role === 'follower' ? `term ${term}` : `follower, term ${term}`;
    case 'preCandidate':
      return 'pre-candidate';
    case 'candidate':
      return `campaigns in term ${term}`;
    case 'leader':
      return `LEADS term ${term}`;
  }
}

function effectWords(effect: Effect): string | null {
  switch (effect.type) {
    case 'proposed':
      return `takes write ${effect.id} as ${effect.index}@${effect.term}`;
    case 'rejected':
      return `turns write ${effect.id} away: ${effect.reason}`;
    case 'readReady':
      return `answers read ${effect.ids.join(' ')}`;
    case 'readFailed':
      return `read ${effect.ids.join(' ')} fails: ${effect.reason}`;
    case 'fetchSnapshot':
      return `fetches snapshot ${effect.snapshot.index} from ${effect.from}`;
    case 'restoreSnapshot':
      return `restores snapshot ${effect.snapshot.index}`;
    case 'configuration':
      return `members ${configurationWords(effect.configuration)}`;
    case 'membershipChanged':
      return 'membership changed';
    case 'membershipRejected':
      return `no change of members: ${effect.reason}`;
    case 'transferEnded':
      return effect.ok ? 'handed over' : 'handed over to nobody';
    case 'persist':
    case 'send':
    case 'apply':
    case 'readLog':
    case 'compact':
    case 'leadership':
      return null;
  }
}

/* ---- text ----------------------------------------------------------------------------------------------------- */

function drawText(
  rows: readonly Row[],
  earlier: readonly Row[],
  ids: readonly NodeId[],
  note: string,
): string {
  const column = columnWidth(rows, ids.length);
  const xOf = (id: NodeId): number => MARGIN + Math.max(0, ids.indexOf(id)) * column;
  const down = new Set<NodeId>();
  for (const row of earlier) follow(row, down);
  const lines = [ids.reduce((line, id) => put(line, xOf(id), id), 'time in ms')];
  if (note !== '') lines.push(note);
  for (const row of rows) {
    follow(row, down);
    const lifelines = ids.reduce((line, id) => put(line, xOf(id), down.has(id) ? '┊' : '│'), '');
    const time = row.at.toFixed(1).padStart(MARGIN - 2);
    switch (row.type) {
      case 'all':
        lines.push(put(put(lifelines, 0, time), MARGIN + 2, `── ${row.text} ──`));
        break;
      case 'node':
        lines.push(put(put(lifelines, 0, time), xOf(row.id) + 2, `${row.text} `));
        break;
      case 'message':
        lines.push(put(arrow(lifelines, xOf(row.from), xOf(row.to), row.text, row.lost), 0, time));
        break;
    }
  }
  return lines.map((line) => line.trimEnd()).join('\n');
}

/** Keeps account of who is down; a note of the trace begins with the verb. */
function follow(row: Row, down: Set<NodeId>): void {
  if (row.type !== 'node') return;
  if (row.text.startsWith('crashes')) down.add(row.id);
  else if (row.text.startsWith('starts')) down.delete(row.id);
}

/** Wide enough for most labels between neighbours, as far as the page allows. */
function columnWidth(rows: readonly Row[], columns: number): number {
  const widest = Math.max(0, ...rows.map((row) => (row.type === 'all' ? 0 : row.text.length + 10)));
  const fitting = Math.floor((WIDTH - MARGIN) / Math.max(1, columns));
  return Math.min(Math.max(COLUMN_MIN, Math.min(fitting, widest)), COLUMN_MAX);
}

/** A label that finds no room between the two columns stands behind the last one. A lost message ends short. */
function arrow(line: string, from: number, to: number, text: string, lost: boolean): string {
  const rightwards = to > from;
  const room = Math.abs(to - from) - (lost ? 4 : 2);
  const label = text.length + 4 <= room ? ` ${text} ` : '';
  const before = Math.floor((room - label.length) / 2);
  const shaft = `${'─'.repeat(before)}${label}${'─'.repeat(room - label.length - before)}`;
  const drawn = rightwards
    ? put(line, from, `├${shaft}${lost ? '✗' : '▶'}`)
    : put(line, to + (lost ? 3 : 1), `${lost ? '✗' : '◀'}${shaft}┤`);
  return label === '' ? `${drawn}  ${text}` : drawn;
}

function put(line: string, at: number, text: string): string {
  return line.padEnd(at).slice(0, at) + text + line.slice(at + text.length);
}

/* ---- mermaid -------------------------------------------------------------------------------------------------- */

function drawMermaid(rows: readonly Row[], ids: readonly NodeId[], note: string): string {
  const [first, last] = [ids[0], ids.at(-1)];
  const everybody = first === last ? first : `${first},${last}`;
  const lines = ['sequenceDiagram', ...ids.map((id) => `  participant ${id}`)];
  if (note !== '') lines.push(`  Note over ${everybody}: ${note}`);
  for (const row of rows) {
    const text = `${row.text} [${row.at.toFixed(1)}]`.replaceAll(/[;#]/g, ',');
    switch (row.type) {
      case 'all':
        lines.push(`  Note over ${everybody}: ${text}`);
        break;
      case 'node':
        lines.push(`  Note over ${row.id}: ${text}`);
        break;
      case 'message':
        lines.push(`  ${row.from}${row.lost ? '-x' : '->>'}${row.to}: ${text}`);
        break;
    }
  }
  return lines.join('\n');
}
