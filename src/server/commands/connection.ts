/** The life of a connection: protocol, password, farewell. */
import { SYNTAX_ERROR } from '../../store/errors.ts';
import { parseInteger } from '../../store/integer.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import { type LocalCommand, REDIS_VERSION, type Session } from '../session.ts';
import { isPlainName, PLAIN_NAME_ERROR } from './client.ts';
import { localCommands } from './container.ts';

const WRONG_PASSWORD = 'WRONGPASS invalid username-password pair or user is disabled.';
const HELLO_NEEDS_AUTH =
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time';
const NO_PASSWORD_SET =
  'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?';

export const connectionCommands: readonly LocalCommand[] = localCommands('connection', [
  {
    name: 'hello',
    arity: -1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'],
    categories: ['fast', 'connection'],
    usage: '[<protover> [AUTH <username> <password>] [SETNAME <clientname>]]',
    summary: 'Chooses the protocol, with password and name if wanted, and says who answers',
    since: '6.0.0',
    complexity: 'O(1)',
    fresh: (args) => args.length > 2,
    run: hello,
  },
  {
    name: 'auth',
    arity: -2,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'],
    categories: ['fast', 'connection'],
    usage: '[<username>] <password>',
    summary: 'Says who one is, and shows the password for it; without a name, default',
    since: '1.0.0',
    complexity: 'O(1)',
    fresh: () => true,
    run(session, args, reply) {
      if (args.length > 3) reply.error(SYNTAX_ERROR);
      else if (args.length === 2 && session.port.users.default.rules.nopass) reply.error(NO_PASSWORD_SET);
      else {
        const [name = ''] = args;
        const [user = '', password = ''] = args.length === 2 ? ['default', args[1]] : args.slice(1);
        if (session.authenticate(user, password, name)) reply.ok();
        else reply.error(WRONG_PASSWORD);
      }
    },
  },
  {
    name: 'quit',
    arity: -1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'],
    categories: ['fast', 'connection'],
    usage: '',
    summary: 'Closes the connection once the replies before it are out',
    since: '1.0.0',
    complexity: 'O(1)',
    run(session, _args, reply) {
      reply.ok();
      session.quit();
    },
  },
  {
    name: 'reset',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'no_auth', 'allow_busy'],
    categories: ['fast', 'connection'],
    summary: 'Makes the connection as it was when it was fresh',
    since: '6.2.0',
    complexity: 'O(1)',
    run(session) {
      session.reset();
      // Not into the writer from before, which may have been mute.
      session.reply.simple('RESET');
    },
  },
]);

function hello(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const protocol = args.length > 1 ? parseInteger(args[1] ?? '') : session.protocol;
  if (protocol === undefined) {
    reply.error('ERR Protocol version is not an integer or out of range');
    return;
  }
  if (protocol !== 2 && protocol !== 3) {
    reply.error('NOPROTO unsupported protocol version');
    return;
  }
  const refusal = helloOptions(session, args);
  if (refusal !== null) {
    reply.error(refusal);
    return;
  }
  session.protocol = protocol;
  reply.map(7);
  field(reply, 'server', 'redis');
  field(reply, 'version', REDIS_VERSION);
  reply.bulk('proto');
  reply.integer(protocol);
  reply.bulk('id');
  reply.integer(session.id);
  field(reply, 'mode', 'cluster');
  field(reply, 'role', session.port.engine.leading ? 'master' : 'replica');
  reply.bulk('modules');
  reply.array(0);
}

/** Carries out AUTH and SETNAME; the error if one fails or the client is still a stranger. */
function helloOptions(session: Session, args: readonly string[]): string | null {
  for (let at = 2; at < args.length; ) {
    const option = (args[at] ?? '').toLowerCase();
    if (option === 'auth' && at + 2 < args.length) {
      if (!session.authenticate(args[at + 1] ?? '', args[at + 2] ?? '', args[0] ?? '')) return WRONG_PASSWORD;
      at += 3;
    } else if (option === 'setname' && at + 1 < args.length) {
      const name = args[at + 1] ?? '';
      if (!isPlainName(name)) return PLAIN_NAME_ERROR;
      session.name = name;
      at += 2;
    } else return `ERR Syntax error in HELLO option '${args[at] ?? ''}'`;
  }
  return session.authenticated ? null : HELLO_NEEDS_AUTH;
}

function field(reply: ReplyWriter, name: string, value: string): void {
  reply.bulk(name);
  reply.bulk(value);
}
