/**
 * What Redis calls saving, failing over and shutting down, mapped to what it is here: a snapshot of the state, which makes the
 * log shorter; the leader handing leadership over; a node that stops as with SIGTERM.
 */
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../../store/errors.ts';
import { clampInteger, parseInteger } from '../../store/integer.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import type { LocalCommand, Session } from '../session.ts';
import { container, localCommands } from './container.ts';
import { notApplicableModuleSubcommands } from './not-applicable.ts';

const administrative = {
  flags: ['admin', 'noscript', 'no_async_loading'],
  categories: ['admin', 'slow', 'dangerous'],
} as const;

const NOT_SAVED = 'ERR no snapshot was taken: the log of this node says why; it still holds every write';

export const operationCommands: readonly LocalCommand[] = [
  ...localCommands('server', [
    {
      ...administrative,
      name: 'save',
      arity: 1,
      flags: ['admin', 'noscript', 'no_async_loading', 'no_multi'],
      summary: 'Takes a snapshot of this node and answers when it is on disk; nobody is held up',
      since: '1.0.0',
      complexity: 'O(n) in the keys',
      run: (session) => session.later(saved(session)),
    },
    {
      ...administrative,
      name: 'bgsave',
      arity: -1,
      usage: '[SCHEDULE]',
      summary: 'Begins to take a snapshot of this node',
      since: '1.0.0',
      complexity: 'O(1)',
      run: saveInBackground,
    },
    {
      ...administrative,
      name: 'bgrewriteaof',
      arity: 1,
      summary: 'Begins to take a snapshot of this node, behind which the log is cut off',
      since: '1.0.0',
      complexity: 'O(1)',
      run({ port: { engine } }, _args, reply) {
        const { inProgress } = engine.snapshots;
        reply.simple(`Background append only file rewriting ${inProgress ? 'scheduled' : 'started'}`);
        void engine.takeSnapshot();
      },
    },
    {
      name: 'lastsave',
      arity: 1,
      flags: ['loading', 'stale', 'fast'],
      categories: ['admin', 'fast', 'dangerous'],
      summary: 'When this node last took a snapshot, or was started, in seconds since 1970',
      since: '1.0.0',
      complexity: 'O(1)',
      run: ({ port }, _args, reply) => reply.integer(port.engine.snapshots.lastAt),
    },
    {
      name: 'failover',
      arity: -1,
      flags: ['admin', 'noscript', 'stale'],
      categories: ['admin', 'slow', 'dangerous'],
      usage: '[TO <host> <port> [FORCE]] [ABORT] [TIMEOUT <milliseconds>]',
      summary: 'Hands leadership to the voter with this address, or to the one that is closest behind',
      since: '6.2.0',
      complexity: 'O(1)',
      run: failOver,
    },
    {
      name: 'shutdown',
      arity: -1,
      flags: ['admin', 'noscript', 'loading', 'stale', 'no_multi', 'allow_busy'],
      categories: ['admin', 'slow', 'dangerous'],
      usage: '[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]',
      summary: 'Hands leadership over, answers what is open, and stops this node; with SAVE after a snapshot',
      since: '1.0.0',
      complexity: 'O(1), with SAVE O(n) in the keys',
      run: shutDown,
    },
  ]),
  container(
    'server',
    {
      name: 'module',
      arity: -2,
      flags: [],
      categories: ['slow'],
      summary: 'A container for commands about modules',
      since: '4.0.0',
      complexity: 'that of the subcommand',
    },
    [
      {
        name: 'list',
        arity: 2,
        flags: ['admin', 'noscript'],
        categories: ['admin', 'slow', 'dangerous'],
        summary: 'An empty list: there are no modules.',
        since: '4.0.0',
        complexity: 'O(1)',
        run: (_session, _args, reply) => reply.array(0),
      },
      ...notApplicableModuleSubcommands,
    ],
  ),
];

async function saved({ port }: Session): Promise<(reply: ReplyWriter) => void> {
  const ok = await port.engine.takeSnapshot();
  return (reply) => (ok ? reply.ok() : reply.error(NOT_SAVED));
}

