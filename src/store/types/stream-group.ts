/**
 * Consumer groups: how far a stream was delivered, and which entries were delivered to whom and not acknowledged yet. An
 * entry that is pending is in two trees by id: all of the group's, and those of its consumer.
 */
import type { Integer } from '../integer.ts';
import { invariant } from '../invariant.ts';
import { Tree } from '../tree.ts';
import type { Owner } from './stream-node.ts';
import type { StreamId } from './stream-id.ts';

/** What they cost besides the bytes of their names, about; what is pending is in two trees. */
const GROUP_OVERHEAD_BYTES = 800;
const CONSUMER_OVERHEAD_BYTES = 400;
const PENDING_BYTES = 104;

/** The number of entries that were read is not known. */
export const UNKNOWN_READS = -1;

/** An entry that was delivered and not acknowledged. Immutable. */
export interface Pending {
  readonly id: StreamId;
  readonly consumer: string;
  /** ms since 1970. */
  readonly deliveredAt: number;
  readonly deliveries: Integer;
}

/** Changed by its group only. */
export interface Consumer {
  readonly name: string;
  /** When it last asked for something, in ms since 1970. */
  readonly seenAt: number;
  readonly pending: ReadonlyPending;
}

/** Pending entries in the order of their ids. */
export type ReadonlyPending = Pick<Tree<Pending>, 'size' | 'at' | 'get' | 'rank' | 'visit' | 'slice'>;

interface OwnedConsumer extends Consumer {
  readonly owner: Owner;
  seenAt: number;
  readonly pending: Tree<Pending>;
}

export function pendingProbe(id: StreamId): Pending {
  return { id, consumer: '', deliveredAt: 0, deliveries: 0 };
}

function byId(a: Pending, b: Pending): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

export function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

export class StreamGroup {
  readonly owner: Owner;
  readonly name: string;
  /** The id of the last entry that was delivered to anyone. */
  lastId: StreamId;
  /** How many entries of the stream's whole history were read, or {@link UNKNOWN_READS}. */
  entriesRead: Integer;
  readonly #pending: Tree<Pending>;
  readonly #consumers: Tree<OwnedConsumer>;

  private constructor(
    owner: Owner,
    name: string,
    pending: Tree<Pending>,
    consumers: Tree<OwnedConsumer>,
    lastId: StreamId,
    entriesRead: Integer,
  ) {
    this.owner = owner;
    this.name = name;
    this.#pending = pending;
    this.#consumers = consumers;
    this.lastId = lastId;
    this.entriesRead = entriesRead;
  }

  static create(owner: Owner, name: string, lastId: StreamId, entriesRead: Integer): StreamGroup {
    owner.groupBytes += GROUP_OVERHEAD_BYTES + name.length;
    return new StreamGroup(owner, name, new Tree(byId), new Tree<OwnedConsumer>(byName), lastId, entriesRead);
  }

  /** The group, or a copy of it, that the owner may change. O(1). */
  ownedBy(owner: Owner): StreamGroup {
    if (this.owner === owner) return this;
    const { name, lastId, entriesRead } = this;
    return new StreamGroup(owner, name, this.#pending.fork(), this.#consumers.fork(), lastId, entriesRead);
  }

  /** What it takes in memory, about. */
  get bytes(): number {
    let bytes = GROUP_OVERHEAD_BYTES + this.name.length + this.#pending.size * PENDING_BYTES;
    this.#consumers.visit(0, this.#consumers.size, ({ name }) => {
      bytes += CONSUMER_OVERHEAD_BYTES + name.length;
    });
    return bytes;
  }

  // --- Consumers -------------------------------------------------------------------------------------------------

  /** In the order of their names. */
  get consumers(): Pick<Tree<Consumer>, 'size' | 'at' | 'visit'> {
    return this.#consumers;
  }

  consumer(name: string): Consumer | undefined {
    return this.#consumers.get(probeOf(name));
  }

  /** The consumer's place in the order of names. */
  placeOf(name: string): number {
    return this.#consumers.rank(probeOf(name));
  }

  /** A consumer asks for something: true if it was not there and now is. */
  see(name: string, now: number): boolean {
    const there = this.#consumers.get(probeOf(name));
    if (there !== undefined) {
      this.#own(there).seenAt = now;
      return false;
    }
    this.#consumers.put({ owner: this.owner, name, seenAt: now, pending: new Tree(byId) });
    this.owner.groupBytes += CONSUMER_OVERHEAD_BYTES + name.length;
    return true;
  }

  /** Forgets a consumer and what is pending for it: how many entries that were; undefined where there is none. */
  removeConsumer(name: string): number | undefined {
    const removed = this.#consumers.delete(probeOf(name));
    if (removed === undefined) return undefined;
    const { size } = removed.pending;
    removed.pending.visit(0, size, (pending) => void this.#pending.delete(pending));
    this.owner.groupBytes -= CONSUMER_OVERHEAD_BYTES + name.length + size * PENDING_BYTES;
    return size;
  }

  // --- Pending entries -------------------------------------------------------------------------------------------

  /** Those of all consumers. */
  get pending(): ReadonlyPending {
    return this.#pending;
  }

  pendingOf(id: StreamId): Pending | undefined {
    return this.#pending.get(pendingProbe(id));
  }

  /** The entry is now pending for that consumer, which must be there, whatever it was before. */
  assign(pending: Pending): void {
    const before = this.#pending.put(pending);
    if (before === undefined) this.owner.groupBytes += PENDING_BYTES;
    else if (before.consumer !== pending.consumer) this.#ownByName(before.consumer).pending.delete(before);
    this.#ownByName(pending.consumer).pending.put(pending);
  }

  /** The entry is not pending any more; false if it was not. */
  acknowledge(id: StreamId): boolean {
    const removed = this.#pending.delete(pendingProbe(id));
    if (removed === undefined) return false;
    this.#ownByName(removed.consumer).pending.delete(removed);
    this.owner.groupBytes -= PENDING_BYTES;
    return true;
  }

  #ownByName(name: string): OwnedConsumer {
    const consumer = this.#consumers.get(probeOf(name));
    invariant(consumer !== undefined, 'an entry is pending for a consumer that is not there');
    return this.#own(consumer);
  }

  /** The consumer, or a copy in its place, that this group may change. */
  #own(consumer: OwnedConsumer): OwnedConsumer {
    if (consumer.owner === this.owner) return consumer;
    const copy = { ...consumer, owner: this.owner, pending: consumer.pending.fork() };
    this.#consumers.put(copy);
    return copy;
  }
}

/** For looking a consumer up. */
function probeOf(name: string): OwnedConsumer {
  return { name } as OwnedConsumer;
}
