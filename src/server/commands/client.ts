/**
 * CLIENT: who is connected to this node, what they may expect, and how they are ended, held or woken. All of it is about
 * the client port of one node; nothing of it is in the log.
 */
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../../store/errors.ts';
import { parseInteger } from '../../store/integer.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import { TIMED_OUT, UNBLOCKED } from '../blocked.ts';
import { wrongSubcommand } from '../errors.ts';
import type { LocalCommand, Session } from '../session.ts';
import { redirectOf, trackingSubcommands } from './client-tracking.ts';
import { container } from './container.ts';

export const PLAIN_NAME_ERROR = 'ERR Client names cannot contain spaces, newlines or special characters.';

/** As CLIENT LIST and KILL know them; connections of other nodes come by another port. */
const TYPES: ReadonlySet<string> = new Set(['normal', 'master', 'replica', 'slave', 'pubsub']);

/** Whether CLIENT LIST can show it: visible ASCII without blanks. */
export function isPlainName(name: string): boolean {
  return /^[!-~]*$/.test(name);
}

const shared = {
  flags: ['noscript', 'loading', 'stale'],
  categories: ['slow', 'connection'],
  complexity: 'O(1)',
} as const;

const administrative = {
  flags: ['admin', 'noscript', 'loading', 'stale'],
  categories: ['admin', 'slow', 'dangerous', 'connection'],
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
        usage: '<connection-name>',
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
        ...administrative,
        name: 'list',
        usage: '[TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> [<client-id> ...]]',
        arity: -2,
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
        run: (session, _args, reply) => reply.verbatim('txt', `${describeSession(session)}\n`),
      },
      {
        ...shared,
        ...administrative,
        name: 'kill',
        usage:
          '<ip:port>|(ID <client-id>|TYPE (NORMAL|MASTER|REPLICA|PUBSUB)|USER <username>|ADDR <ip:port>|LADDR <ip:port>|SKIPME <yes/no> ...)',
        arity: -3,
        summary:
          'Closes connections: by ID, ADDR, LADDR, USER and TYPE, all that are given; not this one unless SKIPME is NO.',
        since: '2.4.0',
        complexity: 'O(n) in the connections',
        run: kill,
      },
      {
        ...shared,
        ...administrative,
        name: 'pause',
        usage: '<timeout> [WRITE|ALL]',
        arity: -3,
        summary: 'Holds what the connections of this node ask, or just what they write.',
        since: '3.0.0',
        run: pause,
      },
      {
        ...shared,
        ...administrative,
        name: 'unpause',
        arity: 2,
        summary: 'Ends a pause.',
        since: '6.2.0',
        complexity: 'O(n) in the connections',
        run(session, _args, reply) {
          session.port.unpause();
          reply.ok();
        },
      },
      {
        ...shared,
        name: 'reply',
        usage: '(ON|OFF|SKIP)',
        arity: 3,
        summary: 'Whether replies are sent to this connection, and whether the next one is.',
        since: '3.2.0',
        run: setReplies,
      },
      {
        ...shared,
        ...administrative,
        name: 'unblock',
        usage: '<client-id> [TIMEOUT|ERROR]',
        arity: -3,
        summary: 'Ends the wait of a connection, as if its time were over or with an error.',
        since: '5.0.0',
        run: unblock,
      },
      ...trackingSubcommands,
      {
        ...shared,
        ...administrative,
        name: 'no-evict',
        usage: '(ON|OFF)',
        arity: 3,
        summary:
          'Marks this connection as one that is not to be closed for the memory that it takes; none is here.',
        since: '7.0.0',
        run(session, args, reply) {
          const on = onOrOff(args, reply);
          if (on !== null) session.noEvict = on;
        },
      },
      {
        ...shared,
        name: 'no-touch',
        usage: '(ON|OFF)',
        arity: 3,
        summary: 'Whether what this connection reads counts as used.',
        since: '7.2.0',
        run(session, args, reply) {
          const on = onOrOff(args, reply);
          if (on !== null) session.noTouch = on;
        },
      },
    ],
    [],
    ['connection'],
  ),
];

