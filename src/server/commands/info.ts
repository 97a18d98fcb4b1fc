/** INFO: what tools and client libraries read about a node, in Redis's sections and names, and a section on Raft. */
import { machine, release, totalmem, type } from 'node:os';
import { getHeapStatistics } from 'node:v8';
import type { NodeStatus } from '../engine.ts';
import { type LocalCommand, type PortContext, REDIS_VERSION } from '../session.ts';
import { VERSION } from '../version.ts';
import { nodeName } from './cluster.ts';
import { localCommands } from './container.ts';
import { clientBytes, usedMemory } from './memory.ts';

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
  ['Modules', () => []],
  ['Commandstats', commandStatistics],
  ['Errorstats', errorStatistics],
  ['Latencystats', latencyStatistics],
  ['Cluster', () => [['cluster_enabled', 1]]],
  ['Raft', raft],
  ['Keyspace', keyspace],
]);
/** What there is not: forks, defragmentation, threads for input and output, replication buffers. Tools that read it all find 0. */
const NONE = {
  memory: zero(
    'mem_not_counted_for_evict mem_replication_backlog mem_total_replication_buffers mem_cluster_links active_defrag_running lazyfreed_objects',
  ),
  persistence: zero(
    `current_cow_peak current_cow_size current_cow_size_age current_fork_perc current_save_keys_processed current_save_keys_total
    rdb_last_cow_size aof_last_cow_size aof_pending_rewrite module_fork_in_progress module_fork_last_cow_size`,
  ),
  stats: zero(
    `migrate_cached_sockets slave_expires_tracked_keys active_defrag_hits active_defrag_misses active_defrag_key_hits
    active_defrag_key_misses total_active_defrag_time current_active_defrag_time io_threaded_reads_processed
    io_threaded_writes_processed`,
  ),
};

function zero(names: string): Fields {
  return names.split(/\s+/).map((name) => [name, 0]);
}

/** Shown only where they are asked for, or all. */
const LONG = ['commandstats', 'latencystats'];
const EVERYTHING = ['all', 'everything'];

export const infoCommands: readonly LocalCommand[] = localCommands('server', [
  {
    name: 'info',
    arity: -1,
    flags: ['loading', 'stale'],
    categories: ['slow', 'dangerous'],
    usage: '[<section> ...]',
    summary: 'Facts and counters of this node, all or by section',
    since: '1.0.0',
    complexity: 'O(n) in the nodes',
    run(session, args, reply) {
      const wanted = args.slice(1).map((name) => name.toLowerCase());
      const all = wanted.some((name) => EVERYTHING.includes(name));
      const usual = wanted.length === 0 || wanted.includes('default');
      const status = session.port.engine.status();
      const texts: string[] = [];
      for (const [title, section] of SECTIONS) {
        const name = title.toLowerCase();
        if (!all && !wanted.includes(name) && (!usual || LONG.includes(name))) continue;
        const lines = section(session.port, status).map(([field, value]) => `${field}:${value}\r\n`);
        texts.push(`# ${title}\r\n${lines.join('')}`);
      }
      reply.verbatim('txt', texts.join('\r\n'));
    },
  },
]);

function server(port: PortContext, status: NodeStatus): Fields {
  const now = port.engine.now();
  const uptime = Math.floor((port.monotonic() - port.statistics.startedAt) / 1000);
  return [
    ['redis_version', REDIS_VERSION],
    ['kvorum_version', VERSION],
    ['redis_git_sha1', '00000000'],
    ['redis_git_dirty', 0],
    ['redis_mode', 'cluster'],
    ['os', `${type()} ${release()} ${machine()}`],
    ['arch_bits', 64],
    ['multiplexing_api', 'libuv'],
    ['node_version', process.versions.node],
    ['process_id', process.pid],
    ['process_supervised', 'no'],
    ['run_id', nodeName(`${status.id} ${process.pid} ${port.statistics.startedAt}`)],
    ['tcp_port', port.settings.port],
    ['server_time_usec', now * 1000],
    ['uptime_in_seconds', uptime],
    ['uptime_in_days', Math.floor(uptime / 86_400)],
    ['hz', 10],
    ['configured_hz', 10],
    ['lru_clock', Math.floor(now / 1000) % 2 ** 24],
    ['executable', process.execPath],
    ['config_file', ''],
    ['io_threads_active', 0],
  ];
}

