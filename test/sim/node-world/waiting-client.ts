/**
 * Clients that wait for keys. They put elements into queues and take them out, mostly such as are not there yet, and close
 * their connections while they wait; what they get is held against {@link ./queues.ts | what they may get}.
 */
import type { Request } from '../../../src/server/engine.ts';
import type { Store } from '../../../src/store/store.ts';
import { call, Recorder, type Reply } from '../../../src/store/testing/harness.ts';
import { type Answer, Caller, type CallerOptions, type Question } from './caller.ts';
import type { Session } from './session.ts';
import type { NodeWorld } from './world.ts';

export interface WaitingOptions extends CallerOptions {
  /** After which a client gives a connection up on which it does not wait. */
  readonly patienceMs: number;
  /** Share of questions that put something into a queue. */
  readonly putRate: number;
  /** Queues of each kind. */
  readonly keys: number;
}

/** The key under which those wait who must be served at the very end. */
export const LAST_QUEUE = 'w9';
/** How much longer than usual a client may wait for a key. */
const WAIT_PATIENCE = 20;
/** Elements that lie in a queue at once, and that a queue that is never emptied gets at all. */
const HELD_MAX = 12;
const EVER_MAX = 40;

const KINDS = ['list', 'list', 'two lists', 'list from behind', 'sorted set', 'stream', 'ring'] as const;
type Kind = (typeof KINDS)[number];

/** Keys of a kind begin with its letter. */
const LETTERS: Readonly<Record<Kind, string>> = {
  list: 'w',
  'two lists': 'w',
  'list from behind': 'v',
  'sorted set': 'y',
  stream: 'x',
  ring: 'm',
};

/** What a client wants to take: the command, and what its reply says. */
interface Taking {
  readonly args: readonly string[];
  /** The queues that it may take something from. */
  readonly from: readonly string[];
  /** The queue and the elements in a reply; nothing when there was nothing to take. */
  readonly got: (reply: Reply) => readonly { readonly queue: string; readonly text: string }[];
  readonly ordered: boolean;
}

export class WaitingClient extends Caller {
  readonly #name: string;
  readonly #options: WaitingOptions;
  /** A stream whose group is missing. */
  #groupless: string | null = null;
  /** It waits for the last element of all; `got` when it has one. */
  #last: 'no' | 'wanted' | 'got' = 'no';

  constructor(world: NodeWorld, name: string, options: WaitingOptions) {
    super(world, name, options);
    this.#name = name;
    this.#options = options;
  }

  /** From now on it waits under {@link LAST_QUEUE}, until it gets something. */
  waitForLast(): void {
    this.#last = 'wanted';
  }

  get hasLast(): boolean {
    return this.#last === 'got';
  }

