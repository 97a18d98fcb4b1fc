/**
 * Clients: each has a connection to one node, asks, waits for the answer or gives up, follows redirects, and tells the
 * {@link ./oracle.ts | oracle} what it was told. A client can reach every node, also one that is cut off from its peers.
 */
import type { Lane, Request } from '../../../src/server/engine.ts';
import type { Operation, Outcome } from '../../linearizability/history.ts';
import type { Call, Watch } from '../../../src/store/command.ts';
import type { Once } from '../../../src/store/once.ts';
import { call, type Reply } from '../../../src/store/testing/harness.ts';
import { TOKEN_LENGTH } from './oracle.ts';
import type { Machine } from './machine.ts';
import { Session } from './session.ts';
import type { NodeWorld } from './world.ts';

export interface ClientOptions {
  /** Mean time between an answer and the next question, in ms. */
  readonly thinkMs: number;
  /** After which a client gives its connection up. */
  readonly patienceMs: number;
  /** Share of questions that only read. */
  readonly readRate: number;
  /** Keys of each family. */
  readonly keys: number;
  /** How long fleeting keys live, in ms, at most. */
  readonly lifeMs: number;
  /** Longest filling that a value carries besides its token, in bytes. */
  readonly fillingBytes: number;
  /** Questions that are sent at once, at most. */
  readonly pipeline: number;
  /** Share of single writes that get a name, and are sent again until they are answered. */
  readonly namedRate: number;
}

/** One thing to ask for. */
interface Question {
  readonly make: (connection: Session, once: Once | null) => Request;
  /** What it writes; empty for a read, and without a name where the write can't be told from others. */
  readonly writes: readonly (string | null)[];
  readonly answered: (reply: Reply, invoked: number, session: Session) => void;
  /** What it does, in words of the wire. */
  readonly calls: readonly (readonly string[])[];
  /** A name, so that it can be sent again when its outcome is unknown and is run once all the same. */
  once: Once | null;
  /** It was sent before: whatever becomes of it now, it may have been run. */
  uncertain: boolean;
}

const UNNAMED: Pick<Question, 'once' | 'uncertain'> = { once: null, uncertain: false };

/** Families of keys that the linearizability checker can judge. */
const JUDGED: ReadonlySet<string> = new Set(['l', 'p', 'c', 'r']);

/** Tokens after which a list is left alone, so that it stays cheap to read. */
const LIST_TOKENS_MAX = 40;
/** A connection that closed is noticed after so many ms. */
const NOTICE_MS = 5;
/** One way between a client and a node, in ms. */
const WAY_MS = { min: 0.05, max: 1 } as const;

/** A counter between its WATCH and its EXEC. */
interface Optimistic {
  readonly key: string;
  watches: readonly Watch[] | null;
  value: number | null;
}

export class SimulatedClient {
  readonly #world: NodeWorld;
  readonly #options: ClientOptions;
  #target: Machine;
  #session: Session | null = null;
  #waiting: { readonly question: Question; readonly invoked: number }[] = [];
  /** Counts the times it asked, so that what concerns an old question is known for that. */
  #asked = 0;
  readonly #clientName: string;
  #nextReplyAt = 0;
  #optimistic: Optimistic | null = null;
  /** A named write whose outcome is unknown, and when it was sent first. */
  #again: { readonly question: Question; readonly invoked: number } | null = null;
  /** The session of this client, once it has opened one. */
  #numbered: { readonly session: number; next: number } | null = null;

  constructor(world: NodeWorld, name: string, options: ClientOptions) {
    this.#clientName = name;
    this.#world = world;
    this.#options = options;
    this.#target = world.random.pick(world.machines);
    this.#thenAsk();
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#again === null;
  }

