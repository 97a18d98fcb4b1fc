/** Users at the client port: who they are, what they may do, and what becomes of them. Texts are those of Redis 7.0.15. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ClientPort } from './client-port.ts';
import { ByteReader } from '../store/bytes.ts';
import { writeEncodedReply } from '../store/encoded-reply.ts';
import { noReply } from '../store/reply.ts';
import { Recorder } from '../store/testing/harness.ts';
import type { Request } from './engine.ts';
import { decodeOutcomes, encodeRequests } from './forward-codec.ts';
import { runForwarded } from './forwarded.ts';
import { catalogue } from './table.ts';
import { FakeEngine, OTHER } from './testing/engine.ts';
import { portOf } from './testing/port.ts';
import { encode, RawClient } from './testing/socket.ts';
import { Users } from './users.ts';

const NO_KEY = '-NOPERM this user has no permissions to access one of the keys used as arguments';
const NO_CHANNEL = '-NOPERM this user has no permissions to access one of the channels used as arguments';
const WRONG = '-WRONGPASS invalid username-password pair or user is disabled.';
const LATE =
  '-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason:';
const PW_HASH = '30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4';

let engine: FakeEngine;
let users: Users;
let port: ClientPort;
let number: number;
let forwarded: Request[];
let admin: RawClient;
let client: RawClient;

async function start(password: string | null = null, proxy = false): Promise<void> {
  engine = new FakeEngine();
  users = new Users(password, catalogue);
  users.attach(engine);
  forwarded = [];
  port = portOf(engine, {
    users,
    maxRequestBytes: 1024 * 1024,
    forwarder: { submit: (request) => forwarded.push(request) },
    proxy,
  });
  number = (await port.listen()).port;
  admin = await RawClient.connect(number);
  client = await RawClient.connect(number);
}

async function stop(): Promise<void> {
  admin.socket.destroy();
  client.socket.destroy();
  await port.close();
}

async function restart(password: string | null = null, proxy = false): Promise<void> {
  await stop();
  await start(password, proxy);
}

beforeEach(() => start());
afterEach(stop);

async function setUser(rules: string): Promise<void> {
  admin.request(`ACL SETUSER ${rules}`);
  await admin.expect('+OK');
}

/** What this node passed on has been run by the leader, and comes to this node in the log. */
function apply(request: Request | undefined): void {
  if (request?.kind !== 'command') throw new Error('no command was passed on');
  engine.store.beginEntry(engine.store.appliedIndex + 1, 1);
  engine.store.execute(request.command, request.args, noReply);
  engine.store.endEntry();
}

/** `+OK` for the first, then the rest. */
async function be(user: string, ...replies: string[]): Promise<void> {
  client.request(`AUTH ${user} pw`);
  await client.expect('+OK', ...replies);
}