  protected override next(): Question | null {
    const { world } = this;
    // Who left while an element was on its way to him would take it from the others: there is one for each.
    if (this.#last === 'wanted')
      return this.#take(popped(['BLPOP', LAST_QUEUE, '0'], [LAST_QUEUE]), Number.POSITIVE_INFINITY);
    if (!world.clientsAsk) return null;
    if (this.#groupless !== null) return this.#createGroup(this.#groupless);
    const { random } = this;
    const kind = random.pick(KINDS);
    const key = `${LETTERS[kind]}${random.below(this.#options.keys)}`;
    return random.chance(this.#options.putRate) && this.#hasRoom(kind, key)
      ? this.#put(kind, key)
      : this.#take(this.#taking(kind, key));
  }

  /** What is in the queues when everything has come to rest. */
  static settle({ queues }: NodeWorld, store: Store, keys: number): void {
    for (let at = 0; at < keys; at += 1) {
      for (const key of [`w${at}`, `v${at}`]) queues.settle(key, elements(store, 'LRANGE', key, '0', '-1'));
      queues.settle(`y${at}`, elements(store, 'ZRANGE', `y${at}`, '0', '-1'));
      queues.settle(`x${at}`, undelivered(store, `x${at}`));
      const ring = [`m${at}`, `m${at}'`].flatMap((key) => elements(store, 'LRANGE', key, '0', '-1'));
      queues.settle(`m${at}`, ring);
    }
  }

  #hasRoom(kind: Kind, key: string): boolean {
    const { queues } = this.world;
    const bounded = kind === 'stream' || kind === 'ring';
    return bounded ? queues.size(key) < EVER_MAX : queues.held(key) < HELD_MAX;
  }

  #patienceMs(): number {
    return this.#options.patienceMs * this.random.spread(1, WAIT_PATIENCE);
  }

  /* ---- putting in -------------------------------------------------------------------------------------------------- */

  #put(kind: Kind, key: string): Question {
    const { queues, schedule, coverage } = this.world;
    const count = kind === 'stream' ? 1 : 1 + this.random.below(3);
    const texts = Array.from({ length: count }, () => queues.element(key, schedule.now));
    return this.#question(['log', putting(kind, key, texts)], this.#options.patienceMs, (answer) => {
      if (answer.kind === 'refused') queues.refused(key, texts);
      if (answer.kind !== 'reply') return;
      if (answer.reply instanceof Error) {
        this.world.fail('DC', `a client was answered ${answer.reply.message}`);
        return;
      }
      coverage.count('elements put into queues', texts.length);
      queues.put(key, texts, schedule.now);
    });
  }

  #createGroup(key: string): Question {
    const args = ['XGROUP', 'CREATE', key, 'g', '0', 'MKSTREAM'];
    return this.#question(['log', args], this.#options.patienceMs, ({ kind }) => {
      if (kind === 'reply') this.#groupless = null;
    });
  }

  /* ---- taking out -------------------------------------------------------------------------------------------------- */

  #taking(kind: Kind, key: string): Taking {
    const { random } = this;
    const milliseconds = random.chance(0.5) ? 0 : Math.ceil(random.spread(5, 5000));
    const seconds = String(milliseconds / 1000);
    switch (kind) {
      case 'list':
        return random.chance(0.5)
          ? popped(['BLPOP', key, seconds], [key])
          : popped(['BLMPOP', seconds, '1', key, 'LEFT'], [key]);
      case 'two lists': {
        const other = `w${random.below(this.#options.keys)}`;
        return popped(['BLPOP', key, other, seconds], [...new Set([key, other])]);
      }
      case 'list from behind':
        return popped(['BRPOP', key, seconds], [key]);
      case 'sorted set': {
        const args = random.pick([
          ['BZPOPMIN', key, seconds],
          ['BZPOPMAX', key, seconds],
          ['BZMPOP', seconds, '1', key, 'MIN'],
        ]);
        return { ...popped(args, [key]), ordered: false };
      }
      case 'stream': {
        const block = ['BLOCK', String(milliseconds)];
        const args = ['XREADGROUP', 'GROUP', 'g', this.#name, 'COUNT', '1', ...block, 'STREAMS', key, '>'];
        return { args, from: [key], got: (reply) => read(key, reply), ordered: true };
      }
      case 'ring': {
        const [from, to] = random.chance(0.5) ? [key, `${key}'`] : [`${key}'`, key];
        const args = random.pick([
          ['BLMOVE', from, to, 'LEFT', 'RIGHT', seconds],
          ['BLMOVE', from, to, 'RIGHT', 'RIGHT', seconds],
          ['BRPOPLPUSH', from, to, seconds],
          ['LMOVE', from, to, 'LEFT', 'LEFT'],
        ]);
        const got = (reply: Reply): { queue: string; text: string }[] =>
          reply === null ? [] : [{ queue: key, text: String(reply) }];
        return { args, from: [], got, ordered: false };
      }
    }
  }

  #take({ args, from, got, ordered }: Taking, patienceMs: number = this.#patienceMs()): Question {
    const { queues, coverage } = this.world;
    const floors = new Map(from.map((key) => [key, queues.floor(key)]));
    const waits = call(...args).command.flags.includes('blocking');
    if (waits) coverage.count('commands that may wait');
    return this.#question(['log', args, waits], patienceMs, (answer) => {
      if (answer.kind === 'unknown') for (const key of from) queues.unheard(key);
      if (answer.kind !== 'reply') return;
      if (answer.reply instanceof Error) {
        this.#failed(answer.reply.message, args);
        return;
      }
      const taken = got(answer.reply);
      if (waits) coverage.count(taken.length > 0 ? 'clients served by a queue' : 'waits that timed out');
      for (const { queue, text } of taken) {
        if (from.length === 0) queues.moved(queue, text);
        else queues.taken(queue, text, ordered ? (floors.get(queue) ?? null) : null);
        if (queue === LAST_QUEUE) this.#last = 'got';
      }
    });
  }

  #failed(message: string, args: readonly string[]): void {
    if (message.startsWith('NOGROUP')) this.#groupless = args.at(-2) ?? null;
    else this.world.fail('DC', `a client was answered ${message}`);
  }

  #question(
    [lane, args, waits = false]: readonly [lane: 'log', args: readonly string[], waits?: boolean],
    patienceMs: number,
    answered: (answer: Answer) => void,
  ): Question {
    const asked = call(...args);
    const make = (client: Session): Request =>
      waits ? client.mayWait(asked) : { kind: 'command', client, ...asked, once: null };
    return { lane, make, patienceMs, answered };
  }
}