function saveInBackground({ port: { engine } }: Session, args: readonly string[], reply: ReplyWriter): void {
  const scheduled = args.length === 2 && args[1]?.toLowerCase() === 'schedule';
  const { inProgress } = engine.snapshots;
  if (args.length > 1 && !scheduled) reply.error(SYNTAX_ERROR);
  else if (inProgress && !scheduled) reply.error('ERR Background save already in progress');
  else {
    reply.simple(inProgress ? 'Background saving scheduled' : 'Background saving started');
    void engine.takeSnapshot();
  }
}

/* ---- FAILOVER ---------------------------------------------------------------------------------------------------- */

interface FailOver {
  target: { readonly host: string; readonly port: number } | null;
  timeout: boolean;
  force: boolean;
  abort: boolean;
}

function failOver(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const wanted = failOverOf(args);
  const { engine } = session.port;
  if (typeof wanted === 'string') reply.error(wanted);
  else if (wanted.abort) reply.error('ERR No failover in progress.');
  else if (!engine.leading) reply.error('ERR FAILOVER is not valid when server is a replica.');
  else {
    const others = engine.status().members.filter(({ self, role }) => !self && role !== 'learner');
    const { target } = wanted;
    const found = others.find(
      ({ client }) => client !== null && client.host === target?.host && client.port === target.port,
    );
    if (others.length === 0) reply.error('ERR FAILOVER requires connected replicas.');
    else if (engine.successor !== null) reply.error('ERR FAILOVER already in progress.');
    else if (wanted.force && (target === null || !wanted.timeout))
      reply.error('ERR FAILOVER with force option requires both a timeout and target HOST and IP.');
    else if (target !== null && found === undefined)
      reply.error('ERR FAILOVER target HOST and PORT is not a replica.');
    else {
      session.later(
        engine
          .transfer(found?.id ?? null)
          .then(
            (ok) => (later) =>
              ok
                ? later.ok()
                : later.error('ERR no other node has taken leadership; this one goes on leading'),
          ),
      );
    }
  }
}

function failOverOf(args: readonly string[]): FailOver | string {
  const wanted: FailOver = { target: null, timeout: false, force: false, abort: false };
  for (let at = 1; at < args.length; at += 1) {
    const option = (args[at] ?? '').toLowerCase();
    const left = args.length - at - 1;
    if (option === 'timeout' && left > 0 && !wanted.timeout) {
      at += 1;
      const ms = parseInteger(args[at] ?? '');
      if (ms === undefined) return NOT_AN_INTEGER;
      if (ms <= 0) return 'ERR FAILOVER timeout must be greater than 0';
      wanted.timeout = true;
    } else if (option === 'abort' && args.length === 2) wanted.abort = true;
    else if (option === 'to' && left > 1 && wanted.target === null) {
      const port = parseInteger(args[at + 2] ?? '');
      if (port === undefined) return NOT_AN_INTEGER;
      wanted.target = { host: args[at + 1] ?? '', port: clampInteger(port) };
      at += 2;
    } else if (option === 'force' && !wanted.force) wanted.force = true;
    else return SYNTAX_ERROR;
  }
  return wanted;
}

/* ---- SHUTDOWN ---------------------------------------------------------------------------------------------------- */

/** NOW and FORCE change nothing: no replica is waited for that is not asked to lead, and nothing unsaved can be lost. */
const SHUTDOWN_OPTIONS: ReadonlySet<string> = new Set(['save', 'nosave', 'now', 'force', 'abort']);

function shutDown(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const options = args.slice(1).map((option) => option.toLowerCase());
  const has = (option: string): boolean => options.includes(option);
  if (
    options.some((option) => !SHUTDOWN_OPTIONS.has(option)) ||
    (has('save') && has('nosave')) ||
    (has('abort') && options.length > 1)
  )
    reply.error(SYNTAX_ERROR);
  else if (has('abort')) reply.error('ERR No shutdown in progress.');
  else if (!has('save')) session.port.shutDown();
  else {
    session.later(
      session.port.engine.takeSnapshot().then((ok) => {
        if (ok) session.port.shutDown();
        return (later) => {
          if (!ok) later.error('ERR Errors trying to SHUTDOWN. Check logs.');
        };
      }),
    );
  }
}