describe('a user', () => {
  test('may do what its rules say, and is told what not', async () => {
    await setUser('ann on >pw ~a* %R~r* &c* +@all -set');
    client.request('AUTH ann no', 'AUTH nobody pw');
    await client.expect(WRONG, WRONG);
    await be('ann');
    client.request('ACL WHOAMI', 'SET a 1', 'GET b', 'GET r', 'MSET r 1', 'PUBLISH x y', 'CONFIG', 'NOPE');
    await client.expect(
      '$3\r\nann',
      "-NOPERM this user has no permissions to run the 'set' command",
      NO_KEY,
      '$-1',
      NO_KEY,
      NO_CHANNEL,
      "-ERR wrong number of arguments for 'config' command",
      "-ERR unknown command 'NOPE', with args beginning with: ",
    );
    await setUser('ann -config|get');
    client.request('CONFIG GET save', 'CONFIG SET maxmemory 0');
    await client.expect("-NOPERM this user has no permissions to run the 'config|get' command", '+OK');
    client.request('CLIENT LIST ID 2', 'CLIENT KILL USER nobody');
    expect(await client.bulk()).toMatch(/ user=ann /);
    await client.expect("-ERR No such user 'nobody'");
  });

  test('no password is in the log that nodes share, nor in what is kept', async () => {
    await setUser('ann on >pw <pw >pw (+get ~a)');
    admin.request('ACL SETUSER ann <nope');
    await admin.expect(
      "-ERR Error in ACL SETUSER modifier '<nope': The password you are trying to remove from the user does not exist",
    );
    const commands = engine.taken.flatMap(({ request }) =>
      request.kind === 'command' ? [request.args] : [],
    );
    expect(commands).toEqual([
      ['ACL', 'SETUSER', 'ann', 'on', `#${PW_HASH}`, `!${PW_HASH}`, `#${PW_HASH}`, '(+get ~a)'],
    ]);
    await be('ann');
  });

  test('what is wrong is told before anything is proposed', async () => {
    admin.request(
      'ACL SETUSER ann +get +nope',
      'ACL SETUSER ann +config|get|x',
      'ACL SETUSER ann (+get (~a)',
      'ACL SETUSER ann (+get >pw',
      'ACL SETUSER ann (+get >pw)',
      'ACL SETUSER ann \0x',
      'ACL USERS',
    );
    await admin.expect(
      "-ERR Error in ACL SETUSER modifier '+nope': Unknown command or category name in ACL",
      "-ERR Error in ACL SETUSER modifier '+config|get|x': Allowing first-arg of a subcommand is not supported",
      "-ERR Error in ACL SETUSER modifier '(+get (~a)': Syntax error",
      "-ERR Unmatched parenthesis in acl selector starting at '(+get'.",
      "-ERR Error in ACL SETUSER modifier '(+get >pw)': Syntax error",
      "-ERR Error in ACL SETUSER modifier '': Syntax error",
      '*1\r\n$7\r\ndefault',
    );
    expect(engine.taken.every(({ lane }) => lane === 'read')).toBe(true);
  });

  test('is checked by new rules right behind the command that changes them', async () => {
    await setUser('ann on nopass ~* +@all');
    await be('ann');
    client.request('GET a', 'ACL SETUSER ann -get', 'GET a', 'ACL SETUSER ann +get', 'GET a');
    await client.expect(
      '$-1',
      '+OK',
      "-NOPERM this user has no permissions to run the 'get' command",
      '+OK',
      '$-1',
    );
  });

  test('that is switched off stays, one that is removed goes', async () => {
    await setUser('ann on >pw ~* +@all');
    await be('ann');
    await setUser('ann off');
    client.request('PING', 'AUTH ann pw', 'ACL WHOAMI');
    await client.expect('+PONG', WRONG, '$3\r\nann');
    admin.request('ACL DELUSER ann nobody');
    await admin.expect(':1');
    expect(await client.closed()).toBe('');
  });

  test('that removes itself gets the answer; one that waits is closed', async () => {
    await setUser('ann on nopass ~* +@all');
    await be('ann');
    await using waiting = await RawClient.connect(number);
    waiting.request('AUTH ann pw', 'BLPOP k 0');
    await waiting.expect('+OK');
    while (engine.blocked.size !== 1) await new Promise((resolve) => setImmediate(resolve));
    client.request('ACL DELUSER ann', 'PING');
    expect(await client.closed()).toBe(':1\r\n');
    expect(await waiting.closed()).toBe('');
    expect(engine.blocked.size).toBe(0);
  });

  test('that may not listen any more is closed', async () => {
    await setUser('ann on nopass &n* +@all');
    await be('ann');
    client.request('SUBSCRIBE no', 'SUBSCRIBE x', 'PSUBSCRIBE n?');
    await client.expect('*3\r\n$9\r\nsubscribe\r\n$2\r\nno\r\n:1', NO_CHANNEL, NO_CHANNEL);
    await setUser('ann +@all &m');
    client.request('PING');
    await client.expect('*2\r\n$4\r\npong\r\n$0\r\n');
    await setUser('ann resetchannels &m');
    expect(await client.closed()).toBe('');
  });

  test('SORT says which option is refused, in a transaction too', async () => {
    await setUser('ann on nopass ~l +@all');
    await be('ann');
    client.request('SORT l BY w_*', 'SORT l ALPHA', 'MULTI', 'SORT l GET #', 'EXEC');
    await client.expect(
      '-ERR BY option of SORT denied due to insufficient ACL permissions.',
      '*0',
      '+OK',
      '+QUEUED',
      '*1',
      '-ERR GET option of SORT denied due to insufficient ACL permissions.',
    );
  });
});

