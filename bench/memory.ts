/**
 * `npm run bench:memory`: what data take in memory, per key and per element, of each type, beside what Redis takes for the
 * same where a redis-server is on the PATH. `told` is what our `MEMORY USAGE` says, whose sum evicts at `maxmemory`.
 */
import { execFileSync, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { noReply } from '../src/store/reply.ts';
import { Store } from '../src/store/store.ts';
import { dataCommandOf } from '../src/store/table.ts';

type Command = readonly string[];

const KEYS = 100_000;
const MEMBERS = 1_000_000;
const SMALL = 10;
/** Commands per log entry, and per write to the server. */
const AT_ONCE = 1000;

const value = (at: number): string => String(at).padStart(100, 'value ');
const small = (each: (element: number) => string[]): string[] =>
  Array.from({ length: SMALL }, (_, at) => each(at)).flat();

const shapes: readonly {
  readonly what: string;
  readonly per: number;
  readonly command: (at: number) => Command;
}[] = [
  { what: 'string of 100 bytes, per key', per: KEYS, command: (at) => ['SET', `key:${at}`, value(at)] },
  { what: 'counter, per key', per: KEYS, command: (at) => ['SET', `key:${at}`, String(at)] },
  {
    what: `list of ${SMALL}, per key`,
    per: KEYS,
    command: (at) => ['RPUSH', `key:${at}`, ...small((each) => [`element ${each}`])],
  },
  {
    what: `hash of ${SMALL}, per key`,
    per: KEYS,
    command: (at) => ['HSET', `key:${at}`, ...small((each) => [`field${each}`, `value ${each}`])],
  },
  {
    what: `set of ${SMALL}, per key`,
    per: KEYS,
    command: (at) => ['SADD', `key:${at}`, ...small((each) => [`member ${each}`])],
  },
  {
    what: `sorted set of ${SMALL}, per key`,
    per: KEYS,
    command: (at) => ['ZADD', `key:${at}`, ...small((each) => [String(each), `member ${each}`])],
  },
  { what: 'one list, per element', per: MEMBERS, command: (at) => ['RPUSH', 'key', `element ${at}`] },
  {
    what: 'one hash, per field',
    per: MEMBERS,
    command: (at) => ['HSET', 'key', `field ${at}`, `value ${at}`],
  },
  { what: 'one set, per member', per: MEMBERS, command: (at) => ['SADD', 'key', `member ${at}`] },
  {
    what: 'one sorted set, per member',
    per: MEMBERS,
    command: (at) => ['ZADD', 'key', String(at), `member ${at}`],
  },
  {
    what: 'one stream, per entry',
    per: MEMBERS,
    command: (at) => ['XADD', 'key', `${at + 1}-1`, 'field', `value ${at}`],
  },
];

console.log(`${'bytes'.padEnd(34)}${'kvorum'.padStart(10)}${'told'.padStart(10)}${'redis'.padStart(10)}`);
for (const { what, per, command } of shapes) {
  const ours = await memoryOfOurs(per, command);
  const theirs = await memoryOfRedis(per, command);
  const cell = (bytes: number | null): string =>
    (bytes === null ? '' : String(Math.round(bytes / per))).padStart(10);
  console.log(`${what.padEnd(34)}${cell(ours.taken)}${cell(ours.told)}${cell(theirs)}`);
}

async function memoryOfOurs(
  count: number,
  command: (at: number) => Command,
): Promise<{ taken: number; told: number }> {
  const before = await settled();
  const store = new Store();
  for (let at = 0; at < count; at += AT_ONCE) {
    store.beginEntry(at + 1, 1_700_000_000_000);
    for (let each = at; each < at + AT_ONCE; each++) {
      // Strings of their own, as the parser of the client port makes them.
      const args = command(each).map((arg) => Buffer.from(arg, 'latin1').toString('latin1'));
      const found = dataCommandOf(args);
      if (found === undefined) throw new Error(`no command ${args[0]}`);
      store.execute(found, args, noReply);
    }
    store.endEntry();
  }
  const taken = (await settled()) - before;
  return { taken, told: store.bytes };
}

/** After everything that nobody needs is gone. */
async function settled(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.();
    await sleep(10);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Null without a redis-server. */
async function memoryOfRedis(count: number, command: (at: number) => Command): Promise<number | null> {
  try {
    execFileSync('redis-server', ['--version']);
  } catch {
    return null;
  }
  const folder = mkdtempSync(join(tmpdir(), 'kvorum-bench-'));
  const path = join(folder, 'socket');
  const child = spawn('redis-server', ['--port', '0', '--save', '', '--dir', folder, '--unixsocket', path], {
    stdio: 'ignore',
  });
  try {
    const before = await usedBy(path, []);
    for (let at = 0; at < count; at += AT_ONCE)
      await usedBy(
        path,
        Array.from({ length: AT_ONCE }, (_, each) => command(at + each)),
      );
    return (await usedBy(path, [])) - before;
  } finally {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs the commands and asks for `used_memory`. */
async function usedBy(path: string, commands: readonly Command[]): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await ask(path, commands);
    } catch (error) {
      // It has only just been started.
      if (attempt === 100) throw error;
      await sleep(20);
    }
  }
}

function ask(path: string, commands: readonly Command[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = '';
    socket.setEncoding('latin1');
    socket.on('error', reject);
    socket.on('data', (chunk: string) => {
      text = text.slice(-100) + chunk;
      const used = /used_memory:(\d+)/.exec(text);
      if (used === null) return;
      socket.destroy();
      resolve(Number(used[1]));
    });
    const requests = commands.map(
      (args) => `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`,
    );
    socket.write(`${requests.join('')}INFO memory\r\n`, 'latin1');
  });
}
