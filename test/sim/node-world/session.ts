/** A connection of a client to one life of a machine, with as much of a client port as clients here need. */
import { type CommandRequest, GONE, LEADER_LOST, type Waiter } from '../../../src/server/blocked.ts';
import type { Client, Request, Waits } from '../../../src/server/engine.ts';
import { busy, redirection } from '../../../src/server/errors.ts';
import type { Call, DataCommand, Watch } from '../../../src/store/command.ts';
import type { Wait } from '../../../src/store/context.ts';
import { Recorder, type Reply } from '../../../src/store/testing/harness.ts';
import type { Machine } from './machine.ts';

/** What happens to a session. */
export interface SessionListener {
  readonly settled: (replies: readonly Reply[]) => void;
  readonly repeated: () => void;
}

export class Session implements Client {
  readonly machine: Machine;
  readonly reply: Recorder = new Recorder();
  watches: readonly Watch[] = [];
  readonly #listener: SessionListener;
  #waiter: Waiter | null = null;
  #closed = false;

  constructor(machine: Machine, listener: SessionListener) {
    this.machine = machine;
    this.#listener = listener;
  }

  /** The keys that its one request waits for; none when it does not wait. */
  get awaited(): readonly string[] {
    return this.#waiter?.keys ?? [];
  }

  settled(count: number): void {
    this.#waiter = null;
    this.#listener.settled(this.reply.replies.splice(0, count));
  }

  watched(watches: readonly Watch[]): void {
    this.watches = watches;
  }

  repeated(): void {
    this.#listener.repeated();
  }

  /** What a connection answers on a node that does not lead. */
  refused(_request: Request): void {
    const { driver, id } = this.machine;
    this.reply.error(redirection(0, driver?.leaderAddress() ?? null, id));
  }

  /** The request of a command whose client waits where there is nothing to give. Nothing else may be open beside it. */
  mayWait({ command, args }: Call): CommandRequest {
    const waits: Waits = {
      again: false,
      starts: () => true,
      nothingYet: (wait, seen) => {
        if (wait !== null) this.#wait(command, wait, seen);
      },
    };
    return { kind: 'command', client: this, command, args, once: null, waits };
  }

  /** Whatever comes now comes for nobody. */
  close(): void {
    this.#closed = true;
    this.#waiter?.end(GONE);
  }

  #wait(command: DataCommand, wait: Wait, seen: readonly Watch[]): void {
    const { driver } = this.machine;
    if (this.#closed || driver === null) {
      this.reply.error(LEADER_LOST.text);
      this.settled(1);
      return;
    }
    const submit = command.write ? (request: Request): void => driver.submit('log', request) : null;
    this.#waiter = driver.blocked.add({ client: this, command, wait, submit, seen });
    if (this.#waiter !== null) return;
    this.reply.error(busy(driver.blocked.bytes));
    this.settled(1);
  }
}