describe('a script', () => {
  const KEY =
    "-ERR The user executing the script can't access at least one of the keys mentioned in the command arguments";
  const encodeEval = (script: string, ...args: string[]): string => encode(['EVAL', script, '0', ...args]);

  test('has the rights of the user who runs it, on every node', async () => {
    await setUser('ann on nopass ~a +@all -set');
    await be('ann');
    client.send(
      encodeEval("return redis.pcall('GET', 'b')") +
        encodeEval("return redis.pcall('SET', 'a', '1')") +
        encodeEval("return redis.pcall('PUBLISH', 'c', 'm')") +
        encodeEval("return redis.pcall('SORT', 'a', 'BY', 'w_*')") +
        encodeEval("return redis.call('APPEND', 'a', '1')") +
        encodeEval("return redis.acl_check_cmd('GET', 'b')") +
        encodeEval("return redis.acl_check_cmd('GET', 'a')") +
        encode(['EVAL', 'return 1', '1', 'b']),
    );
    await client.expect(
      KEY,
      "-ERR The user executing the script can't run this command or subcommand",
      "-ERR The user executing the script can't publish to the channel mentioned in the command",
      '-ERR BY option of SORT denied due to insufficient ACL permissions.',
      ':1',
      '$-1',
      ':1',
      NO_KEY,
    );
    // What others apply says whose rights it has.
    const commands = engine.taken.flatMap(({ request }) =>
      request.kind === 'command' ? [request.args] : [],
    );
    expect(commands.at(-1)?.slice(0, 3)).toEqual(['kvorum.as', 'ann', 'EVAL']);
    await setUser('ann +set ~b');
    client.send(encodeEval("return redis.call('SET', 'b', '1')"));
    await client.expect('+OK');
  });

  test('in a transaction, a function, and one that only reads', async () => {
    await setUser('ann on nopass ~a +@all');
    const library =
      "#!lua name=l\nredis.register_function{function_name='f', callback=function() return redis.call('GET', 'b') end, flags={'no-writes'}}";
    admin.send(encode(['FUNCTION', 'LOAD', library]));
    await admin.expect('$1\r\nl');
    await be('ann');
    const read = encode(['EVAL_RO', "return redis.pcall('GET', 'b')", '0']);
    client.send(encode(['MULTI']) + read + encode(['EXEC']) + read + encode(['FCALL_RO', 'f', '0']));
    await client.expect('+OK', '+QUEUED', '*1', KEY, KEY);
    expect(await client.through('\r\n')).toContain("The user executing the script can't access");
  });

  test('no client gets the rights of another user by naming it', async () => {
    await setUser('ann on nopass ~a +@all');
    await be('ann');
    client.send(
      encode(['kvorum.as', 'default', 'EVAL', "return redis.call('GET', 'b')", '0']) +
        encodeEval("return redis.pcall('kvorum.as', 'default', 'EVAL', 'return 1', '0')"),
    );
    expect(await client.through('\r\n')).toMatch(/^-ERR unknown command 'kvorum\.as'/);
    await client.expect('-ERR This Redis command is not allowed from script');
  });

  test('of a user who may do everything carries no name', async () => {
    await setUser('root on nopass ~* &* +@all');
    await be('root');
    client.send(encodeEval("return redis.call('SET', 'b', '1')"));
    await client.expect('+OK');
    const commands = engine.taken.flatMap(({ request }) =>
      request.kind === 'command' ? [request.args[0]] : [],
    );
    expect(commands).not.toContain('kvorum.as');
  });
});

