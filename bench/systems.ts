/** The systems that are compared: how each is started, what it promises, and how it is spoken to. */
import { execFileSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';

import { connectEtcd, fillEtcd, leadsEtcd } from './etcd-load.ts';
import type { Connection } from './load.ts';
import { HOST, freePorts, freshFolder, removeFolder, start, startKvorum, stop, until } from './processes.ts';
import { askResp, connectResp, fillResp } from './resp-load.ts';

/** A system that runs, on fresh data, with every key written once. */
export interface Running {
  readonly connect: () => Promise<Connection>;
  readonly stop: () => Promise<void>;
}

export interface System {
  readonly name: string;
  /** What an acknowledged write has survived, and what a read may miss. */
  readonly promise: string;
  /** The version found on this machine; `null` when the system is not there. */
  readonly version: () => string | null;
  readonly start: () => Promise<Running>;
}

export const SYSTEMS: readonly System[] = [
  {
    name: 'redis-1',
    promise: 'redis-server, 1 node, appendfsync always: fsync before the reply; reads of the one node',
    version: () => versionOf('redis-server', ['--version']),
    start: startRedis,
  },
  {
    name: 'etcd-3',
    promise:
      'etcd, 3 nodes on this disk: fsync on a majority before the reply; linearizable reads; gRPC, a stream per command, clients at the leader',
    version: () => versionOf('etcd', ['--version']),
    start: startEtcd,
  },
  {
    name: 'kvorum-1',
    promise: 'kvorum, 1 node, fsync always: fsync before the reply; linearizable reads',
    version: () => process.version,
    start: () => startKvorumSystem(1),
  },
  {
    name: 'kvorum-3',
    promise:
      'kvorum, 3 nodes on this disk, fsync always: fsync on a majority before the reply; linearizable reads; clients at the leader',
    version: () => process.version,
    start: () => startKvorumSystem(3),
  },
];

function versionOf(program: string, args: readonly string[]): string | null {
  try {
    return execFileSync(program, args, { encoding: 'utf8' }).split('\n')[0] ?? '';
  } catch {
    return null;
  }
}

async function startRedis(): Promise<Running> {
  const folder = freshFolder('redis');
  const [port = 0] = await freePorts(1);
  const args = ['--bind', HOST, '--port', String(port), '--dir', folder, '--save', ''];
  const redis = start('redis-server', [...args, '--appendonly', 'yes', '--appendfsync', 'always'], folder);
  await until('redis-server answers', async () => {
    return (await askResp(HOST, port, ['PING'])) === '+PONG' ? true : null;
  });
  return respSystem(port, [redis], folder);
}

async function startKvorumSystem(count: number): Promise<Running> {
  const folder = freshFolder(`kvorum-${count}`);
  const nodes = await startKvorum(count, folder);
  const leader = await until('a kvorum node leads', async () => {
    for (const { port } of nodes) {
      if ((await askResp(HOST, port, ['SET', 'probe', '1'])) === '+OK') return port;
    }
    return null;
  });
  return respSystem(
    leader,
    nodes.map((node) => node.process),
    folder,
  );
}

async function respSystem(
  port: number,
  processes: readonly ChildProcess[],
  folder: string,
): Promise<Running> {
  await fillResp(HOST, port);
  return { connect: () => connectResp(HOST, port), stop: () => stopAll(processes, folder) };
}

async function startEtcd(): Promise<Running> {
  const folder = freshFolder('etcd');
  const ports = await freePorts(6);
  const nodes = [0, 1, 2].map((at) => ({
    name: `e${at}`,
    client: `http://${HOST}:${ports[at] ?? 0}`,
    peer: `http://${HOST}:${ports[at + 3] ?? 0}`,
  }));
  const cluster = nodes.map(({ name, peer }) => `${name}=${peer}`).join(',');
  const processes = nodes.map(({ name, client, peer }) => {
    const home = join(folder, name);
    const urls = ['--listen-client-urls', client, '--advertise-client-urls', client];
    urls.push(
      '--listen-peer-urls',
      peer,
      '--initial-advertise-peer-urls',
      peer,
      '--initial-cluster',
      cluster,
    );
    const args = [
      '--name',
      name,
      '--data-dir',
      join(home, 'data'),
      ...urls,
      '--initial-cluster-state',
      'new',
    ];
    return start('etcd', [...args, '--logger', 'zap', '--log-level', 'error'], home);
  });
  const leader = await until('an etcd node leads', async () => {
    for (const { client } of nodes) {
      if (await leadsEtcd(client)) return client;
    }
    return null;
  });
  await fillEtcd(leader);
  return { connect: () => connectEtcd(leader), stop: () => stopAll(processes, folder) };
}

async function stopAll(processes: readonly ChildProcess[], folder: string): Promise<void> {
  await Promise.all(processes.map(stop));
  removeFolder(folder);
}