function putting(kind: Kind, key: string, texts: readonly string[]): readonly string[] {
  switch (kind) {
    case 'list':
    case 'two lists':
    case 'ring':
      return ['RPUSH', key, ...texts];
    case 'list from behind':
      return ['LPUSH', key, ...texts];
    case 'sorted set':
      // Scores in no order, from what makes the elements different.
      return ['ZADD', key, ...texts.flatMap((text) => [String((Number(text.slice(1)) * 7919) % 1000), text])];
    case 'stream':
      return ['XADD', key, '*', 'element', ...texts];
  }
}

/** `[key, element]`, `[key, element, score]`, `[key, [element, …]]` or `[key, [[element, score], …]]`. */
function popped(args: readonly string[], from: readonly string[]): Taking {
  return {
    args,
    from,
    got: (reply) => {
      if (!Array.isArray(reply)) return [];
      let [, element = null] = reply;
      while (Array.isArray(element)) element = element[0] ?? null;
      return [{ queue: String(reply[0]), text: String(element) }];
    },
    ordered: true,
  };
}

/** Whether there is something to be taken under a key. */
export function holds(store: Store, key: string): boolean {
  return key.startsWith(LETTERS.stream) ? undelivered(store, key).length > 0 : store.peek(key) !== undefined;
}

/** `[[key, [[id, [field, element]]]]]`. */
function read(key: string, reply: Reply): { queue: string; text: string }[] {
  const entries = at(at(reply, 0), 1);
  if (!Array.isArray(entries)) return [];
  return entries.map((entry) => ({ queue: key, text: String(at(at(entry, 1), 1)) }));
}

function at(reply: Reply, place: number): Reply {
  return Array.isArray(reply) ? (reply[place] ?? null) : null;
}

function elements(store: Store, ...args: string[]): string[] {
  const reply = ask(store, args);
  return Array.isArray(reply) ? reply.map(String) : [];
}

/** What a stream holds behind the last entry that its group was given. */
function undelivered(store: Store, key: string): string[] {
  const groups = ask(store, ['XINFO', 'GROUPS', key]);
  const group = at(groups, 0);
  const last = Array.isArray(group) ? String(group[group.indexOf('last-delivered-id') + 1]) : '0-0';
  const entries = ask(store, ['XRANGE', key, `(${last}`, '+']);
  return Array.isArray(entries) ? entries.map((entry) => String(at(at(entry, 1), 1))) : [];
}

function ask(store: Store, args: readonly string[]): Reply {
  const { command } = call(...args);
  const recorder = new Recorder();
  store.read(command, args, recorder, store.time);
  return recorder.replies[0] ?? null;
}
