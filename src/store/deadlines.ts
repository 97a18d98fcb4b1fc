/**
 * Which keys expire next, or parts of what keys hold: a binary min-heap of timers, kept lazily so that the common cases cost little.
 *
 * - Moving a deadline *later* (a session refreshed by every request) touches only the entry; its timer is found too
 *   early at the top and then sinks to the true deadline.
 * - Moving it *earlier* pushes a second timer; the entry points to the one that counts, the other is stale.
 * - Losing the deadline (overwritten, persisted, deleted) only cuts the entry's pointer.
 *
 * Stale timers leave at the top, or all at once when they outnumber the living. The heap is a local convenience of
 * the node that proposes expiry; the replicated state is `entry.expiresAt` alone.
 */
/** What has a deadline: a key's entry, or what a key holds. */
export interface Timed {
  /** In ms since 1970, 0 for none. */
  expiresAt: number;
  /** For {@link Deadlines} only. */
  timer: Timer | null;
}

export interface Timer {
  /** When the heap looks at it, in ms since 1970: never after the entry's deadline. */
  at: number;
  readonly key: string;
  readonly entry: Timed;
}

/** Below this many stale timers a rebuild is not worth its walk. */
const STALE_TIMERS_MIN = 64;

export class Deadlines {
  #heap: Timer[] = [];
  #live = 0;

  /** How many entries have a deadline. */
  get count(): number {
    return this.#live;
  }

  /** Timers held, stale ones included: at most 2 × `count` + 64. */
  get timers(): number {
    return this.#heap.length;
  }

  /** Gives the entry a deadline, in ms since 1970, in place of the one it may have. */
  set(key: string, entry: Timed, expiresAt: number): void {
    entry.expiresAt = expiresAt;
    if (entry.timer === null) this.#live++;
    else if (entry.timer.at <= expiresAt) return;
    entry.timer = { at: expiresAt, key, entry };
    this.#heap.push(entry.timer);
    this.#siftUp(this.#heap.length - 1);
    this.#dropStaleWhenMany();
  }

  /** Takes the entry's deadline away. */
  clear(entry: Timed): void {
    if (entry.timer === null) return;
    entry.timer = null;
    entry.expiresAt = 0;
    this.#live--;
    this.#dropStaleWhenMany();
  }

  /** The earliest deadline, `Infinity` without one. Amortised O(1): what it tidies away never comes back. */
  earliest(): number {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (top.entry.timer !== top) this.#pop();
      else if (top.at < top.entry.expiresAt) {
        top.at = top.entry.expiresAt;
        this.#siftDown(0);
      } else return top.at;
    }
    return Infinity;
  }

  /** Up to `max` keys with a deadline at or before `now`, earliest first. They stay until they are removed. */
  due(now: number, max: number): string[] {
    const found: Timer[] = [];
    while (found.length < max && this.earliest() <= now) {
      const timer = this.#pop();
      if (timer !== undefined) found.push(timer);
    }
    for (const timer of found) {
      this.#heap.push(timer);
      this.#siftUp(this.#heap.length - 1);
    }
    return found.map((timer) => timer.key);
  }

  /** A key with a deadline, at a place in [0, 1); undefined where a stale timer stands there. */
  at(place: number): string | undefined {
    const timer = this.#heap[Math.floor(place * this.#heap.length)];
    return timer !== undefined && timer.entry.timer === timer ? timer.key : undefined;
  }

  #dropStaleWhenMany(): void {
    if (this.#heap.length <= 2 * this.#live + STALE_TIMERS_MIN) return;
    this.#heap = this.#heap.filter((timer) => timer.entry.timer === timer);
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at--) this.#siftDown(at);
  }

  #pop(): Timer | undefined {
    const top = this.#heap[0];
    const last = this.#heap.pop();
    if (last !== undefined && this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#siftDown(0);
    }
    return top;
  }

  #siftUp(from: number): void {
    const heap = this.#heap;
    const timer = heap[from];
    if (timer === undefined) return;
    let at = from;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt];
      if (parent === undefined || parent.at <= timer.at) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = timer;
  }

  #siftDown(from: number): void {
    const heap = this.#heap;
    const timer = heap[from];
    if (timer === undefined) return;
    let at = from;
    for (;;) {
      let childAt = 2 * at + 1;
      let child = heap[childAt];
      if (child === undefined) break;
      const right = heap[childAt + 1];
      if (right !== undefined && right.at < child.at) {
        child = right;
        childAt++;
      }
      if (child.at >= timer.at) break;
      heap[at] = child;
      at = childAt;
    }
    heap[at] = timer;
  }
}
