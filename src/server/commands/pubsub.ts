/** Subscribing, which is the node's own business, and PUBSUB, which tells about the subscribers of this node. */
import { matchesGlob } from '../../store/glob.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import { ALL_KEYS } from '../../store/commands/positions.ts';
import type { LocalCommand, Session } from '../session.ts';
import type { Space } from '../subscriptions.ts';
import { container, localCommands, type LocalSpec } from './container.ts';

/** What each space counts towards: SUBSCRIBE's answer counts channels and patterns, SSUBSCRIBE's shard channels. */
function countOf({ subscribed }: Session, space: Space): number {
  if (space === 'shards') return subscribed.shards.size;
  return subscribed.channels.size + subscribed.patterns.size;
}

function confirm(session: Session, kind: string, space: Space, name: string | null): void {
  const reply = session.openPush(3);
  reply.bulk(kind);
  reply.bulk(name);
  reply.integer(countOf(session, space));
}

function subscribe(kind: string, space: Space): LocalSpec['run'] {
  return (session, args) => {
    for (const name of args.slice(1)) {
      session.port.subscriptions.subscribe(session, space, name);
      confirm(session, kind, space, name);
    }
  };
}

function unsubscribe(kind: string, space: Space): LocalSpec['run'] {
  return (session, args) => {
    const names = args.length > 1 ? args.slice(1) : [...session.subscribed[space]];
    for (const name of names) {
      session.port.subscriptions.unsubscribe(session, space, name);
      confirm(session, kind, space, name);
    }
    if (names.length === 0) confirm(session, kind, space, null);
  };
}

const shared = {
  flags: ['pubsub', 'noscript', 'loading', 'stale'],
  categories: ['pubsub', 'slow'],
  complexity: 'O(N) where N is the number of names',
} as const;

/** `what` in one word, and in several. */
function pair(
  prefix: string,
  space: Space,
  word: string,
  what: string,
  since: string,
): [LocalSpec, LocalSpec] {
  return [
    {
      ...shared,
      name: `${prefix}subscribe`,
      arity: -2,
      usage: `<${word}> [<${word}> ...]`,
      summary: `Listens to ${what}`,
      since,
      ...(space === 'shards' ? { keys: ALL_KEYS } : {}),
      run: subscribe(`${prefix}subscribe`, space),
    },
    {
      ...shared,
      name: `${prefix}unsubscribe`,
      arity: -1,
      usage: `[<${word}> ...]`,
      summary: `Stops listening to ${what}, or to all of them`,
      since,
      ...(space === 'shards' ? { keys: ALL_KEYS } : {}),
      run: unsubscribe(`${prefix}unsubscribe`, space),
    },
  ];
}

/** Those of the names that match; sorted, so that the answer does not depend on who came first. */
function matching(names: Iterable<string>, pattern: string | undefined): string[] {
  return [...names].filter((name) => pattern === undefined || matchesGlob(pattern, name)).sort();
}

function replyNames(names: readonly string[], reply: ReplyWriter): void {
  reply.array(names.length);
  for (const name of names) reply.bulk(name);
}

function replyCounts(session: Session, space: Space, names: readonly string[], reply: ReplyWriter): void {
  // Not a map, in RESP3 either: as Redis does.
  reply.array(2 * names.length);
  for (const name of names) {
    reply.bulk(name);
    reply.integer(session.port.subscriptions.count(space, name));
  }
}

const about = {
  flags: ['pubsub', 'loading', 'stale'],
  categories: ['pubsub', 'slow'],
} as const;

export const pubsubCommands: readonly LocalCommand[] = [
  ...localCommands('pubsub', [
    ...pair('', 'channels', 'channel', 'channels', '2.0.0'),
    ...pair('p', 'patterns', 'pattern', 'channels whose names match patterns', '2.0.0'),
    ...pair('s', 'shards', 'shardchannel', 'shard channels', '7.0.0'),
  ]),
  container(
    'pubsub',
    {
      name: 'pubsub',
      arity: -2,
      flags: [],
      categories: ['slow'],
      summary: 'A container for commands about subscribers of this node',
      since: '2.8.0',
      complexity: 'that of the subcommand',
    },
    [
      {
        ...about,
        name: 'channels',
        usage: '[<pattern>]',
        arity: -2,
        summary: 'Channels that somebody listens to.',
        since: '2.8.0',
        complexity: 'O(N) where N is the number of channels',
        run: ({ port }, args, reply) =>
          replyNames(matching(port.subscriptions.names('channels'), args[2]), reply),
      },
      {
        ...about,
        name: 'numsub',
        usage: '[<channel> ...]',
        arity: -2,
        summary: 'How many listen to each channel, patterns apart.',
        since: '2.8.0',
        complexity: 'O(N) where N is the number of channels',
        run: (session, args, reply) => replyCounts(session, 'channels', args.slice(2), reply),
      },
      {
        ...about,
        name: 'numpat',
        arity: 2,
        summary: 'How many patterns are listened to.',
        since: '2.8.0',
        complexity: 'O(1)',
        run: ({ port }, _args, reply) => reply.integer(port.subscriptions.patterns),
      },
      {
        ...about,
        name: 'shardchannels',
        usage: '[<pattern>]',
        arity: -2,
        summary: 'Shard channels that somebody listens to.',
        since: '7.0.0',
        complexity: 'O(N) where N is the number of channels',
        run: ({ port }, args, reply) =>
          replyNames(matching(port.subscriptions.names('shards'), args[2]), reply),
      },
      {
        ...about,
        name: 'shardnumsub',
        usage: '[<shardchannel> ...]',
        arity: -2,
        summary: 'How many listen to each shard channel.',
        since: '7.0.0',
        complexity: 'O(N) where N is the number of channels',
        run: (session, args, reply) => replyCounts(session, 'shards', args.slice(2), reply),
      },
    ],
  ),
];
