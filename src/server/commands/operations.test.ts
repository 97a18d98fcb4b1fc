/** Saving, failing over, shutting down, and what there is not. Errors are those of Redis 7.0.15 where it has them. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ClientPort } from '../client-port.ts';
import { FakeEngine, OTHER } from '../testing/engine.ts';
import { portOf } from '../testing/port.ts';
import { RawClient } from '../testing/socket.ts';

let engine: FakeEngine;
let port: ClientPort;
let redis: RawClient;
let shutDowns: number;

beforeEach(async () => {
  engine = new FakeEngine();
  shutDowns = 0;
  port = portOf(engine, {
    maxRequestBytes: 1024 * 1024,
    onShutDown: () => {
      shutDowns += 1;
    },
  });
  redis = await RawClient.connect((await port.listen()).port);
});

afterEach(async () => {
  redis.socket.destroy();
  await port.close();
});

async function answers(request: string, ...replies: string[]): Promise<void> {
  redis.request(request);
  await redis.expect(...replies);
}

test('SAVE answers in its place when the snapshot is on disk, or says that it is not', async () => {
  redis.request('SAVE', 'PING');
  await redis.expect('+OK', '+PONG');
  engine.succeeds = false;
  redis.request('SAVE', 'PING');
  await redis.expect(
    '-ERR no snapshot was taken: the log of this node says why; it still holds every write',
    '+PONG',
  );
  await answers('LASTSAVE', ':1700000000');
});

test('BGSAVE and BGREWRITEAOF answer at once, one at a time', async () => {
  await answers('BGSAVE', '+Background saving started');
  await answers('BGREWRITEAOF', '+Background append only file rewriting started');
  engine.snapshots = { ...engine.snapshots, inProgress: true };
  await answers('BGSAVE', '-ERR Background save already in progress');
  await answers('BGSAVE schedule', '+Background saving scheduled');
  await answers('BGSAVE now', '-ERR syntax error');
  await answers('BGREWRITEAOF', '+Background append only file rewriting scheduled');
});

test('FAILOVER hands leadership to the closest voter, or to the one with that address', async () => {
  redis.request('FAILOVER', `FAILOVER TO ${OTHER.host} ${OTHER.port} TIMEOUT 10`, 'PING');
  await redis.expect('+OK', '+OK', '+PONG');
  expect(engine.transfers).toEqual([null, OTHER.id]);
  engine.succeeds = false;
  await answers('FAILOVER', '-ERR no other node has taken leadership; this one goes on leading');
  await answers('FAILOVER ABORT', '-ERR No failover in progress.');
  await answers('FAILOVER TO 127.0.0.1 1', '-ERR FAILOVER target HOST and PORT is not a replica.');
  await answers(
    'FAILOVER FORCE',
    '-ERR FAILOVER with force option requires both a timeout and target HOST and IP.',
  );
  await answers('FAILOVER TIMEOUT 0', '-ERR FAILOVER timeout must be greater than 0');
  await answers('FAILOVER TIMEOUT x', '-ERR value is not an integer or out of range');
  await answers('FAILOVER TO', '-ERR syntax error');
  engine.successor = OTHER.id;
  await answers('FAILOVER', '-ERR FAILOVER already in progress.');
  engine.leading = false;
  await answers('FAILOVER', '-ERR FAILOVER is not valid when server is a replica.');
});

test('SHUTDOWN asks for the end of the node once, after a snapshot where one is wanted', async () => {
  await answers('SHUTDOWN x', '-ERR syntax error');
  await answers('SHUTDOWN SAVE NOSAVE', '-ERR syntax error');
  await answers('SHUTDOWN ABORT', '-ERR No shutdown in progress.');
  engine.succeeds = false;
  await answers('SHUTDOWN SAVE', '-ERR Errors trying to SHUTDOWN. Check logs.');
  expect(shutDowns).toBe(0);
  engine.succeeds = true;
  redis.request('SHUTDOWN SAVE');
  await expect.poll(() => shutDowns).toBe(1);
  redis.request('SHUTDOWN NOSAVE NOW FORCE');
  await expect.poll(() => shutDowns).toBe(2);
});

test('WAITAOF says whether this node and how many others have the writes on disk', async () => {
  engine.replicas = 1;
  redis.request('SET a 1', 'WAITAOF 1 1 0', 'WAITAOF 1 5 1');
  await redis.expect('+OK', '*2', ':1', ':1', '*2', ':1', ':1');
  await answers('WAITAOF 2 0 0', '-ERR value is out of range, value must between 0 and 1');
  await answers('WAITAOF 0 -1 0', '-ERR value is out of range, must be positive');
  await answers('WAITAOF 0 0 -1', '-ERR timeout is negative');
});

test('there is one database', async () => {
  await answers('MOVE a 0', '-ERR source and destination objects are the same');
  await answers('MOVE a 1', '-ERR DB index is out of range');
  await answers('SWAPDB 0 0', '+OK');
  await answers('SWAPDB 0 1', '-ERR DB index is out of range');
  await answers('SWAPDB x 1', '-ERR invalid first DB index');
});

test('what there is not says so, with or without arguments, and COMMAND does not list it', async () => {
  for (const name of ['SYNC', 'PSYNC', 'REPLCONF', 'MIGRATE', 'RESTORE-ASKING', 'PFDEBUG', 'PFSELFTEST']) {
    redis.request(name);
    expect(await redis.through('\r\n')).toMatch(`-ERR ${name} is not supported: `);
  }
  redis.request('REPLICAOF NO ONE');
  expect(await redis.through('\r\n')).toMatch('-ERR REPLICAOF not allowed in cluster mode. ');
  redis.request('CLUSTER ADDSLOTS 1');
  expect(await redis.through('\r\n')).toMatch('-ERR CLUSTER ADDSLOTS is not supported: ');
  redis.request('MODULE LOAD x');
  expect(await redis.through('\r\n')).toMatch('-ERR MODULE command not allowed.');
  await answers('MODULE LIST', '*0');
  redis.request('COMMAND LIST FILTERBY PATTERN *sync*');
  await redis.expect('*0');
  await answers('COMMAND INFO sync module|load', '*2', '$-1', '$-1');
});

test('CLUSTER: keys of slots, replicas, links', async () => {
  redis.request('SET foo 1', 'SET {foo}2 1', 'SET bar 1', 'CLUSTER COUNTKEYSINSLOT 12182');
  await redis.expect('+OK', '+OK', '+OK', ':2');
  await answers('CLUSTER GETKEYSINSLOT 12182 1', '*1', '$3', 'foo');
  await answers('CLUSTER COUNTKEYSINSLOT 16384', '-ERR Invalid slot');
  await answers('CLUSTER GETKEYSINSLOT 0 -1', '-ERR Invalid slot or number of keys');
  await answers('CLUSTER REPLICAS x', '-ERR Unknown node x');
  redis.request('CLUSTER MYID');
  const id = await redis.bulk();
  redis.request(`CLUSTER REPLICAS ${id}`);
  await redis.expect('*1');
  expect(await redis.bulk()).toContain(' slave ');
  await answers(`CLUSTER COUNT-FAILURE-REPORTS ${id}`, ':0');
  redis.request('CLUSTER LINKS');
  await redis.expect('*1', '*12', '$9', 'direction', '$2', 'to');
});
