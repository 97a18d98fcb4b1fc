/**
 * The invariants, held against every step of every node. The checker is omniscient: it keeps every entry that was
 * ever written, every vote, every commitment, and compares. All of it is incremental, so that a check costs less
 * than the step it checks.
 */
import { type Node, configurationOf } from '../../src/raft/node.ts';
import {
  decodeConfiguration,
  isMember,
  membersOf,
  NOBODY,
  standingOf,
} from '../../src/raft/configuration.ts';
import {
  asIndex,
  type Configuration,
  type Entry,
  EntryType,
  type Index,
  type Member,
  type Message,
  type NodeId,
  type Persist,
  type SnapshotMeta,
  type Term,
} from '../../src/raft/types.ts';
import type { Disk } from './disk.ts';
import { check, Failure } from './failure.ts';

/** What the checker asks a node's disk. */
export type DurableState = Pick<Disk, 'hardState' | 'lastIndex' | 'termAt' | 'holds' | 'hasFile' | 'read'>;

/** What the checker sees of a node. */
export interface Subject {
  readonly id: NodeId;
  readonly disk: DurableState;
  /** `null` while it is down. */
  readonly node: Node | null;
  /** The state machine: the last entry applied, and a hash over all applied entries. */
  readonly applied: number;
  readonly state: number;
  /** Whether the node had the entry on its disk, lost it, and can't vote before it has it again. */
  readonly owes?: (index: Index, term: Term) => boolean;
}

interface Written {
  readonly entry: Entry;
  /** Term of the entry before it. With log matching it is the same in every log; -1 where the first witness can't tell. */
  previousTerm: number;
}

/** What was last seen of one node. */
interface Seen {
  term: number;
  commit: number;
  leaderTerm: number;
  /** The highest term in which it promised something durable, over all its lives. */
  promisedTerm: number;
  readonly votes: Map<number, NodeId>;
}

export interface Proposal {
  /** -1 until it was appended. */
  index: number;
  term: number;
  outcome: 'open' | 'acknowledged' | 'rejected' | 'unknown';
}

/** Longest list of replies that may wait for one disk write. */
const REPLIES_MAX = 20_000;

export class Checks {
  /** Highest committed index. */
  committedIndex = 0;
  /** The last committed configuration and its index; that of the founding counts from the beginning. */
  configuration: Configuration = NOBODY;
  configurationIndex: Index = asIndex(0);
  readonly proposals: Proposal[] = [];
  /** Configuration entries that were written, anywhere, and may not be committed. */
  private begun: Entry[] = [];
  private readonly formerMembers = new Set<NodeId>();
  private readonly subjects: readonly Subject[];
  private readonly numberOf: (entry: Entry) => number;
  private readonly leaders = new Map<number, NodeId>();
  private readonly written: (Written[] | undefined)[] = [];
  /** By index: the term of the committed entry, and the term of the leader that committed it. */
  private readonly committedTerm: Term[] = [];
  private readonly committedBy: number[] = [];
  /** By index: hash of the state machine after it. */
  private readonly states: number[] = [0];
  private readonly seen = new Map<NodeId, Seen>();
  /** What every read from now on must see at least. */
  private readFloor = 0;

  /** `numberOf`: the number of the proposal that became this entry. */
  constructor(subjects: readonly Subject[], numberOf: (entry: Entry) => number = proposalOf) {
    this.subjects = subjects;
    this.numberOf = numberOf;
    for (const subject of subjects) this.joined(subject);
  }

  /** A node begins to exist. */
  joined({ id, disk }: Subject): void {
    this.seen.set(id, { term: 0, commit: 0, leaderTerm: 0, promisedTerm: 0, votes: new Map() });
    for (const entry of disk.read(asIndex(1), asIndex(1), 0)) {
      this.wrote(id, entry, 0, false);
      if (entry.type === EntryType.configuration && this.configurationIndex === 0) this.configured(entry);
    }
  }

  /** A node's disk does not know any more what it promised after some moment, and that was allowed to happen. */
  forgot({ id, disk: { hardState } }: Subject): void {
    const seen = this.of(id);
    seen.promisedTerm = hardState.term;
    for (const term of seen.votes.keys())
      if (term > hardState.term || (term === hardState.term && hardState.vote === null))
        seen.votes.delete(term);
  }

