/** Virtual time: what happens when, in one total order. Time passes only from one occurrence to the next. */

/** A process that can die (everything it had planned is void) and be frozen (everything waits). */
export interface Process {
  /** Counts its lives. */
  life: number;
  pausedUntil: number;
}

interface Occurrence {
  at: number;
  /** Ties are broken by the order of planning, which keeps a run reproducible. */
  order: number;
  readonly process: Process | null;
  readonly life: number;
  readonly action: () => void;
}

export class Schedule {
  /** Milliseconds since the beginning of the run. */
  now = 0;
  private order = 0;
  /** A binary heap, earliest first. */
  private readonly heap: Occurrence[] = [];

  /** Plans `action` in `delayMs`. One that belongs to a process dies and waits with it. */
  after(delayMs: number, process: Process | null, action: () => void): void {
    this.push({
      at: this.now + delayMs,
      order: this.order++,
      process,
      life: process?.life ?? 0,
      action,
    });
  }

  /** Lets the next occurrence happen. False when there is none. */
  next(): boolean {
    for (;;) {
      const occurrence = this.pop();
      if (occurrence === undefined) return false;
      const { process } = occurrence;
      if (process !== null) {
        if (process.life !== occurrence.life) continue;
        if (process.pausedUntil > occurrence.at) {
          // The order number stays, so that what waited happens in its old order.
          occurrence.at = process.pausedUntil;
          this.push(occurrence);
          continue;
        }
      }
      this.now = occurrence.at;
      occurrence.action();
      return true;
    }
  }

  private push(occurrence: Occurrence): void {
    const { heap } = this;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = heap[parent] as Occurrence;
      if (!isBefore(occurrence, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = occurrence;
  }

  private pop(): Occurrence | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Occurrence)) child += 1;
      const below = heap[child] as Occurrence;
      if (!isBefore(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Occurrence, b: Occurrence): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