function clients(port: PortContext): Fields {
  let [input, output] = [0, 0];
  for (const { inputBytes, outputBytes } of port.sessions.values()) {
    input = Math.max(input, inputBytes);
    output = Math.max(output, outputBytes);
  }
  return [
    ['connected_clients', port.sessions.size],
    ['cluster_connections', 0],
    ['maxclients', port.settings.maxClients],
    ['client_recent_max_input_buffer', input],
    ['client_recent_max_output_buffer', output],
    ['blocked_clients', port.engine.blocked.size],
    ['tracking_clients', port.tracking.clients],
    ['clients_in_timeout_table', 0],
  ];
}

function memory(port: PortContext): Fields {
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  const { engine, statistics } = port;
  const used = usedMemory();
  const peak = Math.max(statistics.peakMemory, used);
  const limit = Number(engine.setting('maxmemory') ?? 0);
  const { dataBytes } = engine;
  return [
    ...bytes('used_memory', used),
    ...bytes('used_memory_rss', rss),
    ...bytes('used_memory_peak', peak),
    ['used_memory_peak_perc', `${((100 * used) / peak).toFixed(2)}%`],
    ['used_memory_overhead', Math.max(0, used - dataBytes)],
    ['used_memory_startup', statistics.startMemory],
    ['used_memory_dataset', dataBytes],
    ['used_memory_dataset_perc', `${((100 * dataBytes) / used).toFixed(2)}%`],
    ['allocator_allocated', heapUsed],
    ['allocator_active', heapTotal],
    ['allocator_resident', rss],
    ['allocator_frag_ratio', (heapTotal / heapUsed).toFixed(2)],
    ['allocator_frag_bytes', heapTotal - heapUsed],
    ['allocator_rss_ratio', (rss / heapTotal).toFixed(2)],
    ['allocator_rss_bytes', rss - heapTotal],
    ...bytes('total_system_memory', totalmem()),
    ['maxmemory', limit],
    ['maxmemory_human', human(limit)],
    ['maxmemory_policy', engine.setting('maxmemory-policy') ?? 'noeviction'],
    ['heap_size_limit', getHeapStatistics().heap_size_limit],
    ['mem_fragmentation_ratio', (rss / used).toFixed(2)],
    ['mem_fragmentation_bytes', rss - used],
    ['mem_clients_slaves', 0],
    ['mem_clients_normal', clientBytes(port)],
    ['mem_aof_buffer', engine.pendingBytes],
    ['mem_allocator', `v8-${process.versions.v8}`],
    ['lazyfree_pending_objects', 0],
    ...NONE.memory,
    ['pending_request_bytes', engine.pendingBytes],
  ];
}

function bytes(name: string, value: number): Fields {
  return [
    [name, value],
    [`${name}_human`, human(value)],
  ];
}

/** As Redis shows bytes to people. */
function human(value: number): string {
  if (value < 1024) return `${value}B`;
  const units = ['K', 'M', 'G', 'T'];
  let [size, at] = [value / 1024, 0];
  for (; size >= 1024 && at < units.length - 1; at += 1) size /= 1024;
  return `${size.toFixed(2)}${units[at] ?? ''}`;
}

/** What Redis calls an RDB file is a snapshot, and the append-only file is the log. */
function persistence({ engine }: PortContext, status: NodeStatus): Fields {
  const { inProgress, taken, lastAt, lastOk, lastSeconds } = engine.snapshots;
  return [
    ['loading', 0],
    ['async_loading', 0],
    ['rdb_changes_since_last_save', status.appliedIndex - status.snapshotIndex],
    ['rdb_bgsave_in_progress', inProgress ? 1 : 0],
    ['rdb_last_save_time', lastAt],
    ['rdb_last_bgsave_status', lastOk ? 'ok' : 'err'],
    ['rdb_last_bgsave_time_sec', lastSeconds],
    ['rdb_current_bgsave_time_sec', -1],
    ['rdb_saves', taken],
    ['aof_enabled', 1],
    ['aof_rewrite_in_progress', inProgress ? 1 : 0],
    ['aof_rewrite_scheduled', 0],
    ['aof_last_rewrite_time_sec', lastSeconds],
    ['aof_current_rewrite_time_sec', -1],
    ['aof_last_bgrewrite_status', lastOk ? 'ok' : 'err'],
    ['aof_rewrites', taken],
    ['aof_last_write_status', status.diskLow ? 'err' : 'ok'],
    ['aof_buffer_length', engine.pendingBytes],
    ...NONE.persistence,
    ['fsync', status.fsync],
  ];
}

