/**
 * CLIENT TRACKING against a real redis-server: the same commands of several clients, and every byte that any of them
 * receives, replies and invalidations, must be the same.
 *
 * After each command every client asks for a sign of life, so that what it was sent before is known.
 */
import { connect, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { FakeEngine } from '../../src/server/testing/engine.ts';
import { portOf } from '../../src/server/testing/port.ts';
import { encode } from '../../src/server/testing/socket.ts';
import { Source } from '../differential/group.ts';
import { REDIS_VERSION, RedisServer, redisServerFound } from '../differential/redis-server.ts';
import { replyEnd } from '../differential/reply.ts';

/** In place of the number of a client, which is another one on each server. */
const ID_OF = /^id:(\d)$/;
const KEYS = ['a', 'b', 'ab', 'abc', 'b1', '', '\xff\xfe'];
const CLIENTS = 4;
const SEQUENCES = 60;
const STEPS = 60;

interface Step {
  readonly client: number;
  /** Sent at once. */
  readonly commands: readonly (readonly string[])[];
}

/** A client that keeps all that it receives. */
class Witness {
  readonly #socket: Socket;
  #received = '';
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('data', (text: string) => {
      this.#received += text;
      this.#wake();
    });
  }

  static async to(target: number | string): Promise<Witness> {
    const socket = typeof target === 'number' ? connect(target, '127.0.0.1') : connect(target);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new Witness(socket);
  }

  /** Resolves once each command has its reply. */
  async send(...commands: readonly (readonly string[])[]): Promise<void> {
    this.#socket.write(commands.map(encode).join(''), 'latin1');
    await this.#until(() => repliesIn(this.#received) >= commands.length);
  }

  /** All that has come since the last time, once the answer to a PING has. */
  async all(): Promise<string> {
    const sign = '$11\r\nstill there\r\n';
    this.#socket.write(encode(['PING', 'still there']));
    await this.#until(() => this.#received.endsWith(sign));
    const received = this.#received.slice(0, -sign.length);
    this.#received = '';
    return received;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

/** Whole replies and pushes. */
function framesOf(received: string): string[] {
  const frames: string[] = [];
  for (let at = 0; at < received.length; ) {
    const end = replyEnd(received, at);
    if (end < 0) break;
    frames.push(received.slice(at, end));
    at = end;
  }
  return frames;
}

/** Whole replies, invalidations apart. */
function repliesIn(received: string): number {
  return framesOf(received).filter((frame) => !frame.startsWith('>')).length;
}

/** What each client received after each step. */
async function play(target: number | string, steps: readonly Step[]): Promise<string[][]> {
  const clients = [];
  for (let at = 0; at < CLIENTS; at++) clients.push(await Witness.to(target));
  const ids: string[] = [];
  for (const client of clients) {
    await client.send(['CLIENT', 'ID']);
    ids.push(/:(\d+)/.exec(await client.all())?.[1] ?? '');
  }
  const received: string[][] = [];
  for (const { client, commands } of steps) {
    await clients[client]?.send(
      ...commands.map((args) => args.map((arg) => ids[Number(ID_OF.exec(arg)?.[1])] ?? arg)),
    );
    const texts: string[] = [];
    for (const each of clients) texts.push(await each.all());
    received.push(texts);
  }
  for (const client of clients) client.close();
  return received.map((texts, at) => {
    const about = steps[at]?.commands[0]?.[0] === 'CLIENT';
    return about ? texts.map((text) => withoutIds(text, ids)) : texts;
  });
}

function withoutIds(text: string, ids: readonly string[]): string {
  return text.replaceAll(/:(\d+)\r\n/g, (whole, id: string) => {
    const at = ids.indexOf(id);
    return at === -1 ? whole : `:id:${at}\r\n`;
  });
}

function trackingOf(source: Source): string[] {
  const options = source.options([
    () => ['BCAST'],
    () => ['BCAST', 'PREFIX', source.pick(['a', 'b', 'ab', 'c', ''])],
    () => ['PREFIX', source.pick(KEYS)],
    () => ['OPTIN'],
    () => ['OPTOUT'],
    () => ['NOLOOP'],
    () => ['NOLOOP'],
    () => ['REDIRECT', `id:${source.below(CLIENTS)}`],
    () => ['REDIRECT', source.pick(['987654321', 'x', '-1', '0'])],
    () => [source.pick(['nonsense', ''])],
  ]);
  return ['CLIENT', 'TRACKING', source.pick(['ON', 'on', 'ON', 'ON', 'maybe']), ...options];
}

function commandOf(source: Source): string[] {
  const key = (): string => source.pick(KEYS);
  const commands: readonly (() => string[])[] = [
    () => ['GET', key()],
    () => ['GET', key()],
    () => ['GET', key()],
    () => ['MGET', ...source.some(key)],
    () => ['EXISTS', ...source.some(key)],
    () => ['LRANGE', key(), '0', '-1'],
    () => ['TYPE', key()],
    () => ['SCARD', key()],
    () => ['DBSIZE'],
    () => ['STRLEN', key()],
    () => ['SET', key(), source.value()],
    () => ['SET', key(), source.value()],
    () => ['MSET', ...source.some(() => [key(), source.value()])],
    () => ['DEL', ...source.some(key)],
    () => ['DEL', key()],
    () => ['APPEND', key(), 'x'],
    () => ['INCR', key()],
    () => ['RENAME', key(), key()],
    () => ['COPY', key(), key()],
    () => ['LPUSH', key(), 'x'],
    () => ['LPOP', key()],
    () => ['SADD', key(), source.member()],
    () => ['SREM', key(), source.member()],
    () => ['EXPIRE', key(), '1000'],
    () => ['PERSIST', key()],
    () => ['EXPIREAT', key(), '1'],
    () => [source.pick(['FLUSHALL', 'FLUSHDB', 'DBSIZE', 'DBSIZE'])],
    () => ['CLIENT', 'CACHING', source.pick(['YES', 'NO', 'yes', 'perhaps'])],
    () => ['CLIENT', 'TRACKINGINFO'],
    () => ['CLIENT', 'GETREDIR'],
    () => ['CLIENT', 'TRACKING', 'OFF'],
    () => trackingOf(source),
    () => trackingOf(source),
    () => trackingOf(source),
    () => ['HELLO', source.pick(['2', '3', '3', '3'])],
    () => [source.pick(['RESET', 'PING', 'PING'])],
    () => ['NOSUCH'],
  ];
  return source.pick(commands)();
}

/** Of what may stand in a transaction. */
function callOf(source: Source): string[] {
  for (;;) {
    const args = commandOf(source);
    if (!['CLIENT', 'HELLO', 'RESET'].includes(args[0] ?? '')) return args;
  }
}

/** The last client listens and does nothing else, over RESP2: it can be redirected to. */
function stepsOf(seed: number): Step[] {
  const source = new Source(seed);
  const steps: Step[] = [
    { client: 0, commands: [['FLUSHALL']] },
    { client: CLIENTS - 1, commands: [['SUBSCRIBE', '__redis__:invalidate']] },
    { client: 0, commands: [['HELLO', '3']] },
    { client: 1, commands: [['HELLO', '3']] },
    ...[0, 0, 1, 2].map((client) => ({ client, commands: [trackingOf(source)] })),
  ];
  while (steps.length < STEPS) {
    const client = source.below(CLIENTS - 1);
    const calls = Array.from({ length: 1 + source.below(3) }, () => callOf(source));
    const end = source.pick([['EXEC'], ['EXEC'], ['DISCARD']]);
    const commands = source.chance(0.15) ? [['MULTI'], ...calls, end] : [commandOf(source)];
    // What was read before goes on to be tracked in Redis when tracking goes on, and does not here.
    const off = commands.some((args) => args[0] === 'RESET' || args[2] === 'OFF');
    if (off) steps.push({ client, commands: [['FLUSHALL']] });
    // To several prefixes that collide Redis answers twice.
    const prefixes = commands[0]?.filter((arg) => arg.toLowerCase() === 'prefix') ?? [];
    if (prefixes.length < 3) steps.push({ client, commands });
  }
  return steps;
}

/**
 * What one client received, replies and then invalidations, which Redis puts in front of the reply, or into that of EXEC, when a
 * client that another one is redirected to writes a key, or one that tracks empties the database. Whatever null says that all
 * keys are void: Redis takes that of the protocol of the client that tracks, which is not always that of the client that it
 * tells.
 *
 * `hearsForOthers`: others may be redirected to the client. What one command changes Redis then tells it in two groups: first
 * what those who track beside the writer read, then what the writer did. So order says nothing.
 */
function comparable(received: string, hearsForOthers: boolean): string {
  let replies = received;
  const pushes: string[] = [];
  for (;;) {
    const at = replies.indexOf('>2\r\n$10\r\ninvalidate\r\n');
    if (at === -1) break;
    const end = replyEnd(replies, at);
    pushes.push(replies.slice(at, end));
    replies = replies.slice(0, at) + replies.slice(end);
  }
  if (hearsForOthers) pushes.sort();
  return [replies, ...pushes].join('').replaceAll('invalidate\r\n_\r\n', 'invalidate\r\n$-1\r\n');
}

const required = process.env['KVORUM_REQUIRE_REDIS'] === '1';
const found = redisServerFound();

describe.skipIf(!found && !required)(
  `CLIENT TRACKING beside a live redis-server ${REDIS_VERSION}`,
  { timeout: 60_000 },
  () => {
    const seed = Number(process.env['KVORUM_SEED'] ?? Date.now() % 1_000_000_000);

    test(`all clients receive the same, seeds ${seed} to ${seed + SEQUENCES - 1} (KVORUM_SEED=${seed} repeats)`, async () => {
      expect(found, `redis-server ${REDIS_VERSION} must be on the PATH`).toBe(true);
      await using redis = await RedisServer.start();
      for (let each = seed; each < seed + SEQUENCES; each++) {
        const steps = stepsOf(each);
        const port = portOf(new FakeEngine(), {
          maxRequestBytes: 1024 * 1024,
        });
        const { port: number } = await port.listen();
        const [theirs, ours] = await Promise.all([play(redis.path, steps), play(number, steps)]);
        await port.close();
        const story: string[] = [];
        const redirectedTo = new Set<string>();
        for (const [at, { client, commands }] of steps.entries()) {
          story.push(`${client}: ${commands.map((args) => JSON.stringify(args.join(' '))).join('; ')}`);
          for (const arg of commands.flat()) if (ID_OF.test(arg)) redirectedTo.add(arg);
          for (let witness = 0; witness < CLIENTS; witness++) {
            // What HELLO says of the server is its own.
            if (commands[0]?.[0] === 'HELLO' && witness === client) continue;
            const hears = redirectedTo.has(`id:${witness}`);
            const [expected, actual] = [theirs, ours].map((all) =>
              comparable(all[at]?.[witness] ?? '', hears),
            );
            expect(actual, `seed ${each}, client ${witness}\n${story.join('\n')}`).toBe(expected);
          }
        }
      }
    });
  },
);