  /** The machine's process is gone: its connections close. */
  machineDied(machine: Machine): void {
    const session = this.#session;
    if (session?.machine !== machine) return;
    this.#session = null;
    this.#optimistic = null;
    const asked = this.#asked;
    this.#world.schedule.after(NOTICE_MS, null, () => {
      if (asked === this.#asked && this.#waiting.length > 0) this.#giveUp();
    });
  }

  /** Reads every key once more, from whoever leads. False while it is busy with something else. */
  readEverything(): void {
    const { keys } = this.#options;
    const questions: Question[] = [];
    for (let key = 0; key < keys; key += 1) {
      for (const list of this.#generations(`l${key}`)) questions.push(this.#readList(list));
      for (const list of this.#generations(`p${key}`)) questions.push(this.#readPair(list));
      questions.push(this.#readCounter(`c${key}`), this.#readCounter(`o${key}`));
      questions.push(this.#readRegister(`r${key}`), this.#readFleeting(`f${key}`));
    }
    this.#optimistic = null;
    this.#ask('read', questions);
  }

  /** One write, to see that it is taken. */
  writeOnce(): void {
    this.#optimistic = null;
    this.#ask('log', [this.#append(this.#listKey('l'))]);
  }

  #thenAsk(): void {
    const { random, schedule } = this.#world;
    schedule.after(this.#options.thinkMs * random.between(0.1, 1.9), null, () => {
      if (this.#waiting.length > 0) return;
      if (this.#again !== null) {
        this.#askAgain(this.#again.question, this.#again.invoked);
        return;
      }
      if (!this.#world.clientsAsk || this.#world.options.wild) {
        this.#thenAsk();
        return;
      }
      if (this.#optimistic !== null) {
        this.#ask('log', [this.#nextOptimistic(this.#optimistic)]);
        return;
      }
      if (this.#numbered === null && random.chance(this.#options.namedRate / 10)) {
        this.#ask('log', [this.#openSession()]);
        return;
      }
      const count = random.chance(0.2) ? 1 + random.below(this.#options.pipeline) : 1;
      if (count > 1) this.#world.coverage.count('pipelines');
      const lane = random.chance(this.#options.readRate) ? 'read' : 'log';
      const questions = Array.from({ length: count }, () => {
        return lane === 'read' || random.chance(this.#options.readRate)
          ? this.#read()
          : this.#write(count === 1);
      });
      const [only] = questions;
      if (count === 1 && only !== undefined && random.chance(this.#options.namedRate)) this.#name(only);
      this.#ask(lane, questions);
    });
  }

  /** Gives a write a name: a number in a session, or a key of its own. */
  #name(question: Question): void {
    const { oracle, random } = this.#world;
    if (question.writes.length === 0 || this.#optimistic !== null) return;
    if (this.#numbered === null || random.chance(0.5)) {
      question.once = { kind: 'key', key: `k${oracle.token()}`, fingerprint: 'the same' };
    } else {
      question.once = { kind: 'session', session: this.#numbered.session, sequence: this.#numbered.next };
    }
  }

  #askAgain(question: Question, invoked: number): void {
    this.#world.coverage.count('named writes sent again');
    this.#again = null;
    this.#ask('log', [question]);
    this.#waiting = [{ question, invoked }];
  }

  /** Opens the session in which its writes are numbered. */
  #openSession(): Question {
    return command(['KVORUM.SESSION', 'OPEN'], [null], (reply) => {
      this.#numbered = { session: Number(reply), next: 1 };
    });
  }

  /** Asks all of this at once, of the node that it believes to lead. */
  #ask(lane: Lane, questions: readonly Question[]): void {
    const { schedule, random } = this.#world;
    const invoked = schedule.now;
    this.#waiting = questions.map((question) => ({ question, invoked }));
    this.#asked += 1;
    const asked = this.#asked;
    schedule.after(random.between(WAY_MS.min, WAY_MS.max), this.#target, () => {
      if (asked === this.#asked) this.#arrive(lane);
    });
    schedule.after(this.#options.patienceMs, null, () => {
      if (asked === this.#asked && this.#waiting.length > 0) this.#giveUp();
    });
  }

  #arrive(lane: Lane): void {
    const { driver } = this.#target;
    if (driver === null) {
      for (const { question, invoked } of this.#waiting.splice(0)) {
        if (question.uncertain) this.#unknown(question, invoked);
        else this.#turnedAway(question);
      }
      this.#goElsewhere();
      this.#thenAsk();
      return;
    }
    const session = this.#session ?? this.#connect();
    for (const { question } of this.#waiting) driver.submit(lane, question.make(session, question.once));
  }

  #connect(): Session {
    const { schedule, random } = this.#world;
    const session: Session = new Session(this.#target, {
      settled: (replies) => {
        // Replies of one connection stay in order.
        this.#nextReplyAt = Math.max(
          this.#nextReplyAt,
          schedule.now + random.between(WAY_MS.min, WAY_MS.max),
        );
        schedule.after(this.#nextReplyAt - schedule.now, null, () => {
          if (this.#session !== session) return;
          for (const reply of replies) this.#answered(reply, session);
        });
      },
      repeated: () => this.#world.coverage.count('named writes not run twice'),
    });
    this.#session = session;
    return session;
  }

  #answered(reply: Reply, session: Session): void {
    const first = this.#waiting.shift();
    if (first === undefined) {
      this.#world.fail('DC', `a client got an answer that it did not ask for: ${String(reply)}`);
      return;
    }
    const { question, invoked } = first;
    if (reply instanceof Error) this.#refused(reply.message, question, invoked);
    else {
      if (question.once?.kind === 'session' && this.#numbered !== null) this.#numbered.next += 1;
      this.#world.coverage.count(question.writes.length > 0 ? 'writes acknowledged' : 'reads answered');
      this.#remember(question, invoked, reply);
      question.answered(reply, invoked, session);
    }
    if (this.#waiting.length === 0) this.#thenAsk();
  }

  #refused(message: string, question: Question, invoked: number): void {
    const { coverage, random, machines } = this.#world;
    const [code = '', , address = ''] = message.split(' ');
    this.#optimistic = null;
    if (code === 'UNKNOWN') {
      this.#unknown(question, invoked);
      return;
    }
    if (question.uncertain) this.#unknown(question, invoked);
    else this.#turnedAway(question);
    if (code === 'MOVED') {
      coverage.count('redirects followed');
      const id = address.slice(0, address.indexOf(':'));
      if (this.#waiting.length === 0)
        this.#goTo(machines.find((machine) => machine.id === id) ?? this.#target);
    } else if (code === 'CLUSTERDOWN' || code === 'BUSY' || code === 'OOM') {
      if (this.#waiting.length === 0 && random.chance(0.5)) this.#goElsewhere();
    } else {
      this.#world.fail('DC', `a client was answered ${message}`);
    }
  }

  #turnedAway({ writes }: Question): void {
    for (const token of writes) {
      this.#world.coverage.count('writes turned away');
      if (token !== null) this.#world.oracle.refused(token);
    }
  }

  /** For the judgement at the end. Of what depends on time or on versions of keys its model knows nothing. */
  #remember({ calls }: Question, invoked: number, reply: Reply | undefined): void {
    if (!calls.every(([, key = '']) => JUDGED.has(key[0] ?? '')) || calls.length === 0) return;
    const replies = calls.length === 1 ? [reply] : reply;
    this.#world.history.push({
      client: this.#clientName,
      invoked,
      calls: calls as Operation['calls'],
      outcome:
        reply === undefined
          ? null
          : { returned: this.#world.schedule.now, replies: replies as Outcome['replies'] },
    });
  }

  /** It may have been run, or may be run yet. What has a name can be sent again. */
  #unknown(question: Question, invoked: number): void {
    if (question.writes.length === 0) return;
    if (!question.uncertain) this.#world.coverage.count('writes of unknown outcome');
    if (question.once === null) {
      this.#remember(question, invoked, undefined);
      return;
    }
    question.uncertain = true;
    this.#again = { question, invoked };
  }

  /** No answer will come. */
  #giveUp(): void {
    for (const { question, invoked } of this.#waiting.splice(0)) this.#unknown(question, invoked);
    this.#asked += 1;
    this.#goElsewhere();
    this.#thenAsk();
  }

  #goElsewhere(): void {
    this.#goTo(this.#world.random.pick(this.#world.machines));
  }

  #goTo(machine: Machine): void {
    this.#target = machine;
    this.#session = null;
    this.#optimistic = null;
  }

  /* ---- writes ------------------------------------------------------------------------------------------------------ */

  #write(alone: boolean): Question {
    const { random, oracle, schedule, coverage } = this.#world;
    const families = [
      'list',
      'list',
      'pair',
      'counter',
      'register',
      'register',
      'fleeting',
      'fleeting',
    ] as const;
    switch (alone && random.chance(0.15) ? 'optimistic' : random.pick(families)) {
      case 'list':
        return this.#append(this.#listKey('l'));
      case 'pair': {
        const key = this.#listKey('p');
        const [token, floor] = [oracle.token(), oracle.listFloor(key)];
        const calls = [call('APPEND', `${key}a`, token), call('APPEND', `${key}b`, token)];
        return transaction(calls, [], [token], (reply) => {
          coverage.count('transactions done');
          const [one, two] = both(reply);
          oracle.pairRead(key, one, two);
          oracle.appended(key, token, one, floor);
        });
      }
      case 'counter': {
        const key = this.#key('c');
        const floor = oracle.counterFloor(key);
        return command(['INCRBY', key, '1'], [null], (reply) => oracle.counted(key, reply, floor));
      }
      case 'register': {
        const key = this.#key('r');
        const token = oracle.token(schedule.now);
        return command(['SET', key, token + this.#filling()], [token], () =>
          oracle.registerSet(key, token, schedule.now),
        );
      }
      case 'fleeting':
        return this.#fleeting(this.#key('f'));
      case 'optimistic': {
        const key = this.#key('o');
        const optimistic: Optimistic = { key, watches: null, value: null };
        this.#optimistic = optimistic;
        return {
          ...UNNAMED,
          writes: [],
          calls: [],
          make: (client) => ({ kind: 'watch', client, keys: [key] }),
          answered: (_reply, _invoked, { watches }) => {
            optimistic.watches = watches;
          },
        };
      }
    }
  }

  #append(key: string): Question {
    const { oracle } = this.#world;
    const [token, floor] = [oracle.token(), oracle.listFloor(key)];
    return command(['APPEND', key, token], [token], (reply) => oracle.appended(key, token, reply, floor));
  }

  #fleeting(key: string): Question {
    const { random, oracle, schedule } = this.#world;
    const life = String(1 + random.below(this.#options.lifeMs));
    const kind = random.below(6);
    if (kind === 0) return command(['DEL', key], [null], () => undefined);
    if (kind === 1) return command(['PEXPIRE', key, life], [null], () => undefined);
    const token = oracle.token(schedule.now);
    return command(['SET', key, token + this.#filling(), 'PX', life], [token], () =>
      oracle.fleetingSet(key, token, schedule.now),
    );
  }

  /** WATCH, then GET, then MULTI, SET, EXEC: two clients can't both move a counter on from one value. */
  #nextOptimistic({ key, watches, value }: Optimistic): Question {
    const { oracle, coverage } = this.#world;
    if (value === null) {
      const floor = oracle.counterFloor(key);
      return command(['GET', key], [], (reply) => {
        oracle.counterRead(key, reply, floor);
        if (this.#optimistic !== null) this.#optimistic.value = Number(reply ?? '0');
      });
    }
    this.#optimistic = null;
    const next = value + 1;
    return transaction([call('SET', key, String(next))], watches ?? [], [null], (reply) => {
      if (reply === null) coverage.count('transactions given up for a watched key');
      else oracle.counted(key, next, value);
    });
  }

  /* ---- reads ------------------------------------------------------------------------------------------------------- */

  #read(): Question {
    const { random } = this.#world;
    switch (
      random.pick(['list', 'pair', 'counter', 'register', 'register', 'fleeting', 'fleeting'] as const)
    ) {
      case 'list':
        return this.#readList(this.#listKey('l'));
      case 'pair':
        return this.#readPair(this.#listKey('p'));
      case 'counter':
        return this.#readCounter(this.#key(random.pick(['c', 'o'])));
      case 'register':
        return this.#readRegister(this.#key('r'));
      case 'fleeting':
        return this.#readFleeting(this.#key('f'));
    }
  }

  #readList(key: string): Question {
    const { oracle } = this.#world;
    const floor = oracle.listFloor(key);
    return command(['GET', key], [], (reply) => oracle.listRead(key, reply, floor));
  }

  #readPair(key: string): Question {
    const { oracle } = this.#world;
    const floor = oracle.listFloor(key);
    const calls = [call('GET', `${key}a`), call('GET', `${key}b`)];
    return transaction(calls, [], [], (reply) => {
      const [one, two] = both(reply);
      oracle.pairRead(key, one, two);
      oracle.listRead(key, one, floor);
    });
  }

  #readCounter(key: string): Question {
    const { oracle } = this.#world;
    const floor = oracle.counterFloor(key);
    return command(['GET', key], [], (reply) => oracle.counterRead(key, reply, floor));
  }

  #readRegister(key: string): Question {
    const { oracle } = this.#world;
    const floor = oracle.registerFloor(key);
    return command(['GET', key], [], (reply) => {
      oracle.registerRead(key, withoutFilling(reply), floor);
    });
  }

  #readFleeting(key: string): Question {
    const { oracle, schedule, coverage } = this.#world;
    return command(['GET', key], [], (reply, invoked) => {
      const gone = oracle.fleetingRead(key, withoutFilling(reply), invoked, schedule.now);
      if (reply === null && gone > 0) coverage.count('keys expired before a client');
    });
  }

  /* ---- keys -------------------------------------------------------------------------------------------------------- */

  #key(family: string): string {
    return `${family}${this.#world.random.below(this.#options.keys)}`;
  }

  #filling(): string {
    return '-'.repeat(this.#world.random.below(this.#options.fillingBytes + 1));
  }

  /** A list that is still short. */
  #listKey(family: string): string {
    return this.#generations(this.#key(family)).at(-1) ?? '';
  }

  /** The lists that were begun under a key, one after the other. */
  #generations(key: string): string[] {
    const lists = [`${key}-0`];
    while (this.#world.oracle.listFloor(lists.at(-1) ?? '') >= LIST_TOKENS_MAX)
      lists.push(`${key}-${lists.length}`);
    return lists;
  }
}

function command(
  args: readonly string[],
  writes: Question['writes'],
  answered: Question['answered'],
): Question {
  const { command: entry } = call(...args);
  return {
    ...UNNAMED,
    writes,
    answered,
    calls: [args],
    make: (client, once) => ({ kind: 'command', client, command: entry, args, once }),
  };
}

function transaction(
  calls: readonly Call[],
  watches: readonly Watch[],
  writes: Question['writes'],
  answered: Question['answered'],
): Question {
  return {
    ...UNNAMED,
    writes,
    answered,
    calls: calls.map(({ args }) => args),
    make: (client, once) => ({ kind: 'transaction', client, calls, watches, once }),
  };
}

function withoutFilling(reply: Reply): Reply {
  return typeof reply === 'string' ? reply.slice(0, TOKEN_LENGTH) : reply;
}

/** The replies of a transaction of two. */
function both(reply: Reply): [Reply, Reply] {
  return Array.isArray(reply) ? [reply[0] ?? null, reply[1] ?? null] : [reply, reply];
}
