/** What this node has refused to users, for ACL LOG: the newest first, what repeats itself counted and not told again. */
import type { Denial } from '../store/acl/rights.ts';

/** The setting that bounds it. */
export const ACL_LOG_SETTING = 'acllog-max-len';
const LENGTH_INITIAL = 128;
/** Among so many it is looked for whether something was refused before… */
const COMPARED = 10;
/** …not longer ago than this, in ms. */
const GROUPED_MS = 60_000;
/** Bytes of a name that are kept: a key may be long. */
const OBJECT_BYTES_MAX = 1024;

export interface Refusal {
  readonly reason: Denial['reason'] | 'auth';
  readonly context: 'toplevel' | 'multi' | 'lua';
  /** The command, the key or the channel. */
  readonly object: string;
  readonly user: string;
  /** As CLIENT LIST tells it. */
  readonly client: string;
}

export interface AclLogEntry extends Refusal {
  count: number;
  /** The last time, in ms of the steady clock. */
  at: number;
}

export class AclLog {
  readonly #limit: () => string | undefined;
  #entries: AclLogEntry[] = [];

  /** `limit`: the setting. */
  constructor(limit: () => string | undefined) {
    this.#limit = limit;
  }

  /** Newest first. */
  get entries(): readonly AclLogEntry[] {
    return this.#entries;
  }

  /** `now`: ms of the steady clock. */
  add(refusal: Refusal, now: number): void {
    const object = refusal.object.slice(0, OBJECT_BYTES_MAX);
    const same = this.#entries
      .slice(0, COMPARED)
      .find(
        (entry) =>
          entry.reason === refusal.reason &&
          entry.context === refusal.context &&
          entry.object === object &&
          entry.user === refusal.user &&
          now - entry.at <= GROUPED_MS,
      );
    const entry = { ...refusal, object, count: (same?.count ?? 0) + 1, at: now };
    const length = Number(this.#limit() ?? LENGTH_INITIAL);
    this.#entries = [entry, ...this.#entries.filter((other) => other !== same)].slice(0, length);
  }

  clear(): void {
    this.#entries = [];
  }
}
