/** A client that asks for anything at all; see `commands.ts`. Some of its writes have a name, so that their replies are kept. */
import type { Once } from '../../../src/store/once.ts';
import { type Answer, Caller, type CallerOptions, type Question } from './caller.ts';
import { type Asked, type CommandOptions, Commands } from './commands.ts';
import { scenarioOf } from './coverage.ts';
import type { NodeWorld } from './world.ts';

/** Share of writes whose replies are kept on all nodes, and so compared: of transactions, whose reads are kept with them, more. */
const NAMED_RATE = { command: 0.3, transaction: 0.8 };

export interface GeneratingOptions extends CallerOptions, Omit<CommandOptions, 'seed' | 'heldBytes'> {
  /** After which a client gives its connection up. */
  readonly patienceMs: number;
}

export class GeneratingClient extends Caller {
  readonly #patienceMs: number;
  readonly #commands: Commands;

  constructor(world: NodeWorld, name: string, options: GeneratingOptions) {
    super(world, name, options);
    this.#patienceMs = options.patienceMs;
    const seed = this.random.seed();
    this.#commands = new Commands({ ...options, seed, heldBytes: () => world.leader()?.store?.bytes ?? 0 });
  }

  protected override next(): Question | null {
    const { world } = this;
    if (!world.clientsAsk) return null;
    const asked = this.#commands.next();
    const calls = asked.kind === 'command' ? [asked.call] : asked.calls;
    const writes = calls.some(({ command }) => command.write);
    const once: Once | null =
      writes && this.random.chance(NAMED_RATE[asked.kind])
        ? { kind: 'key', key: `g${world.oracle.token()}`, fingerprint: 'the same' }
        : null;
    return {
      lane: writes ? 'log' : 'read',
      make: (client) => {
        if (asked.kind === 'transaction')
          return { kind: 'transaction', client, calls: asked.calls, watches: [], once };
        const { call, waits } = asked;
        return waits ? client.mayWait(call) : { kind: 'command', client, ...call, once };
      },
      patienceMs: this.#patienceMs,
      answered: (answer) => this.#answered(asked, answer),
    };
  }

  #answered(asked: Asked, answer: Answer): void {
    if (answer.kind !== 'reply') return;
    const { coverage } = this.world;
    coverage.count('generated commands answered');
    if (answer.reply instanceof Error) {
      coverage.count('generated commands answered with an error');
      return;
    }
    if (asked.kind === 'transaction') coverage.count('generated transactions done');
    for (const { command } of asked.kind === 'command' ? [asked.call] : asked.calls) {
      const scenario = scenarioOf(command.group);
      if (command.write && scenario !== null) coverage.count(scenario);
    }
  }
}
