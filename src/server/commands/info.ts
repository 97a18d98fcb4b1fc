/** INFO: what tools and client libraries read about a node, in Redis's sections and names, and a section on Raft. */
import { arch, platform, release } from 'node:os';
import type { NodeStatus } from '../engine.ts';
import { type LocalCommand, type PortContext, REDIS_VERSION } from '../session.ts';
import { VERSION } from '../version.ts';
import { nodeName } from './cluster.ts';
import { localCommands } from './container.ts';

type Fields = readonly (readonly [name: string, value: string | number])[];
type Section = (port: PortContext, status: NodeStatus) => Fields;

/** In the order in which they are shown. */
const SECTIONS: ReadonlyMap<string, Section> = new Map([
  ['Server', server],
  ['Clients', clients],
  ['Memory', memory],
  ['Persistence', persistence],
  ['Stats', stats],
  ['Replication', replication],
  ['CPU', cpu],
  ['Cluster', () => [['cluster_enabled', 1]]],
  ['Raft', raft],
  ['Keyspace', keyspace],
]);
const EVERYTHING = ['default', 'all', 'everything'];

export const infoCommands: readonly LocalCommand[] = localCommands('server', [
  {
    name: 'info',
    arity: -1,
    flags: ['loading', 'stale'],
    categories: ['slow', 'dangerous'],
    summary: 'Facts and counters of this node, all or by section',
    since: '1.0.0',
    complexity: 'O(n) in the nodes',
    run(session, args, reply) {
      const wanted = args.slice(1).map((name) => name.toLowerCase());
      const all = wanted.length === 0 || wanted.some((name) => EVERYTHING.includes(name));
      const status = session.port.engine.status();
      const texts: string[] = [];
      for (const [title, section] of SECTIONS) {
        if (!all && !wanted.includes(title.toLowerCase())) continue;
        const lines = section(session.port, status).map(([name, value]) => `${name}:${value}\r\n`);
        texts.push(`# ${title}\r\n${lines.join('')}`);
      }
      reply.verbatim('txt', texts.join('\r\n'));
    },
  },
]);

function server(port: PortContext, status: NodeStatus): Fields {
  const uptime = Math.floor((port.monotonic() - port.statistics.startedAt) / 1000);
  return [
    ['redis_version', REDIS_VERSION],
    ['kvorum_version', VERSION],
    ['redis_mode', 'cluster'],
    ['os', `${platform()} ${release()} ${arch()}`],
    ['arch_bits', 64],
    ['node_version', process.versions.node],
    ['process_id', process.pid],
    ['run_id', nodeName(`${status.id} ${process.pid} ${port.statistics.startedAt}`)],
    ['tcp_port', port.settings.port],
    ['server_time_usec', port.engine.now() * 1000],
    ['uptime_in_seconds', uptime],
    ['uptime_in_days', Math.floor(uptime / 86_400)],
  ];
}

function clients(port: PortContext): Fields {
  return [
    ['connected_clients', port.sessions.size],
    ['maxclients', port.settings.maxClients],
    ['blocked_clients', port.engine.blocked.size],
  ];
}

function memory(port: PortContext): Fields {
  const { heapUsed, external, rss } = process.memoryUsage();
  return [
    ['used_memory', heapUsed + external],
    ['used_memory_rss', rss],
    ['used_memory_dataset', port.engine.dataBytes],
    ['maxmemory', port.engine.setting('maxmemory') ?? 0],
    ['maxmemory_policy', port.engine.setting('maxmemory-policy') ?? 'noeviction'],
    ['pending_request_bytes', port.engine.pendingBytes],
  ];
}

function persistence(_port: PortContext, status: NodeStatus): Fields {
  return [
    ['loading', 0],
    ['aof_enabled', 1],
    ['fsync', status.fsync],
  ];
}

function stats({ statistics }: PortContext): Fields {
  return [
    ['total_connections_received', statistics.connections],
    ['total_commands_processed', statistics.commands],
    ['total_net_input_bytes', statistics.inputBytes],
    ['total_net_output_bytes', statistics.outputBytes],
    ['rejected_connections', statistics.rejectedConnections],
  ];
}

function replication({ engine }: PortContext, status: NodeStatus): Fields {
  if (!engine.leading) {
    const leader = engine.leaderAddress();
    return [
      ['role', 'slave'],
      ['master_host', leader?.host ?? ''],
      ['master_port', leader?.port ?? 0],
      ['master_link_status', leader === null ? 'down' : 'up'],
      ['slave_repl_offset', status.appliedIndex],
      ['slave_read_only', 1],
      ['connected_slaves', 0],
      ['master_repl_offset', status.commitIndex],
    ];
  }
  const others = status.members.filter((member) => !member.self && member.connected);
  return [
    ['role', 'master'],
    ['connected_slaves', others.length],
    ...others.map(
      ({ client, match }, at) =>
        [
          `slave${at}`,
          `ip=${client?.host ?? ''},port=${client?.port ?? 0},state=online,offset=${match ?? 0},lag=0`,
        ] as const,
    ),
    ['master_repl_offset', status.commitIndex],
  ];
}

function cpu(): Fields {
  const { user, system } = process.cpuUsage();
  return [
    ['used_cpu_sys', (system / 1e6).toFixed(6)],
    ['used_cpu_user', (user / 1e6).toFixed(6)],
  ];
}

function raft(_port: PortContext, status: NodeStatus): Fields {
  return [
    ['raft_cluster_id', status.clusterId],
    ['raft_group', status.group],
    ['raft_node_id', status.id],
    ['raft_role', status.role],
    ['raft_term', status.term],
    ['raft_leader', status.leader ?? ''],
    ['raft_first_index', status.firstIndex],
    ['raft_last_index', status.lastIndex],
    ['raft_commit_index', status.commitIndex],
    ['raft_applied_index', status.appliedIndex],
    ['raft_snapshot_index', status.snapshotIndex],
    ['raft_members', status.members.length],
  ];
}

function keyspace(_port: PortContext, { keys, keysWithExpiry }: NodeStatus): Fields {
  return keys === 0 ? [] : [['db0', `keys=${keys},expires=${keysWithExpiry},avg_ttl=0`]];
}
