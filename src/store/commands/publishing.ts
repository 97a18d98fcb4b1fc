/** PUBLISH and SPUBLISH: messages go through the log, so that all subscribers of all nodes see one order. */
import type { DataCommand } from '../command.ts';
import { NO_KEYS, ONE_KEY } from './positions.ts';

function publish(name: string, since: string, sharded: boolean): DataCommand {
  return {
    kind: 'data',
    group: 'pubsub',
    name,
    arity: 3,
    write: true,
    replyVaries: true,
    ...(sharded ? {} : { anywhere: true }),
    flags: ['pubsub', 'loading', 'stale', 'fast', 'may_replicate'],
    keys: sharded ? ONE_KEY : NO_KEYS,
    categories: ['pubsub', 'fast'],
    usage: `<${sharded ? 'shard' : ''}channel> <message>`,
    summary: `Sends a message to a ${sharded ? 'shard ' : ''}channel; the answer counts the receivers on the node that leads`,
    since,
    complexity: 'O(N + M) where N is the number of subscribers and M that of patterns',
    run(context, args, reply) {
      const [, channel = '', message = ''] = args;
      reply.integer(context.publish(channel, message, sharded));
    },
  };
}

export const publishingCommands: readonly DataCommand[] = [
  publish('publish', '2.0.0', false),
  publish('spublish', '7.0.0', true),
];
