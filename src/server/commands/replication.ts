/** What clients ask about replication: ROLE, WAIT, and the switches of cluster clients. */
import { NOT_AN_INTEGER } from '../../store/errors.ts';
import { clampInteger, parseInteger } from '../../store/integer.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import type { LocalCommand, Session } from '../session.ts';
import { localCommands } from './container.ts';

export const replicationCommands: readonly LocalCommand[] = [
  ...localCommands('server', [
    {
      name: 'role',
      arity: 1,
      flags: ['noscript', 'loading', 'stale', 'fast'],
      categories: ['admin', 'fast', 'dangerous'],
      summary: 'Whether this node leads, who else does, and how far the others are',
      since: '2.8.12',
      complexity: 'O(n) in the nodes',
      run: role,
    },
  ]),
  ...localCommands('generic', [
    {
      name: 'wait',
      arity: 3,
      flags: ['noscript'],
      categories: ['slow', 'connection'],
      usage: '<numreplicas> <timeout>',
      summary: 'Waits until so many other nodes have the writes of this connection on disk',
      since: '3.0.0',
      complexity: 'O(1)',
      run: wait,
    },
    {
      name: 'waitaof',
      arity: 4,
      flags: ['noscript'],
      categories: ['slow', 'connection'],
      usage: '<numlocal> <numreplicas> <timeout>',
      summary: 'As WAIT, and whether this node has the writes on its own disk',
      since: '7.2.0',
      complexity: 'O(1)',
      run: waitForLogs,
    },
  ]),
  ...localCommands('cluster', [
    {
      name: 'readonly',
      arity: 1,
      flags: ['loading', 'stale', 'fast'],
      categories: ['fast', 'connection'],
      summary:
        'Runs the reads of this connection here although the node does not lead; they stay linearizable',
      since: '3.0.0',
      complexity: 'O(1)',
      run(session, _args, reply) {
        session.readsHere = true;
        reply.ok();
      },
    },
    {
      name: 'readwrite',
      arity: 1,
      flags: ['loading', 'stale', 'fast'],
      categories: ['fast', 'connection'],
      summary: 'Takes READONLY back, and what --follower-reads means for this connection',
      since: '3.0.0',
      complexity: 'O(1)',
      run(session, _args, reply) {
        session.readsHere = false;
        reply.ok();
      },
    },
    {
      name: 'asking',
      arity: 1,
      flags: ['fast'],
      categories: ['fast', 'connection'],
      summary: 'Accepted for cluster clients; with one shard no slot ever moves',
      since: '3.0.0',
      complexity: 'O(1)',
      run: (_session, _args, reply) => reply.ok(),
    },
  ]),
];

function role(session: Session, _args: readonly string[], reply: ReplyWriter): void {
  const { engine } = session.port;
  const status = engine.status();
  if (engine.leading) {
    const others = status.members.filter((member) => !member.self && member.client !== null);
    reply.array(3);
    reply.bulk('master');
    reply.integer(status.commitIndex);
    reply.array(others.length);
    for (const { client, match } of others) {
      reply.array(3);
      reply.bulk(client?.host ?? '');
      reply.bulk(String(client?.port ?? 0));
      reply.bulk(String(match ?? 0));
    }
    return;
  }
  const leader = engine.leaderAddress();
  reply.array(5);
  reply.bulk('slave');
  reply.bulk(leader?.host ?? '');
  reply.integer(leader?.port ?? 0);
  reply.bulk(leader === null ? 'connect' : 'connected');
  reply.integer(status.appliedIndex);
}

function wait(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const count = parseInteger(args[1] ?? '');
  const timeout = parseInteger(args[2] ?? '');
  if (count === undefined) reply.error(NOT_AN_INTEGER);
  else if (timeout === undefined) reply.error('ERR timeout is not an integer or out of range');
  else if (timeout < 0) reply.error('ERR timeout is negative');
  else session.waitForReplicas(clampInteger(count), clampInteger(timeout), reply);
}

/** What a node answers is on its disk as soon as it is written, where every write of the log is waited for. */
function waitForLogs(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const local = parseInteger(args[1] ?? '');
  const count = parseInteger(args[2] ?? '');
  const timeout = parseInteger(args[3] ?? '');
  const always = session.port.engine.status().fsync === 'always';
  if (local === undefined) reply.error(NOT_AN_INTEGER);
  else if (local < 0 || local > 1) reply.error('ERR value is out of range, value must between 0 and 1');
  else if (count === undefined) reply.error(NOT_AN_INTEGER);
  else if (count < 0) reply.error('ERR value is out of range, must be positive');
  else if (timeout === undefined) reply.error('ERR timeout is not an integer or out of range');
  else if (timeout < 0) reply.error('ERR timeout is negative');
  else if (local === 1 && !always)
    reply.error(
      'ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled. Start the node with --fsync always',
    );
  else {
    session.waitForReplicas(clampInteger(count), clampInteger(timeout), reply, (have, writer) => {
      writer.array(2);
      writer.integer(always ? 1 : 0);
      writer.integer(have);
    });
  }
}
