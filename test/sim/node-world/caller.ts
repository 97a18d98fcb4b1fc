/**
 * A client that asks one thing at a time: it finds the node that leads, waits for the answer, which may take long where
 * the command waits for a key, and may lose its connection or close it meanwhile, to begin again elsewhere.
 */
import type { Lane, Request } from '../../../src/server/engine.ts';
import type { Reply } from '../../../src/store/testing/harness.ts';
import { Random } from '../random.ts';
import type { Machine } from './machine.ts';
import { Session } from './session.ts';
import type { NodeWorld } from './world.ts';

/** What becomes of a question. */
export type Answer =
  | { readonly kind: 'reply'; readonly reply: Reply }
  /** It was not run and never will be. */
  | { readonly kind: 'refused' }
  /** It may have been run, or may be run yet. */
  | { readonly kind: 'unknown' };

export interface Question {
  readonly lane: Lane;
  readonly make: (session: Session) => Request;
  /** After which the client closes its connection, in ms; it may be infinite. */
  readonly patienceMs: number;
  readonly answered: (answer: Answer) => void;
}

export interface CallerOptions {
  /** Mean time between an answer and the next question, in ms. */
  readonly thinkMs: number;
}

/** A connection that closed is noticed after so many ms. */
const NOTICE_MS = 5;
/** One way between a client and a node, in ms. */
const WAY_MS = { min: 0.05, max: 1 } as const;
/** How much longer it thinks when it was turned away. */
const REFUSED_FACTOR = 5;
/** Errors by which a node says that it has not run the request and never will. */
const REFUSALS: ReadonlySet<string> = new Set(['MOVED', 'CLUSTERDOWN', 'BUSY', 'OOM', 'UNBLOCKED']);

export abstract class Caller {
  protected readonly world: NodeWorld;
  /** Its own, so that a run is the same with it as long as it asks nothing. */
  protected readonly random: Random;
  readonly #options: CallerOptions;
  #target: Machine;
  #session: Session | null = null;
  #open: Question | null = null;
  /** Counts its questions, so that what concerns an old one is known for that. */
  #asked = 0;

  constructor(world: NodeWorld, name: string, options: CallerOptions) {
    this.world = world;
    this.random = Random.of(world.options.seed, name);
    this.#options = options;
    this.#target = this.random.pick(world.machines);
    this.#thenAsk();
  }

  /** What it asks next; `null`: nothing now. */
  protected abstract next(): Question | null;

  get isIdle(): boolean {
    return this.#open === null;
  }

  /** Keys in whose lines a node has it. */
  get awaited(): readonly string[] {
    return this.#open === null ? [] : (this.#session?.awaited ?? []);
  }

  get waits(): boolean {
    return this.awaited.length > 0;
  }

  /** The machine's process is gone: its connections close. */
  machineDied(machine: Machine): void {
    if (this.#session?.machine !== machine) return;
    this.#session = null;
    const asked = this.#asked;
    this.world.schedule.after(NOTICE_MS, null, () => {
      if (asked === this.#asked) this.leave();
    });
  }

  /** Closes the connection; what was asked has an unknown outcome. */
  leave(): void {
    if (this.#open === null) return;
    if (this.waits) this.world.coverage.count('clients that left while they waited');
    this.#session?.close();
    this.#goElsewhere();
    this.#end({ kind: 'unknown' });
  }

  #thenAsk(factor = 1): void {
    const { random } = this;
    const { schedule } = this.world;
    schedule.after(factor * this.#options.thinkMs * random.between(0.1, 1.9), null, () => {
      const question = this.next();
      if (question === null) this.#thenAsk();
      else this.#ask(question);
    });
  }

  #ask(question: Question): void {
    const { random } = this;
    const { schedule } = this.world;
    this.#open = question;
    this.#asked += 1;
    const asked = this.#asked;
    const isOpen = (): boolean => asked === this.#asked && this.#open !== null;
    schedule.after(random.between(WAY_MS.min, WAY_MS.max), this.#target, () => {
      if (isOpen()) this.#arrive(question);
    });
    if (question.patienceMs === Number.POSITIVE_INFINITY) return;
    schedule.after(question.patienceMs, null, () => {
      if (isOpen()) this.leave();
    });
  }

  #arrive({ lane, make }: Question): void {
    const { driver } = this.#target;
    if (driver === null) {
      this.#goElsewhere();
      this.#end({ kind: 'refused' });
      return;
    }
    const session = this.#session ?? this.#connect();
    driver.submit(lane, make(session));
  }

  #connect(): Session {
    const { random } = this;
    const { schedule, coverage } = this.world;
    const session: Session = new Session(this.#target, {
      settled: (replies) => {
        schedule.after(random.between(WAY_MS.min, WAY_MS.max), null, () => {
          if (this.#session !== session) return;
          for (const reply of replies) this.#answered(reply);
        });
      },
      repeated: () => coverage.count('named writes not run twice'),
    });
    this.#session = session;
    return session;
  }

  #answered(reply: Reply): void {
    if (this.#open === null) {
      this.world.fail('DC', `a client got an answer that it did not ask for: ${String(reply)}`);
      return;
    }
    const [code = '', , address = ''] = reply instanceof Error ? reply.message.split(' ') : [];
    if (code === 'UNKNOWN') this.#end({ kind: 'unknown' });
    else if (REFUSALS.has(code)) {
      this.#goFrom(code, address);
      this.#end({ kind: 'refused' });
    } else this.#end({ kind: 'reply', reply });
  }

  #goFrom(code: string, address: string): void {
    const { machines, coverage } = this.world;
    if (code === 'MOVED') {
      const id = address.slice(0, address.indexOf(':'));
      this.#goTo(machines.find((machine) => machine.id === id) ?? this.#target);
    } else if (code === 'UNBLOCKED') {
      if (address === 'unblock') coverage.count('waits ended by a lost leader');
      this.#goElsewhere();
    } else if (this.random.chance(0.5)) this.#goElsewhere();
  }

  #end(answer: Answer): void {
    const question = this.#open;
    this.#open = null;
    question?.answered(answer);
    this.#thenAsk(answer.kind === 'refused' ? REFUSED_FACTOR : 1);
  }

  #goElsewhere(): void {
    this.#goTo(this.random.pick(this.world.machines));
  }

  #goTo(machine: Machine): void {
    this.#target = machine;
    this.#session = null;
  }
}
