/**
 * `npm run bench:failover`: three kvorum nodes under a load of writes lose their leader, again and again. Measured is
 * the time from the loss to the first write that another node acknowledges, as clients see it that follow redirects.
 *
 * The leader is lost in two ways. `kill`: kill -9, which closes its sockets, so that the others notice at once.
 * `freeze`: SIGSTOP, which leaves the sockets open, so that only the election timeout tells. After each loss every
 * writer's last acknowledged write is read back; the lost node returns and catches up before the next.
 *
 * Options: --runs N (10), --how kill|freeze (both), --writers N (8), --json.
 */
import { type Socket, connect } from 'node:net';
import { parseArgs } from 'node:util';

import { HOST, type KvorumNode, freshFolder, signal, startKvorum, stop, until } from './processes.ts';
import { encode } from './resp-load.ts';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '10' },
    writers: { type: 'string', default: '8' },
    how: { type: 'string', default: 'kill,freeze' },
    json: { type: 'boolean', default: false },
  },
});

const HOWS = ['kill', 'freeze'] as const;
type How = (typeof HOWS)[number];

/** A client gives up on a silent node after this long and asks the next one. */
const PATIENCE_MS = 200;
/** Between two attempts while no node takes writes. */
const RETRY_MS = 5;
/** Load before each loss, so that the leader has work under way. */
const LOAD_MS = 1000;
const FAILOVER_MS_MAX = 30_000;

/** One client: writes rising numbers to a key of its own, one at a time, wherever it is sent. */
class Writer {
  readonly key: string;
  /** The newest number whose write was acknowledged. */
  acknowledged = 0;
  readonly #nodes: readonly KvorumNode[];
  readonly #onAcknowledged: (port: number) => void;
  #port: number;
  #next = 0;
  #socket: Socket | null = null;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(key: string, nodes: readonly KvorumNode[], onAcknowledged: (port: number) => void) {
    this.key = key;
    this.#nodes = nodes;
    this.#onAcknowledged = onAcknowledged;
    this.#port = nodes[0]?.port ?? 0;
    this.#open();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  #open(): void {
    const socket = connect({ host: HOST, port: this.#port, noDelay: true });
    this.#socket = socket;
    let text = '';
    socket.on('connect', () => this.#write(socket));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const end = text.indexOf('\r\n');
      if (end < 0) return;
      const reply = text.slice(0, end);
      text = text.slice(end + 2);
      this.#answered(socket, reply);
    });
    socket.setTimeout(PATIENCE_MS, () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#socket === socket) this.#elsewhere(this.#portAfter(this.#port));
    });
  }

  #write(socket: Socket): void {
    this.#next += 1;
    socket.write(encode(['SET', this.key, String(this.#next)]));
  }

  #answered(socket: Socket, reply: string): void {
    if (reply === '+OK') {
      this.acknowledged = this.#next;
      this.#onAcknowledged(this.#port);
      this.#write(socket);
      return;
    }
    const moved = /^-MOVED \d+ [^ ]+:(\d+)$/.exec(reply);
    this.#elsewhere(moved === null ? this.#portAfter(this.#port) : Number(moved[1]));
  }

  #elsewhere(port: number): void {
    this.#socket?.destroy();
    this.#socket = null;
    this.#port = port;
    if (!this.#stopped) this.#timer = setTimeout(() => this.#open(), RETRY_MS);
  }

  #portAfter(port: number): number {
    const at = this.#nodes.findIndex((node) => node.port === port);
    return this.#nodes[(at + 1) % this.#nodes.length]?.port ?? port;
  }
}

/** What `/v1/status` says that matters here. */
interface Status {
  readonly role: string;
  readonly leader: string | null;
  readonly commitIndex: number;
  readonly appliedIndex: number;
}

async function statusOf(node: KvorumNode): Promise<Status> {
  const reply = await fetch(`${node.url}/v1/status`, { signal: AbortSignal.timeout(1000) });
  if (!reply.ok) throw new Error(`${node.id} is starting`);
  return (await reply.json()) as Status;
}

