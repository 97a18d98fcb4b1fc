/**
 * Runs steps on the store as a leader would: every write is a log entry, which a follower applies from its bytes.
 * MULTI, EXEC and WATCH are the client port's business; here is just enough of them.
 */
import { RespWriter } from '../../src/server/resp/writer.ts';
import { BatchEncoder } from '../../src/store/batch.ts';
import type { Call, Watch } from '../../src/store/command.ts';
import { wrongArity } from '../../src/store/errors.ts';
import { Store } from '../../src/store/store.ts';
import { hasArity } from '../../src/store/arity.ts';
import { dataCommands } from '../../src/store/table.ts';
import { PAUSE_MS, type Step } from './generate.ts';

interface Connection {
  readonly reply: RespWriter;
  queue: Call[] | null;
  watches: Watch[];
}

export class InProcess {
  readonly leader: Store = new Store();
  readonly follower: Store = new Store();
  readonly #batch = new BatchEncoder();
  readonly #connections: readonly Connection[];
  #now: number;

  /** `start`: the clock in ms since 1970; only pauses move it. */
  constructor(protocol: 2 | 3, start: number) {
    this.#now = start;
    this.#connections = [0, 1].map(() => {
      const reply = new RespWriter();
      reply.protocol = protocol;
      return { reply, queue: null, watches: [] };
    });
  }

  /** The reply's bytes as latin1 characters; empty for a pause. */
  run(step: Step): string {
    if (step.kind === 'pause') {
      this.#now += PAUSE_MS;
      this.#expire();
      return '';
    }
    const connection = this.#connections[step.connection]!;
    this.#dispatch(connection, step.args);
    return connection.reply.take().toString('latin1');
  }

  #dispatch(connection: Connection, args: readonly string[]): void {
    const { reply } = connection;
    const name = (args[0] ?? '').toLowerCase();
    switch (name) {
      case 'multi':
        connection.queue = [];
        return reply.ok();
      case 'discard':
        connection.queue = null;
        connection.watches = [];
        return reply.ok();
      case 'exec':
        return this.#exec(connection);
      case 'watch':
        for (const key of args.slice(1))
          connection.watches.push({ key, version: this.leader.version(key, this.#now) });
        return reply.ok();
      case 'unwatch':
        connection.watches = [];
        return reply.ok();
      default:
    }
    const command = dataCommands.get(name)!;
    if (!hasArity(command, args)) return reply.error(wrongArity(name));
    if (connection.queue !== null) {
      connection.queue.push({ command, args });
      return reply.simple('QUEUED');
    }
    if (!command.write) return this.leader.read(command, args, reply, this.#now);
    this.#batch.addCommand(args);
    this.#entry(() => this.leader.execute(command, args, reply));
  }

  #exec(connection: Connection): void {
    const { queue, watches, reply } = connection;
    connection.queue = null;
    connection.watches = [];
    const calls = queue ?? [];
    if (!calls.some(({ command }) => command.write))
      return this.leader.readTransaction(calls, watches, reply, this.#now);
    this.#batch.addTransaction(calls, watches);
    this.#entry(() => this.leader.executeTransaction(calls, watches, reply));
  }

  #expire(): void {
    const keys = this.leader.dueKeys(this.#now, 1000);
    if (keys.length === 0) return;
    this.#batch.addExpire(keys);
    this.#entry(() => this.leader.expire(keys));
  }

  #entry(apply: () => void): void {
    const index = this.leader.appliedIndex + 1;
    this.leader.beginEntry(index, this.#now);
    apply();
    this.leader.endEntry();
    this.follower.applyBatch(index, this.#batch.finish(this.#now));
  }
}
