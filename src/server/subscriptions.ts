/**
 * Who listens to which channel on this node. A message comes out of the log, so that all subscribers of all nodes see one
 * order; here it is passed on to those of this one.
 *
 * A message may come in the middle of a transaction whose client is itself subscribed, so it is not written at once:
 * each subscriber gets it at the end of the turn, behind whatever replies were written by then. The bytes are made once
 * per message and protocol, however many subscribers there are.
 *
 * Keyspace notifications are messages that every node makes by itself, out of what the log does to its keys, when the
 * replicated setting `notify-keyspace-events` asks for them.
 */
import { matchesGlob } from '../store/glob.ts';
import type { EventClass } from '../store/listener.ts';
import { ALL_EVENTS } from '../store/settings.ts';

/** Channels, patterns and shard channels are three spaces of names. */
export type Space = 'channels' | 'patterns' | 'shards';

/** What a message looks like on the wire; both protocols, as most subscribers share one. */
export interface Push {
  readonly resp2: string;
  readonly resp3: string;
}

/** A connection that may subscribe. */
export interface Subscriber {
  /** What it listens to. Changed by {@link Subscriptions} alone. */
  readonly subscribed: Readonly<Record<Space, Set<string>>>;
  /** Sends it soon, never within this call. */
  push(push: Push): void;
}

/** The setting that says which events become messages. */
export const NOTIFY_SETTING = 'notify-keyspace-events';
export class Subscriptions {
  readonly #spaces: Readonly<Record<Space, Map<string, Set<Subscriber>>>> = {
    channels: new Map(),
    patterns: new Map(),
    shards: new Map(),
  };
  #notify: ReadonlySet<string> = new Set();

  /** False when it was subscribed already. */
  subscribe(subscriber: Subscriber, space: Space, name: string): boolean {
    const own = subscriber.subscribed[space];
    if (own.has(name)) return false;
    own.add(name);
    const names = this.#spaces[space];
    const there = names.get(name);
    if (there === undefined) names.set(name, new Set([subscriber]));
    else there.add(subscriber);
    return true;
  }

  /** False when it was not subscribed. */
  unsubscribe(subscriber: Subscriber, space: Space, name: string): boolean {
    if (!subscriber.subscribed[space].delete(name)) return false;
    const names = this.#spaces[space];
    const there = names.get(name);
    there?.delete(subscriber);
    if (there?.size === 0) names.delete(name);
    return true;
  }

  /** The subscriber is gone. */
  forget(subscriber: Subscriber): void {
    for (const space of ['channels', 'patterns', 'shards'] as const)
      for (const name of subscriber.subscribed[space]) this.unsubscribe(subscriber, space, name);
  }

  /** The names that somebody listens to. */
  names(space: Space): IterableIterator<string> {
    return this.#spaces[space].keys();
  }

  /** How many listen to that name. */
  count(space: Space, name: string): number {
    return this.#spaces[space].get(name)?.size ?? 0;
  }

  /** How many patterns are listened to. */
  get patterns(): number {
    return this.#spaces.patterns.size;
  }

  /** Passes a message on; how many got it. */
  message(channel: string, message: string, sharded: boolean): number {
    let receivers = this.#deliver(this.#spaces[sharded ? 'shards' : 'channels'].get(channel), [
      sharded ? 'smessage' : 'message',
      channel,
      message,
    ]);
    if (sharded) return receivers;
    for (const [pattern, subscribers] of this.#spaces.patterns) {
      if (matchesGlob(pattern, channel))
        receivers += this.#deliver(subscribers, ['pmessage', pattern, channel, message]);
    }
    return receivers;
  }

  /** Which keyspace events become messages: flags of `notify-keyspace-events`. */
  set notify(flags: string) {
    const wanted = new Set(flags.split('').flatMap((flag) => (flag === 'A' ? ALL_EVENTS : [flag])));
    this.#notify = wanted.has('K') || wanted.has('E') ? wanted : new Set();
  }

  /** Something happened to a key. */
  event(type: EventClass, event: string, key: string): void {
    if (this.#notify.size === 0 || !this.#notify.has(type)) return;
    if (this.#notify.has('K')) this.message(`__keyspace@0__:${key}`, event, false);
    if (this.#notify.has('E')) this.message(`__keyevent@0__:${event}`, key, false);
  }

  #deliver(subscribers: ReadonlySet<Subscriber> | undefined, parts: readonly string[]): number {
    if (subscribers === undefined) return 0;
    const push = pushOf(parts);
    for (const subscriber of subscribers) subscriber.push(push);
    return subscribers.size;
  }
}

/** A push of bulk strings. */
export function pushOf(parts: readonly string[]): Push {
  const body = parts.map((part) => `$${part.length}\r\n${part}\r\n`).join('');
  return { resp2: `*${parts.length}\r\n${body}`, resp3: `>${parts.length}\r\n${body}` };
}