  /* ---- proposals and reads: the clients' view ------------------------------------------------------------------ */

  propose(): number {
    this.proposals.push({ index: -1, term: -1, outcome: 'open' });
    return this.proposals.length - 1;
  }

  acknowledged(id: number): void {
    const proposal = this.proposal(id);
    check(
      proposal.outcome === 'open',
      'DC',
      () => `write ${id} acknowledged after it was ${proposal.outcome}`,
    );
    proposal.outcome = 'acknowledged';
    this.readFloor = Math.max(this.readFloor, proposal.index);
  }

  /** The index that a read which begins now must see. */
  readBegins(): number {
    return this.readFloor;
  }

  readEnds(id: NodeId, required: number, applied: number): void {
    check(
      applied >= required,
      'LZ',
      () => `read on ${id} saw the state at ${applied}, but ${required} was visible before it began`,
    );
    this.readFloor = Math.max(this.readFloor, applied);
  }

  private proposal(id: number): Proposal {
    const proposal = this.proposals[id];
    check(proposal !== undefined, 'DC', () => `there is no write ${id}`);
    return proposal;
  }

  /* ---- nodes --------------------------------------------------------------------------------------------------- */

  /** A node came up from its disk. */
  opened(subject: Subject, node: Node): void {
    const seen = this.of(subject.id);
    check(
      node.term >= seen.promisedTerm,
      'MT',
      () => `${subject.id} came up in term ${node.term}, it had made promises in term ${seen.promisedTerm}`,
    );
    seen.term = node.term;
    seen.leaderTerm = 0;
    seen.commit = 0;
    this.commitAdvanced(subject, node, seen);
  }

  /** After every step, before its effects are carried out. */
  stepped(subject: Subject, node: Node): void {
    const seen = this.of(subject.id);
    check(node.term >= seen.term, 'MT', () => `${subject.id} went from term ${seen.term} to ${node.term}`);
    seen.term = node.term;
    if (node.role.name === 'leader' && seen.leaderTerm !== node.term) {
      seen.leaderTerm = node.term;
      this.tookLead(subject.id, node);
    }
    if (node.commitIndex !== seen.commit) this.commitAdvanced(subject, node, seen);
  }

  private tookLead(id: NodeId, node: Node): void {
    const other = this.leaders.get(node.term) ?? id;
    check(other === id, 'ES', () => `${other} and ${id} both lead term ${node.term}`);
    this.leaders.set(node.term, id);
    const durable = this.subject(id).disk.hardState.term;
    check(durable === node.term, 'MT', () => `${id} leads term ${node.term}, its disk is in term ${durable}`);
    // By log matching the last entry committed in an earlier term stands for all before it.
    let last = this.committedIndex;
    while (last > 0 && (this.committedBy[last] ?? 0) >= node.term) last -= 1;
    if (last <= node.log.compacted.index) return;
    check(
      node.log.termAt(asIndex(last)) === this.committedTerm[last],
      'LC',
      () =>
        `${id} leads term ${node.term} without entry ${last}@${this.committedTerm[last]}, committed before`,
    );
  }

  private commitAdvanced({ id }: Subject, node: Node, seen: Seen): void {
    const { commitIndex, log } = node;
    // A removed leader may have laid down its office in the step in which it committed its removal.
    const committedBefore = this.committedIndex;
    const hasLed = seen.leaderTerm === node.term && node.term > 0;
    check(commitIndex >= seen.commit, 'MT', () => `${id} took its commit index back to ${commitIndex}`);
    check(
      commitIndex <= log.lastIndex,
      'CI',
      () => `${id} committed ${commitIndex}, its log ends at ${log.lastIndex}`,
    );
    for (let index = Math.max(seen.commit, log.compacted.index) + 1; index <= commitIndex; index += 1) {
      const term = log.termAt(asIndex(index)) as Term;
      if (index <= this.committedIndex) {
        check(
          term === this.committedTerm[index],
          'CI',
          () =>
            `${id} committed ${index}@${term}, elsewhere ${index}@${this.committedTerm[index]} is committed`,
        );
      } else {
        check(
          hasLed || index === 1,
          'CI',
          () => `${id}, ${node.role.name}, takes ${index}@${term} for committed; no leader has committed it`,
        );
        this.committedTerm[index] = term;
        this.committedBy[index] = node.term;
        this.committedIndex = index;
        const entry = this.written[index]?.find((other) => other.entry.term === term)?.entry;
        if (entry?.type === EntryType.configuration) this.configured(entry);
      }
    }
    seen.commit = commitIndex;
    // A deposed leader may commit what is committed already, by the voters that it knows.
    if (this.committedIndex === committedBefore) return;
    const { voters, outgoing } = configurationOf(node);
    this.heldByMajority(voters);
    if (outgoing.length > 0) this.heldByMajority(outgoing);
  }