describe('a transaction', () => {
  test('fails when a command is refused, EXEC itself included', async () => {
    await setUser('ann on nopass ~a +@all');
    await be('ann');
    client.request('MULTI', 'GET b', 'EXEC');
    await client.expect('+OK', NO_KEY, '-EXECABORT Transaction discarded because of previous errors.');
    await setUser('ann -exec');
    client.request('MULTI', 'GET a', 'EXEC', 'DISCARD');
    await client.expect(
      '+OK',
      '+QUEUED',
      "-EXECABORT Transaction discarded because of: NOPERM this user has no permissions to run the 'exec' command",
      '-ERR DISCARD without MULTI',
    );
  });

  test('is looked at again when it is run', async () => {
    await setUser('ann on nopass ~a ~b +@all');
    await be('ann');
    client.request('MULTI', 'SET a 1', 'SET b 1', 'GET a', 'PING');
    await client.expect('+OK', '+QUEUED', '+QUEUED', '+QUEUED', '+QUEUED');
    await setUser('ann resetkeys ~a -get');
    client.request('EXEC', 'EXISTS a');
    await client.expect(
      '*4',
      '+OK',
      `${LATE} no permission to touch the specified keys`,
      `${LATE} no permission to execute the command or subcommand`,
      '+PONG',
      ':1',
    );
    expect(engine.store.peek('b')).toBeUndefined();
  });
});

