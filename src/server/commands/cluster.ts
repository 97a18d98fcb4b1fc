/**
 * CLUSTER: one shard that holds all slots, led by the leader, as cluster clients want it told. It is answered without
 * a leader too, or clients could not even begin: the node asked then stands at the head, and says CLUSTERDOWN to
 * whatever comes next.
 */
import { createHash } from 'node:crypto';
import type { ReplyWriter } from '../../store/reply.ts';
import type { MemberStatus, NodeStatus } from '../engine.ts';
import type { LocalCommand, PortContext, Session } from '../session.ts';
import { keySlot, SLOTS } from '../slot.ts';
import { clusterKeyCommands } from './cluster-keys.ts';
import { container } from './container.ts';
import { notApplicableClusterSubcommands } from './not-applicable.ts';

const shared = {
  flags: ['stale'],
  categories: ['slow'],
  complexity: 'O(n) in the nodes',
  since: '3.0.0',
} as const;

const administrative = {
  flags: ['admin', 'stale'],
  categories: ['admin', 'slow', 'dangerous'],
} as const;

export const clusterCommands: readonly LocalCommand[] = [
  container(
    'cluster',
    {
      name: 'cluster',
      arity: -2,
      flags: [],
      categories: ['slow'],
      summary: 'A container for Redis Cluster commands',
      since: '3.0.0',
      complexity: 'that of the subcommand',
    },
    [
      {
        ...shared,
        name: 'slots',
        arity: 2,
        summary: 'Which nodes serve which slots.',
        run: slots,
      },
      {
        ...shared,
        name: 'shards',
        arity: 2,
        summary: 'The shards with their slots and nodes.',
        since: '7.0.0',
        run: shards,
      },
      {
        ...shared,
        name: 'nodes',
        arity: 2,
        summary: 'One line per node.',
        run: (session, _args, reply) => reply.verbatim('txt', nodes(session)),
      },
      {
        ...shared,
        name: 'info',
        arity: 2,
        summary: 'The state of the cluster as this node sees it.',
        run: (session, _args, reply) => reply.verbatim('txt', info(session.port)),
      },
      {
        ...shared,
        name: 'myid',
        arity: 2,
        summary: 'The id of this node.',
        complexity: 'O(1)',
        run: (session, _args, reply) => reply.bulk(nodeName(session.port.engine.status().id)),
      },
      {
        ...shared,
        name: 'keyslot',
        usage: '<key>',
        arity: 3,
        summary: 'The slot of a key.',
        complexity: 'O(n) in the length of the key',
        run: (_session, args, reply) => reply.integer(keySlot(args[2] ?? '')),
      },
      {
        ...shared,
        ...administrative,
        name: 'replicas',
        usage: '<node-id>',
        arity: 3,
        summary: 'The lines of the nodes that follow this one.',
        since: '5.0.0',
        run: replicas,
      },
      {
        ...shared,
        ...administrative,
        name: 'slaves',
        usage: '<node-id>',
        arity: 3,
        summary: 'As REPLICAS.',
        run: replicas,
      },
      {
        ...shared,
        ...administrative,
        name: 'count-failure-reports',
        usage: '<node-id>',
        arity: 3,
        summary: 'Answers 0: nodes do not report the failures of others, they elect a leader.',
        run(session, args, reply) {
          const id = args[2] ?? '';
          const known = reachable(session, session.port.engine.status()).some(({ name }) => name === id);
          if (known) reply.integer(0);
          else reply.error(`ERR Unknown node ${id}`);
        },
      },
      {
        ...shared,
        name: 'links',
        arity: 2,
        summary: 'The nodes that this one is connected to.',
        since: '7.0.0',
        run: links,
      },
      {
        ...shared,
        ...administrative,
        name: 'saveconfig',
        flags: ['admin', 'stale', 'no_async_loading'],
        arity: 2,
        summary: 'Answers OK: who belongs to the cluster is in the log.',
        complexity: 'O(1)',
        run: (_session, _args, reply) => reply.ok(),
      },
      ...notApplicableClusterSubcommands,
    ],
    clusterKeyCommands,
  ),
];

/** A node id in the form of Redis's: 40 hexadecimal digits. */
export function nodeName(id: string): string {
  return createHash('sha1').update(id).digest('hex');
}

/** A node as clients can reach it. */
interface Reachable {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly head: boolean;
  readonly member: MemberStatus;
}

/** The nodes whose client address is known, the one that stands for the leader first. */
function reachable(session: Session, status: NodeStatus): Reachable[] {
  const { engine } = session.port;
  const leader = engine.leaderAddress()?.id ?? null;
  const head = status.members.find(({ id, self }) => (leader === null ? self : id === leader));
  return status.members
    .flatMap((member): Reachable[] =>
      member.client === null
        ? []
        : [
            {
              ...addressOf(session, member, member.client),
              name: nodeName(member.id),
              head: member === head,
              member,
            },
          ],
    )
    .sort((a, b) => Number(b.head) - Number(a.head));
}

