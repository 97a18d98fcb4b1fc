/**
 * What no everyday use meets, done to three real nodes, with a report of what became of it. Meanwhile somebody sends a PING
 * and a SET every few ms and notes the longest wait. At the end all nodes must hold the same.
 *
 * ```
 * npm run test:extremes            all of it, some minutes
 * npm run test:extremes -- lua     one of: value, set, subscribers, blocked, lua
 * ```
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, type NodeProcess, until } from '../integration/cluster.ts';
import { RespClient, ReplyError, type WireReply } from '../integration/resp-client.ts';

const PATIENCE_MS = 300_000;
const PROBE_MS = 10;
const CLIENTS = 10_000;
const MEMBERS = 1_000_000;
const MEMBERS_AT_ONCE = 10_000;
const MIB = 1024 * 1024;
const PART = 16 * MIB;
/** The longest string that V8 has, 24 bytes less than 512 MiB. */
const VALUE = 512 * MIB - 24;
const MIDDLE = 256 * MIB;

/** A connection to the leader for one scenario, and what happened on the side. */
class Stage {
  readonly cluster: Cluster;
  leader: NodeProcess;
  #client: RespClient;

  constructor(cluster: Cluster, leader: NodeProcess, client: RespClient) {
    this.cluster = cluster;
    this.leader = leader;
    this.#client = client;
  }

  /** Asks the leader, and its successor where it leads no more. */
  async run(...args: string[]): Promise<WireReply> {
    for (;;) {
      const [reply = null] = await this.#client.send([args], PATIENCE_MS);
      if (!(reply instanceof ReplyError) || !['MOVED', 'CLUSTERDOWN'].includes(reply.code)) return reply;
      this.#client.close();
      this.leader = await this.cluster.leader();
      this.#client = await RespClient.connect({ host: '127.0.0.1', port: this.leader.port });
    }
  }

  close(): void {
    this.#client.close();
  }

  runAll(requests: readonly (readonly string[])[]): Promise<WireReply[]> {
    return this.#client.send(requests, PATIENCE_MS);
  }

  /** Sockets to the leader on which nothing was sent yet. */
  async sockets(count: number): Promise<Socket[]> {
    const sockets: Socket[] = [];
    while (sockets.length < count) {
      const some = Array.from({ length: Math.min(500, count - sockets.length) }, () =>
        createConnection({ host: '127.0.0.1', port: this.leader.port, noDelay: true }),
      );
      await Promise.all(some.map((socket) => once(socket, 'connect')));
      sockets.push(...some);
    }
    return sockets;
  }
}

type Scenario = (stage: Stage, say: (what: string) => void) => Promise<void>;

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;
const told = (reply: WireReply): string =>
  reply instanceof ReplyError ? `-${reply.text}` : JSON.stringify(reply);

/** Resolves when every socket has received text that ends so; the sockets' text is kept in between. */
function answersOf(sockets: readonly Socket[], isWhole: (text: string) => boolean): Promise<string[]> {
  return Promise.all(
    sockets.map(
      (socket) =>
        new Promise<string>((resolve, reject) => {
          let text = '';
          const onData = (data: Buffer): void => {
            text += data.toString('latin1');
            if (!isWhole(text)) return;
            socket.off('data', onData);
            resolve(text);
          };
          socket.on('data', onData);
          socket.once('close', () =>
            reject(new Error(`a connection was closed after ${JSON.stringify(text)}`)),
          );
        }),
    ),
  );
}

