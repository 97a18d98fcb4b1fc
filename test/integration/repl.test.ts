/** `kvorum repl` as people and programs use it: real processes, a real terminal, and redis-cli beside it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';

import { Connection } from '../../src/cli/repl/connection.ts';
import { human } from '../../src/cli/repl/show.ts';
import { MANIFEST } from '../formats/snapshot.ts';
import { Cluster, type NodeProcess, until } from './cluster.ts';
import { TypedTerminal } from './terminal.ts';
import { hasTool, run } from './tools.ts';

const MAIN = resolve(import.meta.dirname, '../../src/cli/main.ts');
const PASSWORD = 'open-sesame';
/** The seeds' session, keys pressed and what the screen shows. */
const SEED_SESSION = `> SET user:1 Alice
OK

> GET user:1
Alice

> SET user:2 Bob
OK

> KEYS user:*
user:1
user:2

> DELETE user:1
OK

> SNAPSHOT
Saved snapshot to data.json

> EXIT
Goodbye!
`;

const python = hasTool('python3');
const redisCli = hasTool('redis-cli');

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'kvorum-repl-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** Runs `kvorum repl` with a pipe for its input. */
async function repl(
  args: readonly string[],
  input = '',
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  const env = { ...process.env, ...options.env };
  const child = spawn(process.execPath, [MAIN, 'repl', ...args], { ...options, env });
  child.stdin.end(Buffer.from(input, 'latin1'));
  const [out, error] = await Promise.all([
    text(child.stdout.setEncoding('latin1')),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { code: child.exitCode, out, error };
}

function terminal(
  args: readonly string[],
  options: { readonly cwd?: string; readonly state?: string } = {},
): TypedTerminal {
  const { state = directory(), cwd } = options;
  const env = { ...process.env, XDG_STATE_HOME: state, TERM: 'xterm' };
  const typed = new TypedTerminal([process.execPath, MAIN, 'repl', ...args], {
    env,
    ...(cwd === undefined ? {} : { cwd }),
  });
  onTestFinished(() => typed.kill());
  return typed;
}

describe('a file', () => {
  test.skipIf(!python)("the seeds' session, word for word", async () => {
    const cwd = directory();
    const typed = terminal(['-file', 'data.json'], { cwd });
    for (const line of SEED_SESSION.split('\n').filter((one) => one.startsWith('> '))) {
      await typed.shows('> ');
      typed.type(`${line.slice(2)}\r`);
    }
    await typed.shows('Goodbye!\n');
    expect(await typed.ended()).toBe(0);
    expect(typed.screen).toBe(SEED_SESSION);
    expect(JSON.parse(readFileSync(join(cwd, 'data.json'), 'utf8'))).toMatchObject({
      version: 1,
      data: { 'user:2': 'Bob' },
    });
  });

  test('the same through a pipe', async () => {
    const cwd = directory();
    const lines = SEED_SESSION.split('\n');
    const typed = lines.filter((line) => line.startsWith('> ')).map((line) => line.slice(2));
    const shown = lines.filter((line) => line !== '' && !line.startsWith('> '));
    const { code, out, error } = await repl(['--file', 'data.json'], `${typed.join('\n')}\n`, { cwd });
    expect({ code, out, error }).toEqual({ code: 0, out: `${shown.join('\n')}\n`, error: '' });
  });

  test('the file of the seeds is read, and written again where something was changed', async () => {
    const file = join(directory(), 'data.json');
    const seed =
      '{\n  "version": 1,\n  "timestamp": "2024-01-15T10:30:00Z",\n  "data": {\n    "user:1": "Alice",\n    "user:2": "Bob",\n    "counter": "42"\n  }\n}\n';
    writeFileSync(file, seed);
    expect((await repl(['--file', file, 'GET', 'user:1'])).out).toBe('Alice\n');
    expect(readFileSync(file, 'utf8')).toBe(seed);
    expect((await repl([`-file=${file}`, 'INCR', 'counter'])).out).toBe('43\n');
    expect(JSON.parse(readFileSync(file, 'utf8')).data).toEqual({
      counter: '43',
      'user:1': 'Alice',
      'user:2': 'Bob',
    });
  });

  test('commands of all types and transactions; what JSON has no words for is refused, and a .rdb file holds it', async () => {
    const cwd = directory();
    const code = "#!lua name=lib\\nredis.register_function('one', function() return 1 end)";
    const script = `RPUSH l a b\nLRANGE l 0 -1\nMULTI\nPING\nZADD z 1.5 m\nEXEC\nZSCORE z m\nGET nothing\nFUNCTION LOAD "${code}"\n`;
    const rdb = await repl(['--file', 'd.rdb'], script, { cwd });
    expect(rdb).toEqual({
      code: 0,
      out: '2\na\nb\nOK\nQUEUED\nQUEUED\nPONG\n1\n1.5\n\nlib\n',
      error: '',
    });
    expect((await repl(['--file', 'd.rdb', 'LRANGE', 'l', '0', '-1'], '', { cwd })).out).toBe('a\nb\n');
    expect((await repl(['--file', 'd.rdb', 'FCALL', 'one', '0'], '', { cwd })).out).toBe('1\n');
    const json = await repl(['--file', 'd.json'], 'RPUSH l a b\n', { cwd });
    expect(json.code).toBe(1);
    expect(json.error).toContain('"l", which is a list; a file whose name ends in .rdb holds everything');
    expect(() => statSync(join(cwd, 'd.json'))).toThrow('ENOENT');

    const inTransaction = await repl(['--file', 'e.json'], 'MULTI\nSET a 1\nLPUSH a x\nEXEC\nGET a\n', {
      cwd,
    });
    expect(inTransaction).toMatchObject({ code: 1, error: '' });
    expect(inTransaction.out).toMatch(/^OK\nQUEUED\nQUEUED\nOK\nWRONGTYPE .*\n1\n$/);

    const umlauts = await repl(['--file', 'dä.json'], 'RPUSH l a\n', { cwd });
    expect(umlauts.error).toMatch(/^kvorum: dä\.json: json has no words for/);
    const lines = await repl(['--file', 'dä.json', '--json'], 'SET x "a\nRPUSH l a\nSNAPSHOT\n', { cwd });
    expect(Buffer.from(lines.out, 'latin1').toString().split('\n')).toEqual([
      '{"error":{"code":"ERR","message":"Invalid argument(s)","line":1}}',
      '1',
      expect.stringMatching(/^\{"error":\{"code":"ERR","message":"dä\.json: json has .*","line":3\}\}$/),
      '',
    ]);
    expect(lines).toMatchObject({ code: 1, error: '' });
  });

  test('a damaged file is refused, with the place, and left as it is', async () => {
    const file = join(directory(), 'data.json');
    writeFileSync(file, '{"version": 1, "data": {"a": }}');
    const { code, error } = await repl(['--file', file, 'SET', 'a', '1']);
    expect(code).toBe(1);
    expect(error).toContain(`${file} is damaged at byte 29`);
    expect(readFileSync(file, 'utf8')).toBe('{"version": 1, "data": {"a": }}');
  });

  test('the manifest of an append-only file is read, and never written to', async () => {
    const cwd = directory();
    cpSync(dirname(MANIFEST), cwd, { recursive: true });
    const before = readFileSync(MANIFEST, 'utf8');
    const file = 'appendonly.aof.manifest';
    expect((await repl(['--file', file, 'LRANGE', 'list', '0', '-1'], '', { cwd })).out).toBe('b\n');
    const { code, error } = await repl(['--file', file, 'SET', 'a', '1'], '', { cwd });
    expect(code).toBe(1);
    expect(error).toContain('is the manifest of an append-only file, which is only read');
    expect(readFileSync(join(cwd, file), 'utf8')).toBe(before);
  });

  test('a command that needs a server says so', async () => {
    const { code, out, error } = await repl(['--file', join(directory(), 'x.json')], 'CLIENT ID\n');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(error).toBe("kvorum: line 1: ERR 'client id' needs a server: kvorum repl <host>:<port>\n");
  });

  test.skipIf(!python)('EXIT that can not save says so, and leaves when it is said again', async () => {
    const typed = terminal(['--file', 'data.json'], { cwd: directory() });
    await typed.shows('> ');
    typed.type('RPUSH l a\r');
    await typed.shows('1\n\n> ');
    typed.type('EXIT\r');
    await typed.shows('EXIT again leaves without saving\n> ');
    typed.type('EXIT\r');
    await typed.shows('Goodbye!\n');
    expect(await typed.ended()).toBe(0);
  });
});

describe('a server', () => {
  let cluster: Cluster;
  let node: NodeProcess;
  let address: string;

  beforeAll(async () => {
    cluster = await Cluster.start(1, ['--password', PASSWORD]);
    node = await cluster.leader();
    address = `127.0.0.1:${node.port}`;
  });
  afterAll(() => cluster.stop());

  const withPassword = { env: { KVORUM_PASSWORD: PASSWORD } };

  test('one command: its reply, and whether it failed', async () => {
    expect(await repl([address, 'SET', 'a', '-1'], '', withPassword)).toEqual({
      code: 0,
      out: 'OK\n',
      error: '',
    });
    expect((await repl(['--json', address, 'GET', 'a'], '', withPassword)).out).toBe('"-1"\n');
    expect((await repl([address, '--json', 'GET', 'a'], '', withPassword)).out).toBe('"-1"\n');
    const failed = await repl([address, 'INCR', 'a', 'b'], '', withPassword);
    expect(failed).toEqual({
      code: 1,
      out: '',
      error: "kvorum: ERR wrong number of arguments for 'incr' command\n",
    });
  });

  test('a pipe: replies on stdout, errors with their lines on stderr, and the rest is run', async () => {
    const script =
      'SET s "\\x00\\xff\\n"\r\nGET s\n\n  \nLPUSH s x\nSET t "open\nRPUSH l a b\nLRANGE l 0 -1\nGET none';
    const { code, out, error } = await repl([address], script, withPassword);
    expect(out).toBe('OK\n\x00\xff\n\n2\na\nb\n\n');
    expect(error).toBe(
      'kvorum: line 5: WRONGTYPE Operation against a key holding the wrong kind of value\nkvorum: line 6: Invalid argument(s)\n',
    );
    expect(code).toBe(1);
  });

  test('bytes that are no UTF-8 come through a pipe as they are', async () => {
    const { out } = await repl([address], "SET bytes '\xfe\xff'\nSTRLEN bytes\nGET bytes\n", withPassword);
    expect(out).toBe('OK\n2\n\xfe\xff\n');
  });

  test('--json: a line for each command, errors too', async () => {
    const script = 'DEL h l\nHSET h f v\nHGETALL h\nLPUSH h x\nGET none\nEXIT\nSET never 1\n';
    const { code, out, error } = await repl([address, '--json'], script, withPassword);
    expect(out.split('\n').slice(2)).toEqual([
      '{"f":"v"}',
      '{"error":{"code":"WRONGTYPE","message":"Operation against a key holding the wrong kind of value","line":4}}',
      'null',
      '',
    ]);
    expect({ code, error }).toEqual({ code: 1, error: '' });
    expect((await repl([address, 'EXISTS', 'never'], '', withPassword)).out).toBe('0\n');
  });

  test('without the password nothing is asked where nobody sits', async () => {
    const { code, error } = await repl([address], 'GET a\nGET b\n', { env: { KVORUM_PASSWORD: undefined } });
    expect(code).toBe(1);
    expect(error).toBe(
      'kvorum: line 1: NOAUTH Authentication required.\nkvorum: line 2: NOAUTH Authentication required.\n',
    );
  });

  test('the password out of a file', async () => {
    const file = join(directory(), 'password');
    writeFileSync(file, `${PASSWORD}\n`);
    const given = await repl([address, '--password-file', file, 'PING'], '', {
      env: { KVORUM_PASSWORD: 'wrong' },
    });
    expect(given).toEqual({ code: 0, out: 'PONG\n', error: '' });
  });

  test('nobody there, no address: said in a line', async () => {
    expect(await repl(['127.0.0.1:1', 'PING'])).toMatchObject({ code: 1, out: '' });
    const { error } = await repl(['no-such-command']);
    expect(error).toContain('"no-such-command" is neither host:port nor a command');
  });

  test.skipIf(!python)(
    'a terminal: the password is asked for and never shown or kept, hints, completion, history, lines that go on',
    async () => {
      const state = directory();
      const typed = terminal([address], { state });
      await typed.shows('Password of default: ');
      typed.type('wrong\r');
      await typed.shows('AUTH failed: WRONGPASS');
      await typed.shows(`${address}> `);
      typed.type('GET secret-test\r');
      await typed.shows('Password of default: ');
      typed.type(`${PASSWORD}\r`);
      await typed.shows('(nil)\n');
      await typed.shows(`${address}> `);
      typed.type('getran');
      typed.type('\t');
      await typed.shows('getrange ');
      await typed.hints('key start end');
      typed.type('\x15SET k "one\r');
      await typed.shows('... ');
      typed.type('two"\r');
      await typed.shows(`OK\n${address}> `);
      typed.type('GET k\r');
      await typed.shows('"one\\ntwo"\n');
      typed.type(`AUTH "${PASSWORD}"\r`);
      await typed.shows('OK\n');
      // The line before the one with the password, which was not kept.
      typed.type('\x1b[A\r');
      await typed.shows('"one\\ntwo"\n');
      typed.type('SET k "odd" "\r');
      await typed.shows('... ');
      typed.type('\x03');
      await typed.shows(`^C\n${address}> `);
      typed.type('SET k "a"b\r');
      await typed.shows('Invalid argument(s)\n');
      typed.type('MULTI\r');
      await typed.shows(`OK\n${address}(TX)> `);
      typed.type('DISCARD\r');
      await typed.shows(`OK\n${address}> `);
      typed.type('\x04');
      expect(await typed.ended()).toBe(0);
      expect(
        typed.screen.match(new RegExp(PASSWORD, 'g')),
        'only where it was typed as a command',
      ).toHaveLength(1);
      const file = join(state, 'kvorum', 'history');
      expect(readFileSync(file, 'utf8')).toBe('GET secret-test\nGET k\nGET k\nMULTI\nDISCARD\n');
      expect(statSync(file).mode & 0o777).toBe(0o600);
    },
  );

  test.skipIf(!python)('messages and MONITOR are shown until Ctrl-C, which also ends a wait', async () => {
    const client = await Connection.open({ host: '127.0.0.1', port: node.port }, () => {});
    onTestFinished(() => client.close('over'));
    await client.send(['AUTH', PASSWORD]);
    const file = join(directory(), 'password');
    writeFileSync(file, PASSWORD);
    const typed = terminal([address, '--password-file', file]);
    await typed.shows(`${address}> `);
    typed.type('SUBSCRIBE news other\r');
    await typed.shows('3) (integer) 2\n');
    await client.send(['PUBLISH', 'news', 'ü']);
    await typed.shows('1) "message"\n2) "news"\n3) "\\xfc"\n');
    typed.type('\x03');
    await typed.shows(`${address}> `);
    typed.type('MONITOR\r');
    await typed.shows('Reading messages... (press Ctrl-C to quit)\n');
    await client.send(['ECHO', 'seen']);
    await typed.shows('"ECHO" "seen"');
    typed.type('\x03');
    await typed.shows(`${address}> `);
    typed.type('BLPOP none 0\r');
    await until('a client that waits', async () =>
      human(await client.send(['INFO', 'clients'])).includes('blocked_clients:1'),
    );
    typed.type('\x03');
    await typed.shows('Error: interrupted; whether the command was run is not known\n');
    typed.type('GET none\r');
    await typed.shows('(nil)\n');
  });

  test('a pipe that listens fails when the server goes', async () => {
    const listening = repl([address], 'SUBSCRIBE gone\n', withPassword);
    const client = await Connection.open({ host: '127.0.0.1', port: node.port }, () => {});
    onTestFinished(() => client.close('over'));
    await client.send(['HELLO', '3', 'AUTH', 'default', PASSWORD]);
    await until('somebody to listen', async () => {
      const numbers = await client.send(['PUBSUB', 'NUMSUB', 'gone']);
      return human(numbers).endsWith('(integer) 1');
    });
    await client.send(['CLIENT', 'KILL', 'TYPE', 'pubsub']);
    expect(await listening).toEqual({
      code: 1,
      out: 'subscribe\ngone\n1\n',
      error: 'kvorum: line 1: the server closed the connection\n',
    });
  });

  test.skipIf(!redisCli)('people see what redis-cli shows them', async () => {
    const client = await Connection.open({ host: '127.0.0.1', port: node.port }, () => {});
    onTestFinished(() => client.close('over'));
    await client.send(['HELLO', '3', 'AUTH', 'default', PASSWORD]);
    const prepare = [
      ['FLUSHALL'],
      ['SET', 'a', 'quo"te\\ \x01\xff\t'],
      ['RPUSH', 'l', ...Array.from({ length: 12 }, (_, at) => `e${at}`)],
      ['HSET', 'h', 'f', '1', 'g', '2'],
      ['SADD', 's', 'x', 'y'],
      ['ZADD', 'z', '1.5', 'm', '2', 'n'],
      ['XADD', 'x', '1-1', 'f', 'v'],
      ['XADD', 'x', '1-2', 'f', 'v', 'g', 'w'],
      ['GEOADD', 'g', '13.4', '52.5', 'Berlin'],
    ];
    const commands = [
      ['STRLEN', 'a'],
      ['GET', 'a'],
      ['GET', 'none'],
      ['INCR', 'a'],
      ['LRANGE', 'l', '0', '-1'],
      ['LRANGE', 'none', '0', '-1'],
      ['HGETALL', 'h'],
      ['HGETALL', 'none'],
      ['SMEMBERS', 's'],
      ['SMEMBERS', 'none'],
      ['ZRANGE', 'z', '0', '-1', 'WITHSCORES'],
      ['ZSCORE', 'z', 'm'],
      ['XRANGE', 'x', '-', '+'],
      ['XREAD', 'STREAMS', 'x', '0'],
      ['GEOPOS', 'g', 'Berlin', 'Nowhere'],
      ['EVAL', 'return {1, {2, {}}, false, redis.status_reply("fine")}', '0'],
      ['EVAL', 'redis.setresp(3); return {map = {a = {map = {b = {set = {c = true}}}}}}', '0'],
      ['EVAL', 'redis.setresp(3); return {map = {a = {}}}', '0'],
      ['EVAL', 'redis.setresp(3); return {map = {a = {1}}}', '0'],
      ['EVAL', 'redis.setresp(3); return {map = {a = {map = {x = 1, y = {1, 2}}}}}', '0'],
      ['EVAL', 'redis.setresp(3); return {map = {a = {set = {x = true, y = true}}}}', '0'],
      ['EVAL', 'redis.setresp(3); return {1, {map = {a = {map = {x = {1, {2, 3}}}}}}}', '0'],
      ['EVAL', 'redis.setresp(3); return {double = 0.1}', '0'],
      ['CLUSTER', 'MYID'],
      ['COMMAND', 'INFO', 'get', 'nosuch'],
      ['NOSUCH', 'x'],
    ];
    for (const command of prepare) await client.send(command);
    const cli = ['-3', '--no-raw', '--no-auth-warning', '-a', PASSWORD, '-p', `${node.port}`];
    for (const command of commands) {
      const ours = human(await client.send(command));
      expect(`${ours}\n`, command.join(' ')).toBe(await run('redis-cli', [...cli, ...command]));
    }
  });

  test.skipIf(!redisCli)('pipes get what redis-cli sends into them', async () => {
    const script = [
      'FLUSHALL',
      'RPUSH l a b',
      'LRANGE l 0 -1',
      'HSET h f 1 g 2',
      'HGETALL h',
      'ZADD z 1.5 m',
      'ZRANGE z 0 -1 WITHSCORES',
      'ZSCORE z m',
      'GET none',
      'LRANGE none 0 -1',
      'SET q "a \\x41\\n\\"b\\"" ',
      'GET q',
      "SET q 'x \\x41\\'y'",
      'GET q',
      'TYPE q',
      'XADD x 1-1 f v',
      'XRANGE x - +',
    ];
    const input = `${script.join('\n')}\n`;
    const ours = await repl([address], input, withPassword);
    const child = spawn('redis-cli', ['--no-auth-warning', '-a', PASSWORD, '-p', `${node.port}`]);
    child.stdin.end(input);
    expect(ours.out).toBe(await text(child.stdout));
  });
});

describe('a cluster of three', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start(3);
  });
  afterAll(() => cluster.stop());

  test('redirects are followed, from whichever node', async () => {
    for (const [at, { port }] of cluster.nodes.entries()) {
      const { code, out, error } = await repl([`127.0.0.1:${port}`], `SET r ${at}\nGET r\n`);
      expect({ code, out, error }).toEqual({ code: 0, out: `OK\n${at}\n`, error: '' });
    }
  });

  test.skipIf(!python)(
    'people are told; a transaction that began on a follower has to begin again',
    async () => {
      const [leader, follower] = [await cluster.leader(), await cluster.follower()];
      const typed = terminal([`127.0.0.1:${follower.port}`]);
      await typed.shows(`127.0.0.1:${follower.port}> `);
      typed.type('MULTI\r');
      await typed.shows(`(TX)> `);
      typed.type('SET tx 1\r');
      await typed.shows('(error) MOVED ');
      await typed.shows(`(TX)> `);
      typed.type('EXEC\r');
      await typed.shows('(error) EXECABORT');
      await typed.shows(`127.0.0.1:${leader.port}> `);
      typed.type('GET tx\r');
      await typed.shows('(nil)\n');
      const other = terminal([`127.0.0.1:${follower.port}`]);
      await other.shows(`127.0.0.1:${follower.port}> `);
      other.type('GET tx\r');
      await other.shows(`located at 127.0.0.1:${leader.port}\n(nil)\n127.0.0.1:${leader.port}> `);
    },
  );

  test.skipIf(!python)('the session goes on when the leader dies', async () => {
    const leader = await cluster.leader();
    const follower = await cluster.follower();
    const typed = terminal([`127.0.0.1:${follower.port}`]);
    await typed.shows('> ');
    typed.type('SET before 1\r');
    await typed.shows(`127.0.0.1:${leader.port}> `);
    await cluster.kill(leader);
    const next = await cluster.leader();
    typed.type('GET before\r');
    await typed.shows('"1"\n');
    await typed.shows(`127.0.0.1:${next.port}> `);
    await cluster.launch(leader);
  });
});