describe('default', () => {
  test('needs the password of the configuration until it is changed, and then what it was changed to', async () => {
    await restart('secret');
    admin.request('PING', 'AUTH secret', 'ACL LIST');
    await admin.expect('-NOAUTH Authentication required.', '+OK', '*1');
    expect(await admin.bulk()).toMatch(/^user default on #[0-9a-f]{64} ~\* &\* \+@all$/);
    await setUser('default >pw');
    client.request('AUTH secret', 'AUTH pw');
    await client.expect('+OK', '+OK');
    expect(users.overruled).toBe(false);
    await setUser('default <secret');
    client.request('AUTH secret', 'AUTH pw');
    await client.expect(WRONG, '+OK');
    expect(users.overruled).toBe(true);
    // Another node, started with another password: the log says the same there.
    const elsewhere = new Users('other', catalogue);
    elsewhere.attach(engine);
    expect(elsewhere.authenticate('default', 'pw')?.name).toBe('default');
    expect(elsewhere.authenticate('default', 'other')).toBeNull();
  });

  test('lets everyone in again with nopass, and nobody while it is off', async () => {
    await restart('secret');
    admin.request('AUTH secret');
    await admin.expect('+OK');
    await setUser('default nopass');
    client.request('GET a');
    await client.expect('$-1');
    await setUser('default off');
    client.request('GET a', 'AUTH default x', 'AUTH x');
    await client.expect(
      '-NOAUTH Authentication required.',
      WRONG,
      '-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
    );
    await setUser('default on resetpass');
    client.request('AUTH x', 'AUTH default x');
    await client.expect(WRONG, WRONG);
  });

  test('costs nothing to check while it may do everything', () => {
    expect(users.default.restricted).toBe(false);
  });
});

describe('a node that does not lead', () => {
  test('passes changes on, and asks for what is new before it answers about users', async () => {
    await restart(null, true);
    engine.leading = false;
    engine.leader = OTHER;
    admin.request('ACL SETUSER ann on >pw +@all');
    while (forwarded.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const [request] = forwarded;
    expect(request).toMatchObject({
      kind: 'command',
      args: ['ACL', 'SETUSER', 'ann', 'on', `#${PW_HASH}`, '+@all'],
    });
    // The leader has run it, and this node has not applied it yet.
    request!.client.reply.ok();
    engine.holding = true;
    request!.client.settled(1);
    await admin.expect('+OK');
    client.request('AUTH ann pw');
    await engine.whenOpen(2);
    apply(request);
    engine.holding = false;
    engine.settle();
    await client.expect('+OK');
  });

  test('knows its users without a leader', async () => {
    await setUser('ann on >pw +@all');
    engine.leading = false;
    engine.leader = null;
    await be('ann');
  });

  test('waits for a leader before it believes a password that may have been removed', async () => {
    await restart(null, true);
    await setUser('ann on >pw +@all');
    engine.leading = false;
    engine.leader = OTHER;
    admin.request('ACL SETUSER ann <pw');
    while (forwarded.length === 0) await new Promise((resolve) => setImmediate(resolve));
    engine.holding = true;
    client.request('AUTH ann pw');
    await engine.whenOpen(1);
    engine.depose(null);
    // It is asked again, until there is a leader to say what is new.
    await engine.whenOpen(1);
    const [request] = forwarded;
    apply(request);
    engine.holding = false;
    engine.settle();
    await client.expect(WRONG);
    request!.client.reply.ok();
    request!.client.settled(1);
    await admin.expect('+OK');
  });

  test('passes on what it refuses late, in its place in the transaction, and whose rights a script has', async () => {
    await restart(null, true);
    await setUser('ann on nopass ~a ~b +@all');
    await be('ann');
    engine.leading = false;
    engine.leader = OTHER;
    client.request('MULTI', 'SET a 1', 'SET b 1');
    client.send(encode(['EVAL', "return redis.pcall('GET', 'b')", '0']));
    await client.expect('+OK', '+QUEUED', '+QUEUED', '+QUEUED');
    engine.leading = true;
    await setUser('ann resetkeys ~a');
    engine.leading = false;
    client.request('EXEC');
    while (forwarded.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const [request] = forwarded;
    if (request === undefined || request.kind === 'text') throw new Error('no request was passed on');
    const leader = new FakeEngine();
    const [outcome] = decodeOutcomes(await runForwarded(leader, encodeRequests([request])));
    const replies = new Recorder();
    if (outcome?.kind === 'reply') writeEncodedReply(new ByteReader(outcome.reply), replies);
    expect(replies.replies).toEqual([
      [
        'OK',
        new Error(`${LATE.slice(1)} no permission to touch the specified keys`),
        // A user that the leader does not know has no rights.
        new Error("ERR The user executing the script can't run this command or subcommand"),
      ],
    ]);
    expect([leader.store.peek('a'), leader.store.peek('b')]).toEqual(['1', undefined]);
  });

  test('refuses before it passes anything on', async () => {
    await restart(null, true);
    await setUser('ann on nopass ~a +@all');
    await be('ann');
    engine.leading = false;
    engine.leader = OTHER;
    client.request('SET b 1');
    await client.expect(NO_KEY);
    expect(forwarded).toEqual([]);
  });
});

describe('ACL LOG', () => {
  const entry = (log: string): string[] => log.split('\r\n').filter((line) => !/^[$*:]/.test(line));

  test('tells what was refused, counts what repeats itself, and is bounded', async () => {
    await setUser('ann on >pw ~a +@all');
    client.request('AUTH ann no', 'AUTH ann no');
    await client.expect(WRONG, WRONG);
    await be('ann');
    client.request('MULTI', 'GET secret', 'DISCARD');
    await client.expect('+OK', NO_KEY, '+OK');
    admin.request('ACL LOG', 'PING');
    const log = await admin.through('+PONG\r\n');
    expect(log.slice(0, 4)).toBe('*2\r\n');
    const words = entry(log);
    expect(words.slice(1, 9)).toEqual([
      'reason',
      'key',
      'context',
      'multi',
      'object',
      'secret',
      'username',
      'ann',
    ]);
    expect(words.slice(13, 22)).toEqual([
      'count',
      'reason',
      'auth',
      'context',
      'toplevel',
      'object',
      'AUTH',
      'username',
      'ann',
    ]);
    expect(log).toMatch(/count\r\n:2\r\n/);
    expect(log).toMatch(/client-info\r\n\$\d+\r\nid=2 addr=127/);
    admin.request('CONFIG SET acllog-max-len 3');
    await admin.expect('+OK');
    const refused = Array.from({ length: 20 }, (_, at) => `GET k${at}`);
    client.request(...refused);
    await client.expect(...refused.map(() => NO_KEY));
    expect(port.aclLog.entries.map(({ object }) => object)).toEqual(['k19', 'k18', 'k17']);
    admin.request('ACL LOG RESET', 'ACL LOG');
    await admin.expect('+OK', '*0');
  });
});

test('monitors and SLOWLOG see no password', async () => {
  admin.request('CONFIG SET slowlog-log-slower-than 0');
  await admin.expect('+OK');
  client.request('MONITOR');
  await client.expect('+OK');
  await setUser('ann on >hunter2 +@all');
  admin.request('AUTH ann hunter2', 'SLOWLOG GET 10', 'PING');
  const log = await admin.through('+PONG\r\n');
  expect(log).toContain('(redacted)');
  expect(log).not.toContain('hunter2');
  const seen = await client.through('"PING"\r\n');
  expect(seen).toContain('"AUTH" "(redacted)" "(redacted)"');
  expect(seen).not.toContain('hunter2');
});
