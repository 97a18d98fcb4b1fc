/**
 * What a scenario can do to the machines of a cluster, whatever they are made of: containers on a Docker engine
 * (`containers.ts`), or processes of this machine where no engine can be had (`processes.ts`). Scenarios stand once
 * and know this interface only.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { StatusReply } from '../../src/cli/status.ts';
import { until } from '../integration/cluster.ts';

export interface Machine {
  readonly id: string;
  /** Of 127.0.0.1: for Redis clients. Stays the same over restarts and faults. */
  readonly port: number;
  /** Of 127.0.0.1: for the HTTP API. A fault between the nodes does not touch it. */
  readonly httpPort: number;
}

/** What does not pass between a machine and the others: nothing in either direction, nothing to it, nothing from it. */
export type Direction = 'both' | 'in' | 'out';

/** `KVORUM_*` variables. */
export type Settings = Readonly<Record<string, string>>;

export interface MachineOptions {
  /** Founding members, `n1` to `n<size>`. */
  readonly size: number;
  /** Settings of one founding member beside those that make it one. */
  readonly settings?: (id: string) => Settings;
  /** A built tree to run in the place of the project's own `dist`. */
  readonly dist?: string;
}

export type MachineKind = 'containers' | 'processes';

export interface Machines {
  readonly kind: MachineKind;
  readonly all: readonly Machine[];
  /** Whether it was started and neither killed nor stopped since; a paused machine is up. */
  isUp(machine: Machine): boolean;
  /** Starts a machine that is down, with the data it had. Resolves when it answers over HTTP. */
  start(machine: Machine): Promise<void>;
  /** Ends it as a crash would: SIGKILL. Its data stay. */
  kill(machine: Machine): Promise<void>;
  /** Ends it as an operator would: SIGTERM. Resolves to the exit code. */
  stop(machine: Machine): Promise<number>;
  /** Freezes it: it keeps its connections and answers nothing. */
  pause(machine: Machine): Promise<void>;
  resume(machine: Machine): Promise<void>;
  /** Takes it off the nodes' network: connections end, its name is unknown to the others. */
  disconnect(machine: Machine): Promise<void>;
  reconnect(machine: Machine): Promise<void>;
  /** Drops what passes between it and the other nodes, silently: connections stay and nothing arrives. */
  isolate(machine: Machine, direction: Direction): Promise<void>;
  heal(machine: Machine): Promise<void>;
  /**
   * A new machine under the next unused id, with these settings beside `KVORUM_JOIN` with the address of `via`. It is not
   * started yet.
   */
  join(via: Machine, settings?: Settings): Promise<Machine>;
  /** Ends a machine for good, its data included. */
  discard(machine: Machine): Promise<void>;
  /** Runs a verb of the project's command line that asks this machine's node; what it printed. */
  kvorum(machine: Machine, ...args: readonly string[]): Promise<string>;
  /** Everything that it has logged so far. */
  log(machine: Machine): Promise<string>;
  /** Removes the machines, their data and their network. */
  dispose(): Promise<void>;
}

/** What a node says about itself; `null` when it does not answer. */
export async function statusOf(machine: Machine): Promise<StatusReply | null> {
  try {
    const reply = await fetch(`http://127.0.0.1:${machine.httpPort}/v1/status`, {
      signal: AbortSignal.timeout(2000),
    });
    return reply.ok ? ((await reply.json()) as StatusReply) : null;
  } catch {
    return null;
  }
}

/** The node that leads among these (all that are up, unless said otherwise) and can commit; waits for it. */
export async function leaderOf(
  machines: Machines,
  among: readonly Machine[] = machines.all,
): Promise<Machine> {
  let found: Machine | undefined;
  await until(`a leader among ${among.map(({ id }) => id).join(', ')}`, async () => {
    for (const machine of among) {
      if (!machines.isUp(machine)) continue;
      const status = await statusOf(machine);
      // Commit index 1 is the founding configuration: nothing of a term that was voted on.
      if (status?.role === 'leader' && status.commitIndex > 1) found = machine;
    }
    return found !== undefined;
  });
  return found!;
}

/** Those that are not this one. */
export function others(machines: Machines, machine: Machine): Machine[] {
  return machines.all.filter((other) => other !== machine);
}

/**
 * Waits until every machine that is up follows one leader and has applied all that was committed when this was called.
 * Clients may go on writing meanwhile.
 */
export async function caughtUp(machines: Machines): Promise<void> {
  const up = machines.all.filter((machine) => machines.isUp(machine));
  const before = await Promise.all(up.map((machine) => statusOf(machine)));
  const committed = Math.max(...before.map((status) => status?.commitIndex ?? 0));
  await until('all nodes to catch up under one leader', async () => {
    const all = await Promise.all(up.map((machine) => statusOf(machine)));
    const leaders = new Set(all.map((status) => status?.leader));
    return (
      leaders.size === 1 &&
      typeof all[0]?.leader === 'string' &&
      all.every((status) => status !== null && status.appliedIndex >= committed)
    );
  });
}

/** Below the range from which the kernel takes ports for outgoing connections: nobody else gets them by chance. */
const PORTS = { from: 20_000, to: 30_000 };

/** Runs a verb of the command line until it is done: a change that has to wait for another one is refused at first. */
export async function command(machines: Machines, via: Machine, ...args: readonly string[]): Promise<void> {
  let refusal = '';
  try {
    await until(`kvorum ${args.join(' ')}`, () =>
      machines.kvorum(via, ...args).then(
        () => true,
        (error: unknown) => {
          refusal = String(error);
          return false;
        },
      ),
    );
  } catch (cause) {
    throw new Error(`refused: ${refusal}`, { cause });
  }
}

/** A port that was given out may not be listened on yet. */
const given = new Set<number>();

/** Ports of this machine that nothing listens on. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port);
    await once(server, 'listening');
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