/** A node that listens on every address is told by the one that this client came by. */
function addressOf(
  { localAddress }: Session,
  { self }: MemberStatus,
  client: NonNullable<MemberStatus['client']>,
): NonNullable<MemberStatus['client']> {
  if (!self || (client.host !== '0.0.0.0' && client.host !== '::')) return client;
  const host = localAddress.slice(0, localAddress.lastIndexOf(':'));
  return { host: host.replace(/^::ffff:/, ''), port: client.port };
}

/** Without the nodes that are down, as in Redis: there are clients that wait until each of those named here answers. */
function slots(session: Session, _args: readonly string[], reply: ReplyWriter): void {
  const known = reachable(session, session.port.engine.status());
  const nodes = known.filter(({ head, member }) => head || member.connected);
  reply.array(1);
  reply.array(2 + nodes.length);
  reply.integer(0);
  reply.integer(SLOTS - 1);
  for (const { name, host, port } of nodes) {
    reply.array(4);
    reply.bulk(host);
    reply.integer(port);
    reply.bulk(name);
    reply.map(0);
  }
}

function shards(session: Session, _args: readonly string[], reply: ReplyWriter): void {
  const status = session.port.engine.status();
  const nodes = reachable(session, status);
  reply.array(1);
  reply.map(2);
  reply.bulk('slots');
  reply.array(2);
  reply.integer(0);
  reply.integer(SLOTS - 1);
  reply.bulk('nodes');
  reply.array(nodes.length);
  for (const { name, host, port, head, member } of nodes) {
    reply.map(7);
    writeText(reply, 'id', name);
    writeNumber(reply, 'port', port);
    writeText(reply, 'ip', host);
    writeText(reply, 'endpoint', host);
    writeText(reply, 'role', head ? 'master' : 'replica');
    writeNumber(reply, 'replication-offset', member.self ? status.appliedIndex : (member.match ?? 0));
    writeText(reply, 'health', member.connected ? 'online' : 'failed');
  }
}

/**
 * `<id> <host:port@peer port> <flags> <master> <ping> <pong> <epoch> <link> <slots>`. There are no pings; the epoch
 * is the term.
 */
function nodes(session: Session): string {
  const status = session.port.engine.status();
  const all = reachable(session, status);
  const head = all.find((node) => node.head);
  return all
    .map((node) => {
      const { member } = node;
      const peerPort = URL.parse(member.url)?.port || '80';
      const role = node.head ? 'master' : 'slave';
      return [
        node.name,
        `${node.host}:${node.port}@${peerPort}`,
        member.self ? `myself,${role}` : member.connected ? role : `${role},fail?`,
        node.head ? '-' : (head?.name ?? '-'),
        0,
        0,
        status.term,
        member.connected ? 'connected' : 'disconnected',
        ...(node.head ? [`0-${SLOTS - 1}`] : []),
      ].join(' ');
    })
    .map((line) => `${line}\n`)
    .join('');
}

/** The nodes that follow the one with the id; there are some only for the leader. */
function replicas(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const id = args[2] ?? '';
  const all = reachable(session, session.port.engine.status());
  const node = all.find(({ name }) => name === id);
  if (node === undefined) reply.error(`ERR Unknown node ${id}`);
  else if (!node.head) reply.error('ERR The specified node is not a master');
  else {
    const lines = nodes(session).split('\n');
    const found = lines.filter((line) => line !== '' && !line.startsWith(id));
    reply.array(found.length);
    for (const line of found) reply.bulk(line);
  }
}

function links(session: Session, _args: readonly string[], reply: ReplyWriter): void {
  const others = reachable(session, session.port.engine.status()).filter(
    ({ member }) => !member.self && member.connected,
  );
  reply.array(others.length);
  for (const { name } of others) {
    reply.map(6);
    writeText(reply, 'direction', 'to');
    writeText(reply, 'node', name);
    writeNumber(reply, 'create-time', 0);
    writeText(reply, 'events', 'rw');
    writeNumber(reply, 'send-buffer-allocated', 0);
    writeNumber(reply, 'send-buffer-used', 0);
  }
}

function info({ engine }: PortContext): string {
  const status = engine.status();
  const up = engine.leaderAddress() !== null;
  const fields: [string, string | number][] = [
    ['cluster_state', up ? 'ok' : 'fail'],
    ['cluster_slots_assigned', SLOTS],
    ['cluster_slots_ok', up ? SLOTS : 0],
    ['cluster_slots_pfail', 0],
    ['cluster_slots_fail', up ? 0 : SLOTS],
    ['cluster_known_nodes', status.members.length],
    ['cluster_size', 1],
    ['cluster_current_epoch', status.term],
    ['cluster_my_epoch', status.term],
    ['cluster_stats_messages_sent', 0],
    ['cluster_stats_messages_received', 0],
    ['total_cluster_links_buffer_limit_exceeded', 0],
  ];
  return fields.map(([name, value]) => `${name}:${value}\r\n`).join('');
}

function writeText(reply: ReplyWriter, name: string, value: string): void {
  reply.bulk(name);
  reply.bulk(value);
}

function writeNumber(reply: ReplyWriter, name: string, value: number): void {
  reply.bulk(name);
  reply.integer(value);
}