function stats({ statistics, engine, subscriptions, tracking }: PortContext): Fields {
  const { hits, misses } = engine.lookups;
  return [
    ['total_connections_received', statistics.connections],
    ['total_commands_processed', statistics.commands],
    ['instantaneous_ops_per_sec', statistics.commandsPerSecond],
    ['total_net_input_bytes', statistics.inputBytes],
    ['total_net_output_bytes', statistics.outputBytes],
    ['instantaneous_input_kbps', (statistics.inputBytesPerSecond / 1024).toFixed(2)],
    ['instantaneous_output_kbps', (statistics.outputBytesPerSecond / 1024).toFixed(2)],
    ['rejected_connections', statistics.rejectedConnections],
    ['sync_full', 0],
    ['sync_partial_ok', 0],
    ['sync_partial_err', 0],
    ['expired_keys', statistics.expiredKeys],
    ['evicted_keys', statistics.evictedKeys],
    ['evicted_clients', 0],
    ['keyspace_hits', hits],
    ['keyspace_misses', misses],
    ['pubsub_channels', [...subscriptions.names('channels')].length],
    ['pubsub_patterns', subscriptions.patterns],
    ['pubsubshard_channels', [...subscriptions.names('shards')].length],
    ['latest_fork_usec', 0],
    ['total_forks', 0],
    ['tracking_total_keys', tracking.keys],
    ['tracking_total_items', tracking.items],
    ['tracking_total_prefixes', tracking.prefixes],
    ...NONE.stats,
    ['unexpected_error_replies', 0],
    ['total_error_replies', engine.activity.errorCount],
  ];
}

/** Redis's offsets count bytes; here they count log entries. */
function replication({ engine }: PortContext, status: NodeStatus): Fields {
  const common: Fields = [
    ['master_failover_state', 'no-failover'],
    ['master_replid', nodeName(status.clusterId)],
    ['master_replid2', '0'.repeat(40)],
    ['master_repl_offset', status.commitIndex],
    ['second_repl_offset', -1],
    ['repl_backlog_active', 1],
    ['repl_backlog_size', status.lastIndex - status.firstIndex + 1],
    ['repl_backlog_first_byte_offset', status.firstIndex],
    ['repl_backlog_histlen', status.lastIndex - status.firstIndex + 1],
  ];
  if (!engine.leading) {
    const leader = engine.leaderAddress();
    return [
      ['role', 'slave'],
      ['master_host', leader?.host ?? ''],
      ['master_port', leader?.port ?? 0],
      ['master_link_status', leader === null ? 'down' : 'up'],
      ['master_last_io_seconds_ago', leader === null ? -1 : 0],
      ['master_sync_in_progress', 0],
      ['slave_read_repl_offset', status.lastIndex],
      ['slave_repl_offset', status.appliedIndex],
      ['slave_priority', 100],
      ['slave_read_only', 1],
      ['replica_announced', 1],
      ['connected_slaves', 0],
      ...common,
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
    ...common,
  ];
}

function cpu(): Fields {
  const { user, system } = process.cpuUsage();
  return [
    ['used_cpu_sys', (system / 1e6).toFixed(6)],
    ['used_cpu_user', (user / 1e6).toFixed(6)],
    ['used_cpu_sys_children', '0.000000'],
    ['used_cpu_user_children', '0.000000'],
  ];
}

function commandStatistics({ engine }: PortContext): Fields {
  return [...engine.activity.commands].flatMap(
    ([name, { calls, microseconds, rejected, failed }]): Fields => {
      // The command under way, for the first time.
      if (calls === 0 && rejected === 0) return [];
      const each = calls === 0 ? 0 : microseconds / calls;
      return [
        [
          `cmdstat_${name}`,
          `calls=${calls},usec=${Math.round(microseconds)},usec_per_call=${each.toFixed(2)},rejected_calls=${rejected},failed_calls=${failed}`,
        ],
      ];
    },
  );
}

function errorStatistics({ engine }: PortContext): Fields {
  return [...engine.activity.errors].map(([name, count]) => [`errorstat_${name}`, `count=${count}`]);
}

function latencyStatistics({ engine }: PortContext): Fields {
  return [...engine.activity.commands].flatMap(([name, { histogram }]) => {
    if (histogram === null) return [];
    const shares = [50, 99, 99.9].map(
      (percent) => `p${percent}=${histogram.percentile(percent / 100).toFixed(3)}`,
    );
    return [[`latency_percentiles_usec_${name}`, shares.join(',')] as const];
  });
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