  /**
   * DU: the last committed entry, and by log matching all before it, is on the disks of a majority of the voters. Of a
   * joint configuration only the new ones: what was committed behind its end no longer needed the others.
   */
  durable(): void {
    this.heldByMajority(this.configuration.voters);
  }

  private heldByMajority(voters: readonly Member[]): void {
    const index = asIndex(this.committedIndex);
    const term = this.committedTerm[index];
    if (term === undefined || index === 1) return;
    let holders = 0;
    for (const subject of this.subjects) {
      if (!voters.some((voter) => voter.id === subject.id)) continue;
      if (subject.disk.holds(index, term) || subject.owes?.(index, term) === true) holders += 1;
    }
    check(
      holders * 2 > voters.length,
      'DU',
      () => `committed entry ${index}@${term} is on the disk of ${holders} of ${voters.length} voters`,
    );
  }

  /** Configurations that may yet be committed: some log has them, or a message that is under way. */
  openConfigurations(): Configuration[] {
    this.begun = this.begun.filter(({ index }) => index > this.committedIndex);
    return this.begun.map(({ payload }) => decodeConfiguration(payload));
  }

  /** ID: who was removed never comes back, and nobody's directory is exchanged for another. */
  private configured({ index, payload }: Entry): void {
    const before = this.configuration;
    const after = decodeConfiguration(payload);
    for (const id of before.removed)
      check(
        after.removed.includes(id),
        'ID',
        () => `configuration ${index} has forgotten that ${id} was removed`,
      );
    for (const { id } of membersOf(before)) if (!isMember(after, id)) this.formerMembers.add(id);
    for (const { id, incarnation } of membersOf(after)) {
      check(
        !this.formerMembers.has(id),
        'ID',
        () => `${id} is a member in configuration ${index} and was one before, until it left`,
      );
      check(
        !after.removed.includes(id),
        'ID',
        () => `${id} is a member in configuration ${index} and was removed`,
      );
      check(
        standingOf(before, id, incarnation) !== 'impostor',
        'ID',
        () => `${id} has another directory in configuration ${index}`,
      );
    }
    this.configuration = after;
    this.configurationIndex = index;
  }

  /** A message leaves. It and its entries belong to the network from here on: nobody may change them any more. */
  sent(id: NodeId, message: Message): void {
    Object.freeze(message);
    const seen = this.of(id);
    switch (message.type) {
      case 'append': {
        Object.freeze(message.entries);
        let previous: number = message.prevTerm;
        for (const entry of message.entries) {
          this.wrote(id, entry, previous, true);
          previous = entry.term;
        }
        break;
      }
      case 'voteRequest':
        this.voted(id, message.term, id);
        break;
      case 'appendReply':
        if (message.result.ok) this.promised(id, seen, message.term);
        break;
      default:
        break;
    }
  }

  /** A granted vote leaves. */
  grantSent(id: NodeId, candidate: NodeId, term: Term): void {
    this.voted(id, term, candidate);
  }

  private voted(id: NodeId, term: Term, candidate: NodeId): void {
    const seen = this.of(id);
    this.promised(id, seen, term);
    const other = seen.votes.get(term) ?? candidate;
    check(other === candidate, 'MT', () => `${id} voted for ${other} and for ${candidate} in term ${term}`);
    seen.votes.set(term, candidate);
  }

