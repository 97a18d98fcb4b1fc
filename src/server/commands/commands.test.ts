import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createClient } from 'redis';
import type { ClientPort } from '../client-port.ts';
import { commandTable, writeNamed } from '../table.ts';
import { FakeEngine, OTHER } from '../testing/engine.ts';
import { portOf } from '../testing/port.ts';
import { RawClient } from '../testing/socket.ts';

let engine: FakeEngine;
let port: ClientPort;
let redis: RawClient;
/** A library that parses replies; RESP2, whose arrays are the plainest. */
let library: ReturnType<typeof resp2Client>;

beforeEach(async () => {
  engine = new FakeEngine();
  port = portOf(engine, {
    maxRequestBytes: 1_000_000,
  });
  const address = await port.listen();
  redis = await RawClient.connect(address.port);
  library = resp2Client(address.port);
  await library.connect();
});

afterEach(async () => {
  library.destroy();
  await redis[Symbol.asyncDispose]();
  await port.close();
});

function resp2Client(port: number) {
  return createClient({ url: `redis://127.0.0.1:${port}`, RESP: 2 });
}

function ask(...words: string[]): Promise<unknown> {
  return library.sendCommand(words);
}

/** `name:value` lines as an object. */
async function fields(...words: string[]): Promise<Record<string, string>> {
  redis.request(words.join(' '));
  const lines = (await redis.bulk()).split('\r\n').filter((line) => line.includes(':'));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

describe('the table', () => {
  test('declares every command in full', () => {
    for (const command of new Set(commandTable.values())) {
      expect(command.name).toMatch(/^[a-z]+([._-][a-z]+)*$/);
      expect(command.arity).not.toBe(0);
      expect(command.summary).not.toBe('');
      expect(command.categories.some((name) => name === 'fast' || name === 'slow')).toBe(true);
      expect(command.flags.includes('fast')).toBe(command.categories.includes('fast'));
      for (const { name, summary } of command.subcommands ?? []) {
        expect(name.startsWith(`${command.name}|`)).toBe(true);
        expect(summary).not.toBe('');
      }
    }
  });

  test('finds names in any case, and no subcommand without its container', async () => {
    redis.request(
      'cLuStEr kEySlOt foo',
      'keyslot foo',
      'cluster',
      'cluster foo',
      'client setname',
      'client id x',
    );
    await redis.expect(
      ':12182',
      "-ERR unknown command 'keyslot', with args beginning with: 'foo' ",
      "-ERR wrong number of arguments for 'cluster' command",
      "-ERR unknown subcommand 'foo'. Try CLUSTER HELP.",
      "-ERR wrong number of arguments for 'client|setname' command",
      "-ERR wrong number of arguments for 'client|id' command",
    );
  });
});

describe('containers of commands over the keyspace', () => {
  test('are found by container and subcommand, and told as Redis does', async () => {
    redis.request('xgroup', 'xgroup foo', 'xgroup create s g', 'xinfo');
    await redis.expect(
      "-ERR wrong number of arguments for 'xgroup' command",
      "-ERR unknown subcommand 'foo'. Try XGROUP HELP.",
      "-ERR wrong number of arguments for 'xgroup|create' command",
      "-ERR wrong number of arguments for 'xinfo' command",
    );
    const [info] = (await ask('COMMAND', 'INFO', 'xgroup')) as unknown[][];
    expect(info?.slice(0, 7)).toEqual(['xgroup', -2, [], 0, 0, 0, ['@slow']]);
    const subcommands = (info?.[9] ?? []) as unknown[][];
    const create = subcommands.find(([name]) => name === 'xgroup|create');
    expect(create?.slice(0, 7)).toEqual([
      'xgroup|create',
      -5,
      ['write', 'denyoom'],
      2,
      2,
      1,
      ['@write', '@stream', '@slow'],
    ]);
    expect(await ask('XGROUP', 'HELP')).toContain('DESTROY <key> <groupname>');
  });

  test('a request is known for a write by its subcommand', () => {
    expect(writeNamed(['xGroup', 'Create'])).not.toBeNull();
    expect(writeNamed(['XINFO', 'STREAM', 's'])).toBeNull();
    expect(writeNamed(['XGROUP', 'HELP'])).toBeNull();
    expect(writeNamed(['XGROUP', 'NOPE'])).toBeNull();
    expect(writeNamed(['SET'])).not.toBeNull();
  });
});

describe('COMMAND', () => {
  test('tells arity, flags, keys and categories as Redis does', async () => {
    redis.request('COMMAND INFO mset nope');
    await redis.expect(
      '*2\r\n*10\r\n$4\r\nmset\r\n:-3\r\n*2\r\n+write\r\n+denyoom\r\n:1\r\n:-1\r\n:2\r\n*3\r\n+@write\r\n+@string\r\n+@slow\r\n*0\r\n' +
        '*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+OW\r\n+update\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n' +
        '$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:-1\r\n$7\r\nkeystep\r\n:2\r\n$5\r\nlimit\r\n:0\r\n*0\r\n$-1',
    );
  });

  test('counts, lists and filters', async () => {
    const count = [...new Set(commandTable.values())].filter(({ absent }) => absent !== true).length;
    expect(await ask('COMMAND', 'COUNT')).toBe(count);
    expect(await ask('COMMAND')).toHaveLength(count);
    expect(await ask('COMMAND', 'INFO')).toHaveLength(count);
    const names = await ask('COMMAND', 'LIST');
    expect(names).toContain('mset');
    expect(names).toContain('cluster|keyslot');
    expect(await ask('COMMAND', 'LIST', 'FILTERBY', 'PATTERN', 'CLUSTER|KEY*')).toEqual(['cluster|keyslot']);
    expect(await ask('COMMAND', 'LIST', 'FILTERBY', 'ACLCAT', 'transaction')).toEqual([
      'multi',
      'exec',
      'discard',
      'watch',
      'unwatch',
    ]);
    expect(await ask('COMMAND', 'LIST', 'FILTERBY', 'MODULE', 'json')).toEqual([]);
    await expect(ask('COMMAND', 'LIST', 'FILTERBY', 'NOPE', 'x')).rejects.toThrow('ERR syntax error');
  });

  test('finds the keys of a request', async () => {
    expect(await ask('COMMAND', 'GETKEYS', 'EVAL', 'return 1', '0')).toEqual([]);
    expect(await ask('COMMAND', 'GETKEYS', 'MSET', 'a', '1', 'b', '2')).toEqual(['a', 'b']);
    expect(await ask('COMMAND', 'GETKEYS', 'LMPOP', '2', 'a', 'b', 'LEFT')).toEqual(['a', 'b']);
    await expect(ask('COMMAND', 'GETKEYS', 'LMPOP', '5', 'a', 'b', 'LEFT')).rejects.toThrow(
      'ERR Invalid arguments specified for command',
    );
    expect(await ask('COMMAND', 'GETKEYS', 'XGROUP', 'Create', 's', 'g', '0')).toEqual(['s']);
    expect(await ask('COMMAND', 'GETKEYS', 'XREAD', 'COUNT', '1', 'STREAMS', 's', 't', '0', '0')).toEqual([
      's',
      't',
    ]);
    expect(await ask('COMMAND', 'GETKEYSANDFLAGS', 'SET', 'a', '1')).toEqual([['a', ['OW', 'update']]]);
    expect(await ask('COMMAND', 'GETKEYSANDFLAGS', 'SORT', 'a', 'GET', 'STORE', 'STORE', 'b')).toEqual([
      ['a', ['RO', 'access']],
      ['b', ['OW', 'update']],
    ]);
    await expect(ask('COMMAND', 'GETKEYS', 'SPUBLISH', 'a', 'b')).rejects.toThrow(
      'ERR The command has no key arguments',
    );
    await expect(ask('COMMAND', 'GETKEYS', 'NOPE', 'a')).rejects.toThrow('ERR Invalid command specified');
    await expect(ask('COMMAND', 'GETKEYS', 'PING', 'a')).rejects.toThrow(
      'ERR The command has no key arguments',
    );
    await expect(ask('COMMAND', 'GETKEYS', 'GET', 'a', 'b')).rejects.toThrow(
      'ERR Invalid number of arguments specified for command',
    );
  });

  test('documents commands and their subcommands', async () => {
    const [name, docs] = (await ask('COMMAND', 'DOCS', 'config', 'nope')) as [string, unknown[]];
    expect(name).toBe('config');
    expect(docs.slice(0, 4)).toEqual([
      'summary',
      'A container for server configuration commands',
      'since',
      '2.0.0',
    ]);
    expect((docs.at(-1) as unknown[]).filter((each) => typeof each === 'string')).toContain('config|get');
  });

  test('HELP names every subcommand', async () => {
    for (const container of ['client', 'cluster', 'command', 'config', 'kvorum.session', 'xgroup', 'xinfo']) {
      const lines = ((await ask(container, 'HELP')) as string[]).join('\n');
      for (const { name, absent } of commandTable.get(container)?.subcommands ?? [])
        if (absent !== true) expect(lines).toContain(name.slice(container.length + 1).toUpperCase());
    }
  });
});

describe('CLIENT', () => {
  test('names a connection and lists all of them', async () => {
    redis.request(
      'CLIENT SETNAME app',
      'CLIENT SETINFO LIB-NAME raw',
      'CLIENT SETINFO lib-ver 1.2',
      'CLIENT GETNAME',
      'CLIENT ID',
    );
    await redis.expect('+OK', '+OK', '+OK', '$3\r\napp', ':1');
    redis.request(
      'CLIENT LIST',
      'CLIENT LIST ID 1 99',
      'CLIENT INFO',
      'CLIENT LIST TYPE pubsub',
      'CLIENT SETNAME ',
      'CLIENT GETNAME',
    );
    const all = await redis.bulk();
    expect(all.split('\n')).toHaveLength(3);
    const [line = ''] = all.split('\n');
    expect(line).toMatch(
      /^id=1 addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ fd=-1 name=app age=\d+ idle=\d+ flags=N db=0 /,
    );
    expect(line).toMatch(
      / multi=-1 .* cmd=client\|list user=default redir=-1 resp=2 lib-name=raw lib-ver=1\.2$/,
    );
    expect((await redis.bulk()).split('\n')).toHaveLength(2);
    expect(await redis.bulk()).toContain('cmd=client|info');
    await redis.expect('$0\r\n', '+OK', '$-1');
  });

  test('refuses what it can not show or does not know', async () => {
    redis.request(
      'CLIENT SETNAME a\nb',
      'CLIENT SETINFO LIB-FOO x',
      'CLIENT SETINFO LIB-VER a\tb',
      'CLIENT LIST ID x',
      'CLIENT LIST TYPE x',
      'CLIENT LIST x',
    );
    await redis.expect(
      '-ERR Client names cannot contain spaces, newlines or special characters.',
      "-ERR Unrecognized option 'LIB-FOO'",
      '-ERR lib-ver cannot contain spaces, newlines or special characters.',
      '-ERR Invalid client ID',
      "-ERR Unknown client type 'x'",
      '-ERR syntax error',
    );
  });
});

describe('INFO', () => {
  test('has what exporters and dashboards read, as numbers, every field once', async () => {
    redis.request('INFO everything');
    const text = await redis.bulk();
    const names = [...text.matchAll(/^([a-z]\w*):/gm)].map(([, name = '']) => name);
    expect(names).toEqual([...new Set(names)]);
    const found = await fields('INFO', 'everything');
    const read = `uptime_in_seconds process_id connected_clients blocked_clients maxclients used_memory used_memory_rss
      used_memory_peak used_memory_overhead used_memory_dataset maxmemory mem_fragmentation_ratio allocator_frag_ratio
      allocator_rss_bytes mem_clients_normal mem_aof_buffer active_defrag_running lazyfreed_objects loading
      rdb_changes_since_last_save rdb_last_save_time rdb_last_bgsave_time_sec rdb_last_cow_size aof_enabled
      aof_last_rewrite_time_sec aof_last_cow_size aof_buffer_length total_connections_received total_commands_processed
      instantaneous_ops_per_sec total_net_input_bytes total_net_output_bytes rejected_connections expired_keys evicted_keys
      keyspace_hits keyspace_misses pubsub_channels latest_fork_usec migrate_cached_sockets active_defrag_hits
      connected_slaves master_repl_offset repl_backlog_size used_cpu_sys used_cpu_user cluster_enabled`;
    for (const name of read.split(/\s+/)) expect(`${name} ${found[name]}`).toMatch(/ -?\d+(\.\d+)?$/);
    expect(found).toMatchObject({ os: expect.stringMatching(/^[A-Z]\w+ \S+ \w+$/), redis_mode: 'cluster' });
  });

  test('carries what clients parse', async () => {
    redis.request('SET a 1', 'SET b 1 EX 100');
    await redis.expect('+OK', '+OK');
    expect(await fields('INFO')).toMatchObject({
      redis_version: '7.0.15',
      redis_mode: 'cluster',
      loading: '0',
      role: 'master',
      connected_slaves: '1',
      slave0: 'ip=127.0.0.1,port=7002,state=online,offset=8,lag=0',
      maxmemory_policy: 'noeviction',
      cluster_enabled: '1',
      connected_clients: '2',
      db0: 'keys=2,expires=1,avg_ttl=0',
      raft_role: 'leader',
      raft_term: '3',
      raft_leader: 'n1',
      raft_commit_index: '8',
      raft_applied_index: '8',
    });
  });

  test('by section', async () => {
    redis.request('INFO keyspace', 'INFO nope', 'INFO cluster KEYSPACE');
    expect(await redis.bulk()).toBe('# Keyspace\r\n');
    expect(await redis.bulk()).toBe('');
    expect(await redis.bulk()).toBe('# Cluster\r\ncluster_enabled:1\r\n\r\n# Keyspace\r\n');
  });

  test('of a follower points to the leader', async () => {
    engine.depose(OTHER);
    expect(await fields('INFO', 'replication')).toMatchObject({
      role: 'slave',
      master_host: '127.0.0.1',
      master_port: '7002',
      master_link_status: 'up',
      connected_slaves: '0',
    });
    engine.depose(null);
    expect(await fields('INFO', 'replication')).toMatchObject({ role: 'slave', master_link_status: 'down' });
  });
});

describe('CLUSTER and ROLE', () => {
  const N1 = '40b3eab63f3f1d4fa48e09559401c5ed4efceaa6';
  const N2 = '40243476fcaaf8dca4d9eda7fde4232c5c18f75d';

  test('show one shard, headed by the leader', async () => {
    expect(await ask('CLUSTER', 'MYID')).toBe(N1);
    expect(await ask('CLUSTER', 'SLOTS')).toEqual([
      [0, 16383, ['127.0.0.1', 7001, N1, []], ['127.0.0.1', 7002, N2, []]],
    ]);
    engine.depose(OTHER);
    expect(await ask('CLUSTER', 'SLOTS')).toEqual([
      [0, 16383, ['127.0.0.1', 7002, N2, []], ['127.0.0.1', 7001, N1, []]],
    ]);
    expect(await ask('CLUSTER', 'NODES')).toBe(
      `${N2} 127.0.0.1:7002@8002 master - 0 0 3 connected 0-16383\n` +
        `${N1} 127.0.0.1:7001@8001 myself,slave ${N2} 0 0 3 connected\n`,
    );
    const [shard] = (await ask('CLUSTER', 'SHARDS')) as [unknown[]];
    expect(shard[1]).toEqual([0, 16383]);
    expect((shard[3] as unknown[][]).map((node) => [node[1], node[9]])).toEqual([
      [N2, 'master'],
      [N1, 'replica'],
    ]);
    expect(await fields('CLUSTER', 'INFO')).toMatchObject({
      cluster_state: 'ok',
      cluster_known_nodes: '2',
      cluster_size: '1',
    });
  });

  test('are answered without a leader, with this node at the head', async () => {
    engine.depose(null);
    expect(await ask('CLUSTER', 'SLOTS')).toMatchObject([[0, 16383, ['127.0.0.1', 7001, N1, []], {}]]);
    expect(await fields('CLUSTER', 'INFO')).toMatchObject({ cluster_state: 'fail', cluster_slots_ok: '0' });
    expect(await ask('ROLE')).toEqual(['slave', '', 0, 'connect', 8]);
  });

  test('SLOTS names no node that is down: clients would wait for it', async () => {
    engine.otherUp = false;
    expect(await ask('CLUSTER', 'SLOTS')).toEqual([[0, 16383, ['127.0.0.1', 7001, N1, []]]]);
    expect(await ask('CLUSTER', 'NODES')).toContain(`${N2} 127.0.0.1:7002@8002 slave,fail?`);
    engine.depose(OTHER);
    expect(await ask('CLUSTER', 'SLOTS')).toMatchObject([
      [0, 16383, ['127.0.0.1', 7002, N2, []], ['127.0.0.1', 7001, N1, []]],
    ]);
  });

  test('a node that listens on every address names the one that the client came by', async () => {
    for (const host of ['0.0.0.0', '::']) {
      engine.host = host;
      expect(await ask('CLUSTER', 'SLOTS')).toMatchObject([[0, 16383, ['127.0.0.1', 7001, N1, []], {}]]);
      expect(await ask('CLUSTER', 'NODES')).toContain(`${N1} 127.0.0.1:7001@`);
    }
  });

  test('ROLE says who leads', async () => {
    expect(await ask('ROLE')).toEqual(['master', 8, [['127.0.0.1', '7002', '8']]]);
    engine.depose(OTHER);
    expect(await ask('ROLE')).toEqual(['slave', '127.0.0.1', 7002, 'connected', 8]);
  });
});

test('CONFIG GET tells what is fixed, under the name that was asked for', async () => {
  expect(await ask('CONFIG', 'GET', 'AppendOnly', 'tcp-*', 'SAVE')).toEqual([
    'AppendOnly',
    'yes',
    'SAVE',
    '',
    'tcp-keepalive',
    '300',
  ]);
});

test('CONFIG GET matches patterns in any case', async () => {
  expect(await ask('CONFIG', 'GET', 'MAX*', 'port', 'nope')).toEqual([
    'maxclients',
    '100',
    'maxmemory',
    '0',
    'maxmemory-policy',
    'noeviction',
    'maxmemory-samples',
    '5',
    'port',
    String(port.settings.port),
  ]);
});

test('SELECT knows one database, and cluster clients may say what they like to say', async () => {
  redis.request('SELECT 0', 'SELECT 1', 'SELECT x', 'READONLY', 'READWRITE', 'ASKING', 'PING a b', 'TIME');
  await redis.expect(
    '+OK',
    '-ERR DB index is out of range',
    '-ERR value is not an integer or out of range',
    '+OK',
    '+OK',
    '+OK',
    "-ERR wrong number of arguments for 'ping' command",
    '*2\r\n$10\r\n1700000000\r\n$6\r\n123000',
  );
});
