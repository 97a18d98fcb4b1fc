/** What the store's tests share: replies as values, and a store that is spoken to in commands. */
import { BatchEncoder } from '../batch.ts';
import type { Call } from '../command.ts';
import type { ReplyWriter } from '../reply.ts';
import { Store } from '../store.ts';
import { dataCommandOf } from '../table.ts';
import type { Packed } from '../types/packed.ts';

/** A reply as a JavaScript value; an error is an `Error`. */
export type Reply = string | number | bigint | boolean | null | Error | Reply[];

/** Collects replies as values. */
export class Recorder implements ReplyWriter {
  /** The replies that are complete, in order. */
  readonly replies: Reply[] = [];
  /** Aggregates that wait for elements. */
  readonly #open: { readonly into: Reply[]; left: number }[] = [];

  ok(): void {
    this.#add('OK');
  }
  simple(text: string): void {
    this.#add(text);
  }
  error(text: string): void {
    this.#add(new Error(text));
  }
  integer(value: number | bigint): void {
    this.#add(value);
  }
  bulk(value: string | null): void {
    this.#add(value);
  }
  double(value: number): void {
    this.#add(value);
  }
  boolean(value: boolean): void {
    this.#add(value);
  }
  nullArray(): void {
    this.#add(null);
  }
  array(length: number): void {
    const into: Reply[] = [];
    this.#add(into);
    if (length > 0) this.#open.push({ into, left: length });
  }
  map(pairs: number): void {
    this.array(2 * pairs);
  }
  set(length: number): void {
    this.array(length);
  }
  pairs(length: number): void {
    this.array(length);
  }
  pair(): void {
    this.array(2);
  }
  names(length: number): void {
    this.array(length);
  }
  named(): void {
    this.array(2);
  }
  verbatim(_format: string, text: string): void {
    this.#add(text);
  }
  bigNumber(digits: string): void {
    this.#add(digits);
  }

  #add(reply: Reply): void {
    const innermost = this.#open.at(-1);
    if (innermost === undefined) {
      this.replies.push(reply);
      return;
    }
    innermost.into.push(reply);
    innermost.left--;
    if (innermost.left === 0) this.#open.pop();
  }
}

/** A command with its arguments, the name in any case. */
export function call(...args: string[]): Call {
  const command = dataCommandOf(args);
  if (command === undefined) throw new Error(`no command ${args.join(' ')}`);
  return { command, args };
}

/** A store with a clock; every write is an entry of its own, and `payloads` is the log. */
export class Harness {
  readonly store: Store = new Store();
  readonly payloads: Uint8Array[] = [];
  /** Milliseconds since 1970. */
  now = 1_000_000;
  readonly #batch = new BatchEncoder();

  run(...args: string[]): Reply {
    const { command } = call(...args);
    const recorder = new Recorder();
    if (command.write) {
      this.#batch.addCommand(args);
      this.#entry(() => this.store.execute(command, args, recorder));
    } else this.store.read(command, args, recorder, this.now);
    return recorder.replies[0] ?? null;
  }

  transaction(calls: readonly Call[], watches: readonly { key: string; version: number }[] = []): Reply {
    const recorder = new Recorder();
    this.#batch.addTransaction(calls, watches);
    this.#entry(() => this.store.executeTransaction(calls, watches, recorder));
    return recorder.replies[0] ?? null;
  }

  put(key: string, value: Packed, expiresAt = 0): void {
    this.#batch.addPut(key, value, expiresAt);
    this.#entry(() => this.store.put(key, value, expiresAt));
  }

  expire(keys: readonly string[]): void {
    this.#batch.addExpire(keys);
    this.#entry(() => this.store.expire(keys));
  }

  /** A store that applied the same log from its bytes. */
  follower(): Store {
    const store = new Store();
    this.payloads.forEach((payload, at) => store.applyBatch(at + 1, payload));
    return store;
  }

  #entry(apply: () => void): void {
    const index = this.store.appliedIndex + 1;
    this.store.beginEntry(index, this.now);
    apply();
    this.store.endEntry();
    this.payloads.push(this.#batch.finish(this.now));
  }
}

/** The events of a store from now on, as `<class> <event> <key>`. Each message has so many `receivers`. */
export function eventsOf(store: Store, receivers = 0): string[] {
  const events: string[] = [];
  store.listener = {
    changed() {},
    cleared() {},
    event: (type, event, key) => void events.push(`${type} ${event} ${key}`),
    message: () => receivers,
    metaChanged() {},
    refused() {},
    restored() {},
  };
  return events;
}

/** The blocks of a whole snapshot. */
export function snapshotOf(store: Store, blockBytes = 1024): Uint8Array[] {
  const snapshot = store.startSnapshot();
  const blocks: Uint8Array[] = [];
  for (let block = snapshot.next(blockBytes); block !== null; block = snapshot.next(blockBytes))
    blocks.push(block);
  return blocks;
}

/** A fresh store with the snapshot's state. */
export function restored(blocks: readonly Uint8Array[]): Store {
  const store = new Store();
  const decoder = store.beginRestore();
  for (const block of blocks) decoder.push(block);
  decoder.finish();
  return store;
}