  private promised(id: NodeId, seen: Seen, term: Term): void {
    const durable = this.subject(id).disk.hardState.term;
    check(
      durable >= term,
      'MT',
      () => `${id} promised something in term ${term}, its disk is in term ${durable}`,
    );
    seen.promisedTerm = Math.max(seen.promisedTerm, term);
  }

  /** Before a disk write begins. */
  persisting({ id, disk }: Subject, node: Node, persist: Persist): void {
    const { entries, snapshot } = persist;
    Object.freeze(entries);
    const first = entries[0]?.index;
    let last: number = disk.lastIndex;
    if (snapshot !== null) {
      check(disk.hasFile(snapshot), 'DC', () => `${id} has no file of snapshot ${snapshot.index}`);
      this.isTrueSnapshot(id, snapshot);
      // Nothing committed behind the snapshot may go; by log matching the first entry behind it stands for all.
      const next = asIndex(snapshot.index + 1);
      if (disk.termAt(snapshot.index) === snapshot.term) this.mayRemove(id, next, disk.termAt(next));
      last = snapshot.index;
    }
    if (first !== undefined) {
      check(first <= last + 1, 'DC', () => `${id} writes entry ${first}, its disk ends at ${last}`);
      if (snapshot === null) this.mayRemove(id, first, disk.termAt(first));
      let previous: number = node.log.termAt(asIndex(first - 1)) ?? -1;
      for (const [at, entry] of entries.entries()) {
        check(
          entry.index === first + at,
          'DC',
          () => `${id} writes ${entry.index} in place of ${first + at}`,
        );
        this.wrote(id, entry, previous, true);
        previous = entry.term;
      }
      last = first + entries.length - 1;
    }
    check(
      persist.commit <= last,
      'DC',
      () => `${id} writes commit ${persist.commit} with a log up to ${last}`,
    );
  }

  private mayRemove(id: NodeId, index: Index, term: Term | null): void {
    check(
      term === null || index > this.committedIndex || term !== this.committedTerm[index],
      'DU',
      () => `${id} removes the committed entry ${index}@${term} from its disk`,
    );
  }

  /** LM: an entry is told by index and term, and so is all that comes before it. */
  private wrote(id: NodeId, entry: Entry, previousTerm: number, byNode: boolean): void {
    const { index, term } = entry;
    const sameIndex = (this.written[index] ??= []);
    const known = sameIndex.find((other) => other.entry.term === term);
    if (known === undefined) {
      if (byNode) this.isOwn(id, entry);
      Object.freeze(entry);
      sameIndex.push({ entry, previousTerm });
      if (entry.type === EntryType.configuration) this.begun.push(entry);
      return;
    }
    if (known.previousTerm === -1) known.previousTerm = previousTerm;
    check(
      previousTerm === -1 || known.previousTerm === previousTerm,
      'LM',
      () => `${index}@${term} follows term ${previousTerm} on ${id}, elsewhere term ${known.previousTerm}`,
    );
    this.isSame(id, known.entry, entry);
  }

  private isSame(id: NodeId, known: Entry, entry: Entry): void {
    if (known === entry) return;
    check(
      known.type === entry.type &&
        known.payload.length === entry.payload.length &&
        known.payload.every((byte, at) => byte === entry.payload[at]),
      'LM',
      () => `${entry.index}@${entry.term} has another content on ${id}`,
    );
  }

  /** A new entry comes from the leader of its term, and a client's from the proposal that was accepted for it. */
  private isOwn(id: NodeId, entry: Entry): void {
    const { index, term, type } = entry;
    check(this.leaders.get(term) === id, 'LM', () => `${id} made ${index}@${term} without leading that term`);
    if (type !== EntryType.batch) return;
    const number = this.numberOf(entry);
    const proposal = this.proposal(number);
    check(
      proposal.outcome !== 'rejected',
      'UN',
      () => `write ${number} was turned away and is entry ${index}@${term}`,
    );
    check(
      proposal.index === index && proposal.term === term,
      'EO',
      () =>
        `write ${number} is entry ${index}@${term} and was announced as ${proposal.index}@${proposal.term}`,
    );
  }