const scenarios: Record<string, Scenario> = {
  async value(stage, say) {
    const other = await RespClient.connect({ host: '127.0.0.1', port: stage.leader.port });
    const [whole = null] = await other.send([['SET', 'whole', 'x'.repeat(64 * MIB)]], PATIENCE_MS);
    say(`a SET of 64 MiB: ${told(whole)}`);
    other.close();
    let from = performance.now();
    for (let length = 0; length < VALUE; length += PART) {
      const part = Math.min(PART, VALUE - length);
      const reply = await stage.run('APPEND', 'long', 'x'.repeat(part));
      if (reply !== length + part) return say(`APPEND to ${length} bytes: ${told(reply)}`);
    }
    say(`${VALUE} bytes in parts of 16 MiB: ${seconds(from)}`);
    say(`one byte more: ${told(await stage.run('APPEND', 'long', 'x'))}`);
    from = performance.now();
    const middle = await stage.run('GETRANGE', 'long', `${MIDDLE}`, `${MIDDLE + 2}`);
    say(`three bytes from its middle: ${told(middle)} in ${seconds(from)}`);
    from = performance.now();
    await stage.run('SETRANGE', 'long', `${MIDDLE}`, 'y');
    say(`one byte changed: ${seconds(from)}`);
    from = performance.now();
    const length = await lengthOfReply(stage, ['GET', 'long']);
    say(`GET: ${typeof length === 'number' ? `${length} bytes` : length} in ${seconds(from)}`);
    from = performance.now();
    await stage.cluster.converged();
    say(`the followers have it: ${seconds(from)} later`);
    from = performance.now();
    say(`DEL: ${told(await stage.run('DEL', 'long'))} in ${seconds(from)}`);
  },

  async set(stage, say) {
    let from = performance.now();
    for (let at = 0; at < MEMBERS; at += MEMBERS_AT_ONCE) {
      const members = Array.from({ length: MEMBERS_AT_ONCE }, (_, each) => `member:${at + each}`);
      await stage.run('SADD', 'set', ...members);
    }
    say(`${told(await stage.run('SCARD', 'set'))} members added: ${seconds(from)}`);
    say(`MEMORY USAGE: ${told(await stage.run('MEMORY', 'USAGE', 'set'))} bytes`);
    for (const command of [
      ['SISMEMBER', 'set', 'member:500000'],
      ['SRANDMEMBER', 'set', '1'],
      ['SPOP', 'set'],
      ['SUNIONSTORE', 'other', 'set'],
      ['SINTERCARD', '2', 'set', 'other'],
    ]) {
      from = performance.now();
      const reply = await stage.run(...command);
      say(`${command.join(' ')}: ${told(reply)} in ${seconds(from)}`);
    }
    from = performance.now();
    say(`SMEMBERS: ${await lengthOfReply(stage, ['SMEMBERS', 'set'])} in ${seconds(from)}`);
    from = performance.now();
    say(`DEL of both: ${told(await stage.run('DEL', 'set', 'other'))} in ${seconds(from)}`);
  },

  async subscribers(stage, say) {
    let from = performance.now();
    const sockets = await stage.sockets(CLIENTS);
    const subscribed = answersOf(sockets, (text) => text.endsWith(':1\r\n'));
    for (const socket of sockets) socket.write('SUBSCRIBE news\r\n');
    await subscribed;
    say(`${CLIENTS} subscribers: ${seconds(from)}`);
    for (const [what, messages, bytes] of [
      ['one message', 1, 10],
      ['a hundred messages of 100 bytes', 100, 100],
    ] as const) {
      const message = 'x'.repeat(bytes);
      const whole = `*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$${bytes}\r\n${message}\r\n`.length * messages;
      from = performance.now();
      const heard = answersOf(sockets, (text) => text.length === whole);
      const replies = await stage.runAll(
        Array.from({ length: messages }, () => ['PUBLISH', 'news', message]),
      );
      const published = seconds(from);
      await heard;
      say(
        `${what}: PUBLISH answered ${told(replies.at(-1) ?? null)} after ${published}, all heard after ${seconds(from)}`,
      );
    }
    for (const socket of sockets) socket.destroy();
  },

  async blocked(stage, say) {
    let from = performance.now();
    const sockets = await stage.sockets(CLIENTS);
    for (const [at, socket] of sockets.entries()) socket.write(`BLPOP q${at % 100} 0\r\n`);
    const blocked = async () => /blocked_clients:(\d+)/.exec(told(await stage.run('INFO', 'clients')))?.[1];
    await until('all to wait', async () => (await blocked()) === `${CLIENTS}`);
    say(`${CLIENTS} clients wait at 100 lists: ${seconds(from)}`);
    from = performance.now();
    const served = answersOf(sockets, (text) => text.startsWith('*2') && text.split('\r\n').length === 6);
    for (let at = 0; at < CLIENTS; at += 1000) {
      await stage.runAll(
        Array.from({ length: 1000 }, (_, each) => ['RPUSH', `q${(at + each) % 100}`, `${at + each}`]),
      );
    }
    const elements = (await served).map((text) => text.split('\r\n')[4]);
    say(`each got one of ${new Set(elements).size} elements: ${seconds(from)}`);
    say(`first come, first served: ${elements.every((element, at) => element === `${at}`)}`);
    for (const [at, socket] of sockets.entries()) socket.write(`BLPOP q${at % 100} 0\r\n`);
    await until('all to wait again', async () => (await blocked()) === `${CLIENTS}`);
    from = performance.now();
    const turnedAway = answersOf(sockets, (text) => text.startsWith('-') && text.endsWith('\r\n'));
    const other = stage.cluster.nodes.find((node) => node !== stage.leader);
    await fetch(`http://127.0.0.1:${stage.leader.httpPort}/v1/cluster/transfer`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ to: other?.id }),
    });
    const errors = new Set((await turnedAway).map((text) => text.split(' ')[0]));
    say(
      `the lead passes to ${other?.id}: all ${CLIENTS} are told ${[...errors].join(', ')} within ${seconds(from)}`,
    );
    for (const socket of sockets) socket.destroy();
  },

  async lua(stage, say) {
    for (const [what, script] of [
      ['an endless loop', 'while true do end'],
      ['an endless loop that writes', "while true do redis.call('INCR', 'n') end"],
      ['an endless loop that catches errors', 'while true do pcall(function() while true do end end) end'],
      ['a string that doubles', "local s = 'x' while true do s = s .. s end"],
      ['a string of 1 GiB', "return #string.rep('x', 1024 * 1024 * 1024)"],
      ['a table without end', 'local t = {} while true do t[#t + 1] = {} end'],
      ['a recursion without end', 'local function f() return 1 + f() end return f()'],
      [
        'a pattern that backtracks',
        "return string.find(string.rep('a', 30000), string.rep('.-', 20) .. 'b')",
      ],
    ] as const) {
      const from = performance.now();
      const reply = await stage.run('EVAL', script, '0');
      say(`${what}: ${told(reply)} after ${seconds(from)}`);
    }
  },
};

