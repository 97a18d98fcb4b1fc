/** A real redis-server, the oracle: found, started, spoken to and stopped. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KEYS, PAUSE_MS, type Step } from './generate.ts';
import { replyEnd } from './reply.ts';

/** The version whose behaviour is the measure. */
export const REDIS_VERSION = '7.0.15';

/** Whether a redis-server of that version can be started here. */
export function redisServerFound(): boolean {
  try {
    return execFileSync('redis-server', ['--version'], { encoding: 'utf8' }).includes(`v=${REDIS_VERSION} `);
  } catch {
    return false;
  }
}

/** Attempts to connect until a new server listens, and the time between them in ms. */
const CONNECT_ATTEMPTS = 500;
const CONNECT_INTERVAL_MS = 10;

export class RedisServer implements AsyncDisposable {
  readonly #folder: string;
  readonly #process: ChildProcess;

  /**
   * With one database and no persistence, on a socket in a folder of its own. `more`: options besides. `snapshot`: what it
   * begins with.
   */
  static async start(more: readonly string[] = [], snapshot: string | null = null): Promise<RedisServer> {
    const folder = mkdtempSync(join(tmpdir(), 'kvorum-redis-'));
    if (snapshot !== null) cpSync(snapshot, join(folder, 'dump.rdb'));
    const options = ['--port', '0', '--save', '', '--databases', '1', '--dir', folder, ...more];
    const child = spawn('redis-server', [...options, '--unixsocket', join(folder, 'socket')], {
      stdio: 'ignore',
    });
    const server = new RedisServer(folder, child);
    for (let attempt = 1; ; attempt++) {
      try {
        const connection = await server.connect(2);
        const answer = await connection.send(['PING']);
        connection.close();
        // It listens before it has read its snapshot.
        if (answer.startsWith('-LOADING')) throw new Error(answer);
        return server;
      } catch (error) {
        if (attempt === CONNECT_ATTEMPTS) throw error;
        await delay(CONNECT_INTERVAL_MS);
      }
    }
  }

  private constructor(folder: string, child: ChildProcess) {
    this.#folder = folder;
    this.#process = child;
  }

  /** Of the socket that it listens on. */
  get path(): string {
    return join(this.#folder, 'socket');
  }

  async connect(protocol: 2 | 3): Promise<RedisConnection> {
    const socket = connect(this.path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const connection = new RedisConnection(socket);
    if (protocol === 3) await connection.send(['HELLO', '3']);
    return connection;
  }

  /** Where SAVE puts its file. */
  get snapshot(): string {
    return join(this.#folder, 'dump.rdb');
  }

  /** Replies to all steps on an empty server, and when it began in ms since 1970. */
  async play(steps: readonly Step[], protocol: 2 | 3): Promise<{ start: number; replies: string[] }> {
    const connections = [await this.connect(protocol), await this.connect(protocol)] as const;
    await connections[0].send(['FLUSHALL']);
    const start = Date.now();
    const replies: string[] = [];
    for (const step of steps) {
      if (step.kind === 'command') {
        replies.push(await connections[step.connection].send(step.args));
        continue;
      }
      await delay(PAUSE_MS);
      // Looked at, an expired key is removed, so that DBSIZE doesn't depend on the server's own rounds.
      await connections[1].send(['EXISTS', ...KEYS]);
      replies.push('');
    }
    for (const connection of connections) connection.close();
    return { start, replies };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill('SIGKILL');
    await ended;
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** One command at a time. */
export class RedisConnection {
  readonly #socket: Socket;
  #received = '';
  #deliver: ((reply: string) => void) | null = null;
  #fail: ((error: Error) => void) | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.#received += text;
      const end = replyEnd(this.#received, 0);
      if (end < 0) return;
      const reply = this.#received.slice(0, end);
      this.#received = this.#received.slice(end);
      this.#deliver?.(reply);
    });
    socket.on('error', (error) => this.#fail?.(error));
    socket.on('close', () => this.#fail?.(new Error('redis-server closed the connection')));
  }

  send(args: readonly string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#deliver = resolve;
      this.#fail = reject;
      const bulks = args.map((arg) => `$${arg.length}\r\n${arg}\r\n`);
      this.#socket.write(`*${args.length}\r\n${bulks.join('')}`, 'latin1');
    });
  }

  close(): void {
    this.#fail = null;
    this.#socket.destroy();
  }
}
