/** What a script's reader wants to know of what goes on: the notable happenings, in one line each. */
import { type Effect, type Message, type NodeId } from '../../src/raft/types.ts';
import { proposalOf } from './checks.ts';
import type { Cluster } from './cluster.ts';
import type { TraceRecord } from './trace.ts';
import { configurationWords, entriesWords, messageWords } from './words.ts';

/** Names that belong together in one line. */
interface Group {
  /** What happened to the writes; the next of the same kind joins them. */
  readonly kind: string;
  readonly names: string[];
  readonly entries: { index: number; term: number }[];
}

interface Sent {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: Message;
  lost: boolean;
}

/** Watches a cluster and keeps what is to be told until it is asked for. */
export class News {
  /** Every record since the beginning, for a diagram. */
  readonly records: TraceRecord[] = [];
  private cluster: Cluster | null = null;
  private lines: (string | Group)[] = [];
  private sent: Sent[] = [];
  private readonly writes = new Map<string, number>();
  private readonly names = new Map<number, string>();
  /** Writes whose outcome was not told yet. */
  private readonly open = new Set<string>();
  /** What stands in the state machine, by index. */
  private readonly applied: string[] = [];
  /** Configurations are told once, not by every node. */
  private members = '';
  private started = false;

  /** From here on everything is told; what happened before is how every cluster begins. */
  begin(cluster: Cluster): void {
    this.cluster = cluster;
    this.started = true;
    const { node } = cluster.host('n1');
    if (node !== null) this.members = configurationWords(node.log.configuration);
    cluster.onStepped = () => this.lookAtWrites();
  }

  /** Gives the write that is proposed next its name. */
  nameWrite(name: string, id: number): void {
    if (this.writes.has(name)) throw new Error(`there is a write ${name} already`);
    this.writes.set(name, id);
    this.names.set(id, name);
    this.open.add(name);
  }

  /** The number of a write. */
  writeOf(name: string): number {
    const id = this.writes.get(name);
    if (id === undefined) throw new Error(`there is no write ${name}`);
    return id;
  }

  watch(record: TraceRecord): void {
    this.records.push(record);
    switch (record.type) {
      case 'note':
        if (this.started && record.id !== null) this.lines.push(`${record.id} ${record.text}`);
        break;
      case 'lost': {
        const { message, from, to } = record;
        const sent = this.sent.findLast((one) => one.message === message);
        if (sent === undefined) this.sent.push({ from, to, message, lost: true });
        else sent.lost = true;
        break;
      }
      case 'step':
        for (const effect of record.effects) this.onEffect(record.id, effect);
        break;
    }
  }

  private onEffect(id: NodeId, effect: Effect): void {
    switch (effect.type) {
      case 'send':
        this.sent.push({ from: id, to: effect.to, message: effect.message, lost: false });
        break;
      case 'persist': {
        for (const { to, message } of effect.replies) this.sent.push({ from: id, to, message, lost: false });
        const first = effect.entries[0]?.index;
        const last = this.cluster?.host(id).disk.lastIndex ?? 0;
        if (first !== undefined && effect.snapshot === null && first <= last)
          this.lines.push(
            `${id} cuts off ${first === last ? first : `${first}..${last}`} and writes ${entriesWords(effect.entries)}`,
          );
        break;
      }
      case 'leadership':
        if (effect.role === 'leader') this.lines.push(`${id} leads term ${effect.term}`);
        else if (effect.role === 'candidate') this.lines.push(`${id} campaigns in term ${effect.term}`);
        else if (this.cluster?.host(id).wasLeader === true) this.lines.push(`${id} leads no more`);
        break;
      case 'proposed':
        this.group(`${id} takes`, this.nameOf(effect.id), effect);
        break;
      case 'rejected':
        this.group(`${id} turns away (${effect.reason})`, this.nameOf(effect.id), null);
        this.open.delete(this.nameOf(effect.id));
        break;
      case 'apply':
        for (const entry of effect.entries) {
          const name = this.names.get(proposalOf(entry));
          if (name !== undefined && entry.payload.length > 0 && this.isOf(name, entry))
            this.applied[entry.index] = name;
        }
        break;
      case 'readReady':
        for (const _ of effect.ids) this.lines.push(`${id} answers a read: ${this.visibleOn(id)}`);
        break;
      case 'readFailed':
        for (const _ of effect.ids) this.lines.push(`${id} fails a read: ${effect.reason}`);
        break;
      case 'fetchSnapshot':
        this.lines.push(
          `${id} fetches snapshot ${effect.snapshot.index}@${effect.snapshot.term} from ${effect.from}`,
        );
        break;
      case 'restoreSnapshot':
        this.lines.push(`${id} restores snapshot ${effect.snapshot.index}@${effect.snapshot.term}`);
        break;
      case 'transferEnded':
        this.lines.push(effect.ok ? `${id} has handed over` : `${id} hands over to nobody`);
        break;
      case 'configuration':
        this.onConfiguration(id, configurationWords(effect.configuration));
        break;
      case 'membershipChanged':
        this.lines.push(`${id} has changed the members to ${configurationWords(effect.configuration)}`);
        break;
      case 'membershipRejected':
        this.lines.push(`${id} changes no members: ${effect.reason}`);
        break;
      case 'readLog':
      case 'compact':
        break;
    }
  }