/** All nodes up, with one leader, everything that was committed until now applied everywhere. */
async function settled(nodes: readonly KvorumNode[]): Promise<KvorumNode> {
  const target = await until('a leader', async () => {
    const all = await Promise.all(nodes.map(statusOf));
    const commit = Math.max(...all.map(({ commitIndex }) => commitIndex));
    return all.some(({ role }) => role === 'leader') ? commit : null;
  });
  return until('all nodes caught up', async () => {
    const all = await Promise.all(nodes.map(statusOf));
    const leader = nodes[all.findIndex(({ role }) => role === 'leader')];
    if (leader === undefined) return null;
    return all.every((node) => node.leader === leader.id && node.appliedIndex >= target) ? leader : null;
  });
}

/** Loses the leader once; milliseconds until another node acknowledged a write. */
async function lose(how: How, nodes: readonly KvorumNode[], writers: number): Promise<number> {
  const leader = await settled(nodes);
  const { promise: taken, resolve, reject } = Promise.withResolvers<number>();
  let lostAt = 0;
  const load = Array.from(
    { length: writers },
    (_, at) =>
      new Writer(`writer:${at}`, nodes, (port) => {
        if (lostAt > 0 && port !== leader.port) resolve(performance.now() - lostAt);
      }),
  );
  await new Promise((wake) => setTimeout(wake, LOAD_MS));
  if (load.some(({ acknowledged }) => acknowledged === 0))
    throw new Error('a writer made no progress before the loss');

  lostAt = performance.now();
  const gone = how === 'kill' ? stop(leader.process) : signal(leader.process, 'SIGSTOP');
  const patience = setTimeout(
    () => reject(new Error(`no write acknowledged ${FAILOVER_MS_MAX} ms after the loss`)),
    FAILOVER_MS_MAX,
  );
  const ms = await taken.finally(() => clearTimeout(patience));
  for (const writer of load) writer.stop();
  await gone;
  await checkWrites(
    load,
    nodes.filter((node) => node !== leader),
  );
  if (how === 'kill') leader.restart();
  else signal(leader.process, 'SIGCONT');
  return ms;
}

/** An acknowledged write must still be there; a newer one, whose reply was lost, may be. */
async function checkWrites(load: readonly Writer[], survivors: readonly KvorumNode[]): Promise<void> {
  for (const { key, acknowledged } of load) {
    const found = await until(`${key} can be read`, async () => {
      for (const { port } of survivors) {
        const value = await get(port, key);
        if (value !== null) return value;
      }
      return null;
    });
    if (found < acknowledged)
      throw new Error(`${key}: ${acknowledged} was acknowledged, ${found} is there: A WRITE IS LOST`);
  }
}

/** The number behind a key, `null` from a node that doesn't lead. */
function get(port: number, key: string): Promise<number | null> {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect({ host: HOST, port }, () => socket.write(encode(['GET', key])));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      const value = /^\$\d+\r\n(\d+)\r\n/.exec(text);
      if (value === null && !/^-.*\r\n/.test(text)) return;
      socket.destroy();
      resolve(value === null ? null : Number(value[1]));
    });
    socket.setTimeout(1000, () => socket.destroy());
    socket.on('error', reject).on('close', () => reject(new Error('closed without a reply')));
  });
}

const runs = Number(options.runs);
const writers = Number(options.writers);
const hows = options.how.split(',').map((text) => {
  const how = HOWS.find((known) => known === text);
  if (how === undefined || !(runs > 0) || !(writers > 0))
    throw new Error('use --runs N --writers N --how kill,freeze');
  return how;
});
const nodes = await startKvorum(3, freshFolder('failover'));
const results: { how: How; ms: number[] }[] = [];
for (const how of hows) {
  const ms: number[] = [];
  for (let run = 1; run <= runs; run += 1) {
    ms.push(Math.round(await lose(how, nodes, writers)));
    console.error(`${how} ${run}: ${ms.at(-1) ?? 0} ms`);
  }
  results.push({ how, ms: ms.sort((a, b) => a - b) });
}
await Promise.all(nodes.map((node) => stop(node.process)));
if (options.json) console.log(JSON.stringify({ writers, results }));
else {
  console.log(
    `\nfailover of 3 nodes under ${writers} writers, loss of the leader to the first write acknowledged elsewhere`,
  );
  for (const { how, ms } of results) {
    const median = ((ms[(ms.length - 1) >> 1] ?? 0) + (ms[ms.length >> 1] ?? 0)) / 2;
    console.log(
      `  ${how.padEnd(7)} median ${median} ms, ${ms[0] ?? 0}–${ms.at(-1) ?? 0} ms, ${ms.length} runs`,
    );
  }
}
