/** Whoever looks after the cluster: has a few commands run, one after the other, however often each has to be sent. */
import { call } from '../../../src/store/testing/harness.ts';
import { Caller, type Question } from './caller.ts';
import type { NodeWorld } from './world.ts';

export class Operator extends Caller {
  #orders: (readonly string[])[] = [];

  constructor(world: NodeWorld) {
    super(world, 'operator', { thinkMs: 10 });
  }

  /** Whether all that was ordered is done. */
  get isDone(): boolean {
    return this.#orders.length === 0 && this.isIdle;
  }

  order(...args: readonly string[]): void {
    this.#orders.push(args);
  }

  protected override next(): Question | null {
    const [args] = this.#orders;
    if (args === undefined) return null;
    return {
      lane: 'log',
      make: (client) => ({ kind: 'command', client, ...call(...args), once: null }),
      patienceMs: 1000,
      answered: ({ kind }) => {
        if (kind === 'reply') this.#orders.shift();
      },
    };
  }
}