/** What ON or OFF means, which it acknowledges; `null` after the error for anything else. */
function onOrOff(args: readonly string[], reply: ReplyWriter): boolean | null {
  const word = (args[2] ?? '').toLowerCase();
  if (word !== 'on' && word !== 'off') {
    reply.error(SYNTAX_ERROR);
    return null;
  }
  reply.ok();
  return word === 'on';
}

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

function setReplies(session: Session, args: readonly string[], reply: ReplyWriter): void {
  switch ((args[2] ?? '').toLowerCase()) {
    case 'on':
      session.muteReplies('none');
      // Not into `reply`, which may have been mute.
      session.reply.ok();
      break;
    case 'off':
      session.muteReplies('all');
      break;
    case 'skip':
      session.muteReplies('next');
      break;
    default:
      reply.error(SYNTAX_ERROR);
  }
}

function pause(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const [, name = '', timeout = '', what = 'all'] = args;
  const mode = what.toLowerCase();
  const ms = parseInteger(timeout);
  if (args.length > 4) reply.error(wrongSubcommand('client', name));
  else if (mode !== 'all' && mode !== 'write') reply.error('ERR CLIENT PAUSE mode must be WRITE or ALL');
  else if (ms === undefined) reply.error('ERR timeout is not an integer or out of range');
  else if (ms < 0) reply.error('ERR timeout is negative');
  else {
    reply.ok();
    session.port.pause(mode === 'all' ? 'all' : 'writes', Number(ms));
  }
}

function unblock(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const [, name = '', text = '', reason = 'timeout'] = args;
  const how = reason.toLowerCase();
  const id = parseInteger(text);
  if (args.length > 4) reply.error(wrongSubcommand('client', name));
  else if (how !== 'timeout' && how !== 'error')
    reply.error('ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR');
  else if (id === undefined) reply.error(NOT_AN_INTEGER);
  else {
    const target = session.port.sessions.get(Number(id));
    const ended = target?.unblock(how === 'timeout' ? TIMED_OUT : UNBLOCKED) ?? false;
    reply.integer(ended ? 1 : 0);
  }
}

/* ---- CLIENT KILL ------------------------------------------------------------------------------------------------- */

type Filter = (session: Session) => boolean;

function kill(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const sessions = [...session.port.sessions.values()];
  if (args.length === 3) {
    const victim = sessions.find(({ remoteAddress }) => remoteAddress === args[2]);
    if (victim === undefined) reply.error('ERR No such client');
    else {
      reply.ok();
      end(victim, session);
    }
    return;
  }
  const filters = filtersOf(session, args);
  if (typeof filters === 'string') {
    reply.error(filters);
    return;
  }
  const victims = sessions.filter((each) => filters.every((filter) => filter(each)));
  reply.integer(victims.length);
  for (const victim of victims) end(victim, session);
}

/** Closes a connection; the one that asks gets its reply first. */
function end(victim: Session, asking: Session): void {
  if (victim === asking) victim.quit();
  else victim.destroy();
}

/** What all have to fulfil, or the text of the error. */
function filtersOf(session: Session, args: readonly string[]): Filter[] | string {
  const filters: Filter[] = [];
  let skipMe = true;
  for (let at = 2; at < args.length; at += 2) {
    const value = args[at + 1];
    if (value === undefined) return SYNTAX_ERROR;
    switch ((args[at] ?? '').toLowerCase()) {
      case 'id': {
        const id = parseInteger(value);
        if (id === undefined || id < 1) return 'ERR client-id should be greater than 0';
        filters.push((each) => each.id === Number(id));
        break;
      }
      case 'type': {
        const type = value.toLowerCase();
        if (!TYPES.has(type)) return `ERR Unknown client type '${value}'`;
        filters.push((each) => typeOf(each) === type);
        break;
      }
      case 'addr':
        filters.push((each) => each.remoteAddress === value);
        break;
      case 'laddr':
        filters.push((each) => each.localAddress === value);
        break;
      case 'user':
        if (session.port.users.get(value) === undefined) return `ERR No such user '${value}'`;
        filters.push((each) => each.userName === value);
        break;
      case 'skipme':
        if (!/^(?:yes|no)$/i.test(value)) return SYNTAX_ERROR;
        skipMe = value.toLowerCase() === 'yes';
        break;
      default:
        return SYNTAX_ERROR;
    }
  }
  if (skipMe) filters.push((each) => each !== session);
  return filters;
}