/** How many bytes a reply has, without keeping them; an error's text. */
async function lengthOfReply(stage: Stage, args: readonly string[]): Promise<number | string> {
  const [socket] = (await stage.sockets(1)) as [Socket];
  // What follows tells where the first reply ends.
  socket.write(`${args.join(' ')}\r\nECHO the-end\r\n`);
  let length = 0;
  let tail = '';
  let head = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (head.length < 200) head += chunk.toString('latin1', 0, 200);
    tail = (tail + chunk.toString('latin1', Math.max(0, chunk.length - 20))).slice(-20);
    if (tail.endsWith('the-end\r\n')) break;
  }
  socket.destroy();
  return head.startsWith('-') ? (head.split('\r\n')[0] ?? '') : length;
}

/** Sends a request every few ms; stops with the longest time until its reply, in ms. */
function probe({ port }: NodeProcess, request: readonly string[]): () => Promise<number> {
  const stopped = new AbortController();
  let longest = 0;
  const done = (async () => {
    const client = await RespClient.connect({ host: '127.0.0.1', port });
    while (!stopped.signal.aborted) {
      const from = performance.now();
      await client.send([request], PATIENCE_MS);
      longest = Math.max(longest, performance.now() - from);
      await sleep(PROBE_MS);
    }
    client.close();
  })();
  return async () => {
    stopped.abort();
    await done;
    return longest;
  };
}

/** The most memory that the process had so far, in MiB. */
function peakMemory(node: NodeProcess): number {
  const status = readFileSync(`/proc/${node.process?.pid}/status`, 'latin1');
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024);
}

const chosen = process.argv.slice(2);
for (const [name, scenario] of Object.entries(scenarios)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  console.log(name);
  const cluster = await Cluster.start(3, ['--max-clients', '20000', '--log-level', 'warn']);
  try {
    const leader = await cluster.leader();
    const client = await RespClient.connect({ host: '127.0.0.1', port: leader.port });
    const pings = probe(leader, ['PING']);
    const sets = probe(leader, ['SET', 'probe', 'x']);
    const termBefore = (await cluster.status(leader))?.term;
    const stage = new Stage(cluster, leader, client);
    await scenario(stage, (what) => console.log(`  ${what}`));
    const [ping, set] = await Promise.all([pings(), sets()]);
    stage.close();
    const termAfter = (await cluster.status(leader))?.term;
    console.log(
      `  meanwhile: longest PING ${ping.toFixed(0)} ms, SET ${set.toFixed(0)} ms; terms ${termBefore} to ${termAfter}`,
    );
    console.log(
      `  most memory: ${cluster.nodes.map((node) => `${node.id} ${peakMemory(node)} MiB`).join(', ')}`,
    );
  } finally {
    await cluster.stop();
  }
  console.log('  all nodes hold the same');
}
