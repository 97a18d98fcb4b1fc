/** What a connection remembers between MULTI and EXEC, and since WATCH. */
import type { Call, Watch } from '../store/command.ts';

/** What remembering a call or a key costs beside its bytes. */
const OVERHEAD_BYTES = 96;

export class Transaction {
  readonly #bytesMax: number;
  #calls: Call[] | null = null;
  #bytes = 0;
  #failed = false;
  #writes = false;
  #watches = new Map<string, Watch>();
  #watchedBytes = 0;

  /** `bytesMax`: what all queued calls together may hold, and all watched keys. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Between MULTI and EXEC. */
  get open(): boolean {
    return this.#calls !== null;
  }

  /** Whether a request was refused since MULTI: EXEC will refuse as well. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Queued calls; -1 outside a transaction. */
  get length(): number {
    return this.#calls?.length ?? -1;
  }

  /** Bytes of the queued calls. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a write came, queued or refused. */
  get writes(): boolean {
    return this.#writes;
  }

  begin(): void {
    this.#calls = [];
  }

  /** A write came, to be queued or to be refused. */
  noteWrite(): void {
    this.#writes = true;
  }

  /** Queues a call; false when there is no room for it. */
  queue(call: Call): boolean {
    let bytes = OVERHEAD_BYTES;
    for (const arg of call.args) bytes += arg.length;
    if (this.#bytes + bytes > this.#bytesMax) return false;
    this.#bytes += bytes;
    this.#calls?.push(call);
    return true;
  }

  /** A request was refused. Nothing that is queued will ever run, so it is dropped now. */
  fail(): void {
    if (this.#calls === null) return;
    this.#failed = true;
    this.#calls = [];
  }

  /** Whether there is room to watch these keys too. */
  canWatch(keys: readonly string[]): boolean {
    let bytes = this.#watchedBytes;
    for (const key of keys) bytes += key.length + OVERHEAD_BYTES;
    return bytes <= this.#bytesMax;
  }

  watch(watches: readonly Watch[]): void {
    for (const watch of watches) {
      // The first version counts: a key that is watched twice must not have changed since the first time.
      if (this.#watches.has(watch.key)) continue;
      this.#watches.set(watch.key, watch);
      this.#watchedBytes += watch.key.length + OVERHEAD_BYTES;
    }
  }

  unwatch(): void {
    this.#watches.clear();
    this.#watchedBytes = 0;
  }

  /** Ends it, watches included, and gives out what it held; `writes`: whether a write came, queued or refused. */
  end(): { calls: readonly Call[]; watches: readonly Watch[]; writes: boolean } {
    const ended = { calls: this.#calls ?? [], watches: [...this.#watches.values()], writes: this.#writes };
    this.#calls = null;
    this.#bytes = 0;
    this.#failed = false;
    this.#writes = false;
    this.unwatch();
    return ended;
  }
}