/* ---- CLIENT LIST ------------------------------------------------------------------------------------------------- */

function typeOf(session: Session): 'normal' | 'pubsub' {
  return listens(session) ? 'pubsub' : 'normal';
}

function list(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const { sessions } = session.port;
  const option = (args[2] ?? '').toLowerCase();
  let chosen: Session[] = [];
  if (args.length === 2) chosen = [...sessions.values()];
  else if (option === 'type' && args.length === 4) {
    const type = (args[3] ?? '').toLowerCase();
    if (!TYPES.has(type)) {
      reply.error(`ERR Unknown client type '${args[3] ?? ''}'`);
      return;
    }
    chosen = [...sessions.values()].filter((each) => typeOf(each) === type);
  } else if (option === 'id' && args.length > 3) {
    for (const text of args.slice(3)) {
      const id = parseInteger(text);
      if (id === undefined) {
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
  reply.verbatim('txt', chosen.map((each) => `${describeSession(each)}\n`).join(''));
}

function listens({ subscribed }: Session): boolean {
  return subscribed.channels.size + subscribed.patterns.size + subscribed.shards.size > 0;
}

/**
 * A connection in one line, with all of Redis's fields in its order: some tools count them. What means nothing here is 0: there
 * are no buffers that wait to be filled, and no descriptors.
 */
export function describeSession(session: Session): string {
  const now = session.port.monotonic();
  const { inputBytes, outputBytes, queuedBytes } = session;
  const fields: [string, string | number][] = [
    ['id', session.id],
    ['addr', session.remoteAddress],
    ['laddr', session.localAddress],
    ['fd', -1],
    ['name', session.name],
    ['age', Math.floor((now - session.connectedAt) / 1000)],
    ['idle', Math.floor((now - session.activeAt) / 1000)],
    ['flags', flagsOf(session)],
    ['db', 0],
    ['sub', session.subscribed.channels.size],
    ['psub', session.subscribed.patterns.size],
    ['ssub', session.subscribed.shards.size],
    ['multi', session.queuedCommands],
    ['qbuf', inputBytes],
    ['qbuf-free', 0],
    ['argv-mem', 0],
    ['multi-mem', queuedBytes],
    ['rbs', 0],
    ['rbp', 0],
    ['obl', 0],
    ['oll', outputBytes === 0 ? 0 : 1],
    ['omem', outputBytes],
    ['tot-mem', inputBytes + queuedBytes + outputBytes],
    ['events', outputBytes === 0 ? 'r' : 'rw'],
    ['cmd', session.lastCommand],
    ['user', session.userName],
    ['redir', redirectOf(session)],
    ['resp', session.protocol],
    ['lib-name', session.libraryName],
    ['lib-ver', session.libraryVersion],
  ];
  return fields.map(([name, value]) => `${name}=${value}`).join(' ');
}

/** Redis's letters, in its order. */
function flagsOf(session: Session): string {
  let flags = session.port.engine.activity.monitors.has(session) ? 'O' : '';
  if (listens(session)) flags += 'P';
  if (session.queuedCommands >= 0) flags += 'x';
  if (session.blocked) flags += 'b';
  if (session.tracker !== null) flags += 't';
  if (session.tracker?.redirectBroken === true) flags += 'R';
  if (session.tracker?.options.broadcast === true) flags += 'B';
  if (session.closing) flags += 'c';
  if (session.readsHere) flags += 'r';
  if (session.noEvict) flags += 'e';
  if (session.noTouch) flags += 'T';
  return flags === '' ? 'N' : flags;
}
