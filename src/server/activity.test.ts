/** SLOWLOG, LATENCY, MONITOR and the counters of INFO, as a client sees them. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { dataCommandOf } from '../store/table.ts';
import { Activity } from './activity.ts';
import type { ClientPort } from './client-port.ts';
import { Histogram } from './histogram.ts';
import { ManualClock } from './testing/clock.ts';
import { FakeEngine } from './testing/engine.ts';
import { portOf } from './testing/port.ts';
import { encode, RawClient } from './testing/socket.ts';

let port: ClientPort;
let number: number;
let one: RawClient;
let two: RawClient;

beforeEach(async () => {
  // No time passes: nothing is slow that is not meant to be.
  port = portOf(new FakeEngine(new ManualClock()), {
    maxRequestBytes: 1024 * 1024,
  });
  number = (await port.listen()).port;
  one = await RawClient.connect(number);
  two = await RawClient.connect(number);
});

afterEach(async () => {
  one.socket.destroy();
  two.socket.destroy();
  await port.close();
});

describe('SLOWLOG', () => {
  test('keeps what took long, shortened, and no passwords', async () => {
    one.request('CONFIG SET slowlog-log-slower-than 0', 'CLIENT SETNAME me', 'SLOWLOG RESET');
    await one.expect('+OK', '+OK', '+OK');
    one.request('SLOWLOG RESET', `RPUSH l ${'x '.repeat(40).trim()}`, `SET k ${'v'.repeat(200)}`);
    await one.expect('+OK', ':40', '+OK');
    one.request('AUTH default secret', 'HELLO 2 AUTH default secret');
    await one.expect('+OK');
    await one.through('modules\r\n*0\r\n');
    one.request('SLOWLOG LEN');
    await one.expect(':5');
    const { entries } = port.engine.activity.slowLog;
    const kept = entries.map(({ args }) => args);
    expect(kept).not.toContainEqual(expect.arrayContaining(['secret']));
    expect(kept).toContainEqual(['AUTH', '(redacted)', '(redacted)']);
    expect(kept).toContainEqual(['HELLO', '2', 'AUTH', '(redacted)', '(redacted)']);
    expect(kept).toContainEqual(['SET', 'k', `${'v'.repeat(128)}... (72 more bytes)`]);
    expect(kept.find(([name]) => name === 'RPUSH')?.slice(30)).toEqual(['x', '... (11 more arguments)']);
    expect(entries[0]).toMatchObject({ name: 'me', address: expect.stringMatching(/^127\.0\.0\.1:\d+$/) });
    one.request('SLOWLOG GET 1 2');
    await one.expect("-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.");
    one.request('CONFIG SET slowlog-max-len 1', 'SLOWLOG LEN', 'SLOWLOG GET -2', 'SLOWLOG GET x');
    const error = '-ERR count should be greater than or equal to -1';
    await one.expect('+OK', ':1', error, error);
    one.request('CONFIG SET slowlog-log-slower-than -1', 'SLOWLOG RESET', 'GET k', 'SLOWLOG GET -1');
    await one.expect('+OK', '+OK', '$200', 'v'.repeat(200), '*0');
  });
});

describe('MONITOR', () => {
  test('shows what the node takes, quoted, without passwords and administration; RESET ends it', async () => {
    one.request('MONITOR');
    await one.expect('+OK');
    two.send(encode(['SET', 'k"', '\x00\r\n\xff\\']));
    two.request('AUTH secret', 'CONFIG GET save', 'MULTI', 'GET k', 'EXEC', 'EVAL 1 0', 'PING', 'NOSUCH');
    await two.through('with args beginning with: \r\n');
    const lines = (await one.through('"PING"\r\n')).trimEnd().split('\r\n');
    expect(lines.map((line) => line.replace(/^\+\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] /, ''))).toEqual([
      '"SET" "k\\"" "\\x00\\r\\n\\xff\\\\"',
      '"AUTH" "(redacted)"',
      '"MULTI"',
      '"GET" "k"',
      '"EXEC"',
      '"EVAL" "1" "0"',
      '"PING"',
    ]);
    two.request('CLIENT LIST ID 1');
    expect(await two.bulk()).toContain(' flags=O ');
    one.request('RESET');
    await one.through('+RESET\r\n');
    expect(port.engine.activity.monitors.none).toBe(true);
  });

  test('one that is gone is shown nothing more', async () => {
    one.request('MONITOR');
    await one.expect('+OK');
    one.socket.destroy();
    while (port.sessions.size > 1) await new Promise((resolve) => setImmediate(resolve));
    expect(port.engine.activity.monitors.none).toBe(true);
  });
});

describe('LATENCY', () => {
  test('tells when events were slow, draws them, and forgets them', async () => {
    const { latency } = port.engine.activity;
    one.request('LATENCY LATEST', 'LATENCY HISTORY command', 'LATENCY GRAPH command');
    await one.expect('*0', '*0', "-ERR No samples available for event 'command'");
    one.request('CONFIG SET latency-monitor-threshold 10');
    await one.expect('+OK');
    latency.add('command', 9, 1000);
    latency.add('command', 12, 1000);
    latency.add('command', 11, 1000);
    latency.add('command', 30, 1001);
    latency.add('fast-command', 10, 1002);
    one.request('LATENCY LATEST', 'LATENCY HISTORY command');
    await one.expect('*2', '*4', '$7', 'command', ':1001', ':30', ':30');
    await one.expect('*4', '$12', 'fast-command', ':1002', ':10', ':10');
    await one.expect('*2', '*2', ':1000', ':12', '*2', ':1001', ':30');
    one.request('LATENCY GRAPH command');
    expect(await one.bulk()).toMatch(
      /^command - high 30 ms, low 12 ms \(all time high 30 ms\)\n-{80}\n #\n #\n #\n##\n/,
    );
    one.request('LATENCY DOCTOR');
    expect(await one.bulk()).toContain(
      '- command: 2 seconds with such events, 21 ms on average, 30 ms at most.',
    );
    one.request('LATENCY RESET command nosuch', 'LATENCY RESET', 'LATENCY LATEST');
    await one.expect(':1', ':1', '*0');
  });

  test('HISTOGRAM counts up to each doubling, as Redis names them', () => {
    const times = new Histogram();
    for (const microseconds of [0.5, 1, 10, 20, 30, 33, 500, 1_000_000])
      times.add(Histogram.bucketOf(microseconds));
    expect(times.doublings()).toEqual([
      { microseconds: 1, count: 2 },
      { microseconds: 16, count: 3 },
      { microseconds: 33, count: 5 },
      { microseconds: 66, count: 6 },
      { microseconds: 528, count: 7 },
      { microseconds: 1_082_130, count: 8 },
    ]);
    expect(times.percentile(0.5)).toBeGreaterThanOrEqual(20);
    expect(times.percentile(0.5)).toBeLessThan(23);
    expect(times.percentile(1)).toBeGreaterThanOrEqual(1_000_000);
  });

  test('HISTOGRAM of a container shows its subcommands', async () => {
    one.request('HELLO 3', 'CONFIG GET nosuch', 'GET k', 'LATENCY HISTOGRAM config nosuch');
    await one.through('_\r\n');
    await one.expect('%1', '$10', 'config|get', '%2', '$5', 'calls', ':1', '$14', 'histogram_usec');
  });
});

describe('INFO', () => {
  async function info(sections: string): Promise<string> {
    one.request(`INFO ${sections}`);
    return one.bulk();
  }

  test('counts commands, failures, rejections and kinds of errors, until CONFIG RESETSTAT', async () => {
    one.request('CONFIG RESETSTAT', 'SET k v', 'GET k', 'GET x', 'LPUSH k 1', 'MULTI', 'GET k', 'CLIENT ID');
    one.request('EXEC', 'MULTI', 'INCR k', 'EXEC');
    await one.through('ERR value is not an integer or out of range\r\n');
    const text = await info('commandstats errorstats stats');
    expect(text).toMatch(
      /cmdstat_set:calls=1,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=0,failed_calls=0\r\n/,
    );
    expect(text).toMatch(/cmdstat_get:calls=2,.*,failed_calls=0\r\n/);
    expect(text).toMatch(/cmdstat_lpush:calls=1,.*,failed_calls=1\r\n/);
    expect(text).toMatch(/cmdstat_client\|id:calls=0,.*,rejected_calls=1,failed_calls=0\r\n/);
    expect(text).toMatch(/errorstat_WRONGTYPE:count=1\r\n/);
    expect(text).toMatch(/errorstat_EXECABORT:count=1\r\n/);
    expect(text).toMatch(/keyspace_hits:1\r\nkeyspace_misses:1\r\n/);
    one.request('CONFIG RESETSTAT');
    await one.expect('+OK');
    expect(await info('errorstats keyspace')).toMatch(/^# Errorstats\r\n\r\n# Keyspace\r\n/);
    expect(await info('stats')).toContain('keyspace_hits:0\r\n');
  });

  test('a change of users counts once, and the command that asks not before it has run', async () => {
    one.request(
      'CONFIG RESETSTAT',
      'CONFIG SET slowlog-log-slower-than 0',
      'ACL SETUSER u on >p',
      'ACL DELUSER u',
    );
    await one.expect('+OK', '+OK', '+OK', ':1');
    const text = await info('commandstats');
    expect(text).toMatch(/cmdstat_acl\|setuser:calls=1,/);
    expect(text).toMatch(/cmdstat_acl\|deluser:calls=1,/);
    expect(text).not.toContain('cmdstat_info');
    const kept = port.engine.activity.slowLog.entries.map(({ args }) => args[1]);
    expect(kept.filter((name) => name === 'SETUSER')).toHaveLength(1);
  });

  test('some sections are shown when they are asked for', async () => {
    const titles = (text: string): string[] =>
      [...text.matchAll(/^# (\w+)/gm)].map(([, title = '']) => title);
    const usual = titles(await info('default'));
    expect(usual).toContain('Errorstats');
    expect(usual).not.toContain('Commandstats');
    const all = titles(await info('everything'));
    expect(all).toEqual(expect.arrayContaining([...usual, 'Commandstats', 'Latencystats']));
    expect(titles(await info('default LATENCYSTATS'))).toEqual(
      all.filter((title) => title !== 'Commandstats'),
    );
    expect(titles(await info('cpu memory'))).toEqual(['Memory', 'CPU']);
  });
});

describe('MEMORY', () => {
  test('answers in words and numbers', async () => {
    one.request('MEMORY PURGE', 'MEMORY DOCTOR');
    await one.expect('+OK');
    expect(await one.bulk()).toContain('too little');
    one.request('MEMORY MALLOC-STATS');
    expect(await one.bulk()).toContain('old_space: used');
    one.request('HELLO 3', 'MEMORY STATS');
    await one.through('%21\r\n$14\r\npeak.allocated\r\n:');
  });
});

test('quick commands are timed together, others one by one; all are where a setting asks for it', () => {
  const clock = new ManualClock();
  let looks = 0;
  const activity = new Activity({
    wall: () => clock.wall(),
    monotonic: () => {
      looks += 1;
      return looks;
    },
  });
  const run = (...names: string[]): void => {
    activity.begin();
    for (const name of names) {
      activity.starts(dataCommandOf([name])!);
      activity.ran([name], {});
    }
    activity.end();
  };
  activity.configure((name) => (name === 'slowlog-log-slower-than' ? 10_000 : 0));
  run('get', 'incr', 'set', 'get');
  expect(looks).toBe(2);
  run('get', 'sunion', 'get', 'get');
  expect(looks).toBe(6);
  const microseconds = [...activity.commands].map(([name, each]) => [name, each.calls, each.microseconds]);
  expect(microseconds).toEqual([
    ['get', 5, 250 + 250 + 1000 + 500 + 500],
    ['incr', 1, 250],
    ['set', 1, 250],
    ['sunion', 1, 1000],
  ]);
  activity.configure((name) => (name === 'slowlog-log-slower-than' ? 100 : 0));
  looks = 0;
  run('get', 'get', 'get');
  expect(looks).toBe(4);
});
