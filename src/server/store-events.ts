/**
 * What happens in the store, for all who want to know: clients that wait for keys, subscribers, clients that cache. The
 * store itself tells one listener, in the middle of a command; here it is passed on, in the order in which the watchers
 * came. A watcher must not touch the store: it takes a note and looks when the entry is applied.
 */
import type { EventClass, StoreListener } from '../store/listener.ts';
import type { Store } from '../store/store.ts';

/** Whatever of it one wants to know. */
export type StoreWatcher = Partial<StoreListener>;

export class StoreEvents implements StoreListener {
  /** By what they want to know: most commands change a key, and few watchers look at everything. */
  readonly #watchers: { readonly [Name in keyof StoreListener]: Pick<StoreListener, Name>[] } = {
    changed: [],
    cleared: [],
    event: [],
    message: [],
    metaChanged: [],
    refused: [],
    restored: [],
  };

  /** Takes the store's one place for a listener. */
  constructor(store: Store) {
    store.listener = this;
  }

  /** Tells `watcher` from now on, until the answer is called. */
  watch(watcher: StoreWatcher): () => void {
    const wanted = names(this.#watchers).filter((name) => watcher[name] !== undefined);
    for (const name of wanted) this.#of(name).push(watcher);
    return () => {
      for (const name of wanted) {
        const watchers = this.#of(name);
        const at = watchers.indexOf(watcher);
        if (at !== -1) watchers.splice(at, 1);
      }
    };
  }

  changed(key: string): void {
    for (const watcher of this.#watchers.changed) watcher.changed(key);
  }

  cleared(): void {
    for (const watcher of this.#watchers.cleared) watcher.cleared();
  }

  event(type: EventClass, event: string, key: string): void {
    for (const watcher of this.#watchers.event) watcher.event(type, event, key);
  }

  message(channel: string, message: string, sharded: boolean): number {
    let receivers = 0;
    for (const watcher of this.#watchers.message) receivers += watcher.message(channel, message, sharded);
    return receivers;
  }

  metaChanged(table: string, key: string | null): void {
    for (const watcher of this.#watchers.metaChanged) watcher.metaChanged(table, key);
  }

  refused(user: string, reason: 'command' | 'key' | 'channel', object: string): void {
    for (const watcher of this.#watchers.refused) watcher.refused(user, reason, object);
  }

  restored(): void {
    for (const watcher of this.#watchers.restored) watcher.restored();
  }

  /** What is asked for by this name. */
  #of(name: keyof StoreListener): StoreWatcher[] {
    return this.#watchers[name];
  }
}

function names(watchers: { readonly [Name in keyof StoreListener]: unknown }): (keyof StoreListener)[] {
  return Object.keys(watchers) as (keyof StoreListener)[];
}