  /** SM and EO: the next entry for a state machine. Returns the new state. */
  applying({ id, applied, state, disk }: Subject, entry: Entry): number {
    const { index, term } = entry;
    check(disk.holds(index, term), 'DC', () => `${id} applies ${index}@${term}, which is not on its disk`);
    check(index === applied + 1, 'EO', () => `${id} applies ${index} after ${applied}`);
    check(
      index <= this.committedIndex && term === this.committedTerm[index],
      'SM',
      () => `${id} applies ${index}@${term}, committed is ${index}@${this.committedTerm[index] ?? 'nothing'}`,
    );
    const known = this.written[index]?.find((other) => other.entry.term === term);
    check(known !== undefined, 'SM', () => `${id} applies ${index}@${term}, which nobody wrote`);
    this.isSame(id, known.entry, entry);
    let next = Math.imul(state ^ index, 0x01000193);
    next = Math.imul(next ^ term, 0x01000193);
    for (const byte of entry.payload) next = Math.imul(next ^ byte, 0x01000193);
    next >>>= 0;
    const elsewhere = (this.states[index] ??= next);
    check(elsewhere === next, 'SM', () => `the state of ${id} after ${index} differs from another node's`);
    return next;
  }

  /** A snapshot that is taken, put into force or restored holds the state at its index. */
  isTrueSnapshot(id: NodeId, { index, term, checksum }: SnapshotMeta): void {
    check(
      index <= this.committedIndex && this.committedTerm[index] === term && this.states[index] === checksum,
      'SM',
      () => `${id} has a snapshot at ${index}@${term} that is not the committed state there`,
    );
  }

  /** Now and then: whole logs against everything ever written, and the sizes of all queues. */
  inspect(subject: Subject, node: Node): void {
    const { id } = subject;
    const { log, limits, role, persist } = node;
    let previous: number = log.compacted.term;
    for (let index: number = log.firstIndex; index <= log.lastIndex; index += 1) {
      const term = log.termAt(asIndex(index));
      check(
        term !== null && term >= previous,
        'LM',
        () => `${id} has term ${String(term)} at ${index} behind ${previous}`,
      );
      const known = this.written[index]?.find((other) => other.entry.term === term);
      if (known !== undefined && known.previousTerm !== -1) {
        const expected = known.previousTerm;
        check(
          expected === previous,
          'LM',
          () => `${index}@${term} follows term ${previous} on ${id}, not ${expected}`,
        );
      }
      previous = term;
    }
    check(
      persist.replies.length <= REPLIES_MAX,
      'RB',
      () => `${id} has ${persist.replies.length} replies waiting`,
    );
    check(
      node.forwardedReads.size <= limits.waitingReads,
      'RB',
      () => `${id} forwarded ${node.forwardedReads.size} reads`,
    );
    if (role.name !== 'leader') return;
    check(role.uncommittedBytes >= 0, 'RB', () => `${id} counts ${role.uncommittedBytes} uncommitted bytes`);
    check(role.reads.waiting.length <= limits.waitingReads, 'RB', () => `${id} has too many reads waiting`);
    for (const [peer, { state }] of role.progress) {
      if (state.name !== 'replicate') continue;
      check(
        state.inFlight.length <= limits.windowMessages,
        'RB',
        () => `${id} has ${state.inFlight.length} appends under way to ${peer}`,
      );
    }
  }

  private of(id: NodeId): Seen {
    const seen = this.seen.get(id);
    if (seen === undefined) throw new Error(`no node ${id}`);
    return seen;
  }

  private subject(id: NodeId): Subject {
    const subject = this.subjects.find((other) => other.id === id);
    if (subject === undefined) throw new Failure('DC', `there is no node ${id}`);
    return subject;
  }
}

/** A payload names its proposal in the first four bytes; the rest is filling. */
export function payloadOf(proposal: number, bytes: number): Uint8Array {
  const payload = new Uint8Array(4 + bytes);
  payload[0] = proposal;
  payload[1] = proposal >>> 8;
  payload[2] = proposal >>> 16;
  payload[3] = proposal >>> 24;
  return payload;
}

export function proposalOf({ payload }: Entry): number {
  return (
    (payload[0] ?? 0) + (payload[1] ?? 0) * 256 + (payload[2] ?? 0) * 65_536 + (payload[3] ?? 0) * 16_777_216
  );
}