  /** The others learn of a configuration with their log; told is what a leader begins, and what is taken back. */
  private onConfiguration(id: NodeId, members: string): void {
    const host = this.cluster?.host(id);
    const before = host?.configurationIndex ?? 0;
    const index = host?.node?.log.configurationIndex ?? 0;
    if (index < before) this.lines.push(`${id} goes back to the members ${members}`);
    else if (host?.leads === true && members !== this.members)
      this.lines.push(`members by ${id}: ${members}`);
    this.members = members;
  }

  /** An entry is a client's write only where the write became that entry. */
  private isOf(name: string, { index, term }: { readonly index: number; readonly term: number }): boolean {
    const proposal = this.cluster?.checks.proposals[this.writeOf(name)];
    return proposal?.index === index && proposal.term === term;
  }

  private lookAtWrites(): void {
    for (const name of this.open) {
      const outcome = this.cluster?.checks.proposals[this.writeOf(name)]?.outcome;
      if (outcome === undefined || outcome === 'open') continue;
      this.open.delete(name);
      if (outcome !== 'rejected') this.group(outcome === 'unknown' ? 'outcome unknown' : outcome, name, null);
    }
  }

  private nameOf(id: number): string {
    return this.names.get(id) ?? `write ${id}`;
  }

  private group(kind: string, name: string, entry: { index: number; term: number } | null): void {
    const last = this.lines.at(-1);
    const group: Group =
      last !== undefined && typeof last !== 'string' && last.kind === kind
        ? last
        : { kind, names: [], entries: [] };
    if (group !== last) this.lines.push(group);
    group.names.push(name);
    if (entry !== null) group.entries.push(entry);
  }

  private visibleOn(id: NodeId): string {
    const applied = this.cluster?.host(id).node?.appliedIndex ?? 0;
    return namesWords(this.applied.slice(0, applied + 1).filter((name) => name !== undefined)) || 'nothing';
  }

  /** What happened since it was last asked. */
  take(): string[] {
    this.lookAtWrites();
    const { lines } = this;
    this.lines = [];
    return lines.map((line) => {
      if (typeof line === 'string') return line;
      const as = line.entries.length === 0 ? '' : ` as ${entriesWords(line.entries)}`;
      return `${line.kind}: ${namesWords(line.names)}${as}`;
    });
  }

  /** What is sent from here on belongs to the next command. */
  forgetMessages(): void {
    this.sent = [];
  }

  /** What the last command made the nodes send: of these types, or all but heartbeats; to or from one of these nodes. */
  messages(types: readonly string[], nodes: readonly NodeId[]): string[] {
    const lines: { readonly text: string; readonly from: NodeId; readonly to: Map<NodeId, number> }[] = [];
    for (const { from, to, message, lost } of this.sent) {
      const asked = types.length === 0 ? !message.type.startsWith('heartbeat') : types.includes(message.type);
      const concerned = nodes.length === 0 || nodes.includes(from) || nodes.includes(to);
      if (!asked || !concerned) continue;
      const text = messageWords(message) + (lost ? ' (lost)' : '');
      const last = lines.at(-1);
      if (last !== undefined && last.from === from && last.text === text)
        last.to.set(to, (last.to.get(to) ?? 0) + 1);
      else lines.push({ text, from, to: new Map([[to, 1]]) });
    }
    const times = ([to, count]: [NodeId, number]): string => (count === 1 ? to : `${to} (${count} times)`);
    return lines.map(({ text, from, to }) => `${from} > ${[...to].map(times).join(' ')}  ${text}`);
  }
}

/** `a b c1..c20`. */
function namesWords(names: readonly string[]): string {
  const runs: { stem: string; first: number; last: number }[] = [];
  for (const name of names) {
    const [, stem = name, digits = ''] = /^(.*?)(\d*)$/.exec(name) ?? [];
    const number = Number(digits || Number.NaN);
    const run = runs.at(-1);
    if (run !== undefined && run.stem === stem && run.last + 1 === number) run.last = number;
    else runs.push({ stem, first: number, last: number });
  }
  return runs
    .map(({ stem, first, last }) => {
      if (Number.isNaN(first)) return stem;
      return first === last ? `${stem}${first}` : `${stem}${first}..${stem}${last}`;
    })
    .join(' ');
}
