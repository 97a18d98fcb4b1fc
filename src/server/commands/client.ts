/** CLIENT: who is connected. */
import { SYNTAX_ERROR } from '../../store/errors.ts';
import { parseInteger } from '../../store/integer.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import type { LocalCommand, Session } from '../session.ts';
import { container } from './container.ts';

export const PLAIN_NAME_ERROR = 'ERR Client names cannot contain spaces, newlines or special characters.';

/** Whether CLIENT LIST can show it: visible ASCII without blanks. */
export function isPlainName(name: string): boolean {
  return /^[!-~]*$/.test(name);
}

const shared = {
  flags: ['noscript', 'loading', 'stale'],
  categories: ['slow', 'connection'],
  complexity: 'O(1)',
} as const;

export const clientCommands: readonly LocalCommand[] = [
  container(
    'connection',
    {
      name: 'client',
      arity: -2,
      flags: [],
      categories: ['slow'],
      summary: 'A container for client connection commands',
      since: '2.4.0',
      complexity: 'that of the subcommand',
    },
    [
      {
        ...shared,
        name: 'id',
        arity: 2,
        summary: 'The number of this connection.',
        since: '5.0.0',
        run: (session, _args, reply) => reply.integer(session.id),
      },
      {
        ...shared,
        name: 'setname',
        usage: '<name>',
        arity: 3,
        summary: 'Names this connection; an empty name takes it away.',
        since: '2.6.9',
        run(session, args, reply) {
          const name = args[2] ?? '';
          if (!isPlainName(name)) {
            reply.error(PLAIN_NAME_ERROR);
            return;
          }
          session.name = name;
          reply.ok();
        },
      },
      {
        ...shared,
        name: 'getname',
        arity: 2,
        summary: 'The name of this connection.',
        since: '2.6.9',
        run: (session, _args, reply) => reply.bulk(session.name === '' ? null : session.name),
      },
      {
        ...shared,
        name: 'setinfo',
        usage: '(LIB-NAME <name>|LIB-VER <version>)',
        arity: 4,
        summary: 'Tells which client library this is.',
        since: '7.2.0',
        run: setInfo,
      },
      {
        ...shared,
        name: 'list',
        usage: '[TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <id> ...]',
        arity: -2,
        flags: ['admin', 'noscript', 'loading', 'stale'],
        categories: ['admin', 'slow', 'dangerous', 'connection'],
        summary: 'One line per connection.',
        since: '2.4.0',
        complexity: 'O(n) in the connections',
        run: list,
      },
      {
        ...shared,
        name: 'info',
        arity: 2,
        summary: 'The line of this connection.',
        since: '6.2.0',
        run: (session, _args, reply) => reply.verbatim('txt', `${describe(session)}\n`),
      },
    ],
  ),
];

function setInfo(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const [, , option = '', value = ''] = args;
  const attribute = option.toLowerCase();
  if (attribute !== 'lib-name' && attribute !== 'lib-ver') {
    reply.error(`ERR Unrecognized option '${option}'`);
    return;
  }
  if (!isPlainName(value)) {
    reply.error(`ERR ${attribute} cannot contain spaces, newlines or special characters.`);
    return;
  }
  if (attribute === 'lib-name') session.libraryName = value;
  else session.libraryVersion = value;
  reply.ok();
}

function list(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const { sessions } = session.port;
  const option = (args[2] ?? '').toLowerCase();
  let chosen: Session[] = [];
  if (args.length === 2) chosen = [...sessions.values()];
  else if (option === 'type' && args.length === 4) {
    const type = (args[3] ?? '').toLowerCase();
    if (!['normal', 'master', 'replica', 'slave', 'pubsub'].includes(type)) {
      reply.error(`ERR Unknown client type '${args[3] ?? ''}'`);
      return;
    }
    if (type === 'normal' || type === 'pubsub') {
      chosen = [...sessions.values()].filter((each) => listens(each) === (type === 'pubsub'));
    }
  } else if (option === 'id' && args.length > 3) {
    for (const text of args.slice(3)) {
      const id = parseInteger(text);
      if (id === undefined || id <= 0) {
        reply.error('ERR Invalid client ID');
        return;
      }
      const found = sessions.get(Number(id));
      if (found !== undefined) chosen.push(found);
    }
  } else {
    reply.error(SYNTAX_ERROR);
    return;
  }
  reply.verbatim('txt', chosen.map((each) => `${describe(each)}\n`).join(''));
}

function listens({ subscribed }: Session): boolean {
  return subscribed.channels.size + subscribed.patterns.size + subscribed.shards.size > 0;
}

/** A connection in one line, in the order and with the names of Redis's fields as far as they mean something here. */
function describe(session: Session): string {
  const now = session.port.monotonic();
  const fields: [string, string | number][] = [
    ['id', session.id],
    ['addr', session.remoteAddress],
    ['laddr', session.localAddress],
    ['name', session.name],
    ['age', Math.floor((now - session.connectedAt) / 1000)],
    ['idle', Math.floor((now - session.activeAt) / 1000)],
    ['flags', `${listens(session) ? 'P' : ''}${session.queuedCommands >= 0 ? 'x' : ''}` || 'N'],
    ['db', 0],
    ['sub', session.subscribed.channels.size],
    ['psub', session.subscribed.patterns.size],
    ['ssub', session.subscribed.shards.size],
    ['multi', session.queuedCommands],
    ['qbuf', session.inputBytes],
    ['obl', session.outputBytes],
    ['cmd', session.lastCommand],
    ['user', 'default'],
    ['resp', session.protocol],
    ['lib-name', session.libraryName],
    ['lib-ver', session.libraryVersion],
  ];
  return fields.map(([name, value]) => `${name}=${value}`).join(' ');
}
