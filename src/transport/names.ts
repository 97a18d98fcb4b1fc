/**
 * Names of nodes, one lookup of each at a time. `getaddrinfo` can't be given up: it holds a thread until it has an answer,
 * 5 to 10 s for a name that nobody knows, as a stopped container's is, and libuv lets lookups have half of its threads.
 * When every attempt to connect, one a second for each stream, brought a lookup of its own, they queued without end, and
 * a node that was back could not be dialled behind the lookups of one that was not: in a rolling restart of three
 * containers the writes stood still for 4 s, once for two minutes. So whoever wants a name that is being looked up waits
 * for that answer.
 */
import { lookup as systemLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';

type Answer = Parameters<LookupFunction>[2];

export class Names {
  readonly #lookup: LookupFunction;
  readonly #waiting = new Map<string, Answer[]>();

  constructor(lookup: LookupFunction) {
    this.#lookup = lookup;
  }

  /** As `dns.lookup`. All of our connections ask with the same options, so the name alone tells lookups apart. */
  readonly lookup: LookupFunction = (name, options, answer) => {
    const joined = this.#waiting.get(name);
    if (joined !== undefined) {
      joined.push(answer);
      return;
    }
    const waiting = [answer];
    this.#waiting.set(name, waiting);
    this.#lookup(name, options, (error, address, family) => {
      if (this.#waiting.get(name) === waiting) this.#waiting.delete(name);
      for (const each of waiting) each(error, address, family);
    });
  };

  /** Who asks from now on gets an answer from later than now: the peer is back, and the lookup began before that. */
  forget(name: string): void {
    this.#waiting.delete(name);
  }
}

/** One for the process, as there is one thread pool. */
export const names: Names = new Names(systemLookup);
