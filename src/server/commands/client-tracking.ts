/** CLIENT TRACKING and its kin: what a connection wants to hear of what it has read; see `tracking.ts`. */
import { NOT_AN_INTEGER, SYNTAX_ERROR } from '../../store/errors.ts';
import { clampInteger, parseInteger } from '../../store/integer.ts';
import type { ReplyWriter } from '../../store/reply.ts';
import type { Session } from '../session.ts';
import type { Tracker, TrackingOptions } from '../tracking.ts';
import type { SubcommandSpec } from './container.ts';

const shared = {
  flags: ['noscript', 'loading', 'stale'],
  categories: ['slow', 'connection'],
  complexity: 'O(1)',
  since: '6.0.0',
} as const;

export const trackingSubcommands: readonly SubcommandSpec[] = [
  {
    ...shared,
    name: 'tracking',
    usage: '(ON|OFF) [REDIRECT <client-id>] [PREFIX <prefix> ...] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]',
    arity: -3,
    summary: 'Whether this connection is told when what it has read changes on this node.',
    run: track,
  },
  {
    ...shared,
    name: 'caching',
    usage: '(YES|NO)',
    arity: 3,
    summary: 'Whether the next command or transaction is remembered, with OPTIN or OPTOUT.',
    run: caching,
  },
  {
    ...shared,
    name: 'getredir',
    arity: 2,
    summary: 'The connection that is told instead of this one; 0 for none, -1 without tracking.',
    run: (session, _args, reply) => reply.integer(redirectOf(session)),
  },
  {
    ...shared,
    name: 'trackinginfo',
    arity: 2,
    summary: 'What this connection tracks.',
    since: '6.2.0',
    run: info,
  },
];

/** As CLIENT LIST shows it. */
export function redirectOf({ tracker }: Session): number {
  return tracker === null ? -1 : tracker.options.redirect;
}

function track(session: Session, args: readonly string[], reply: ReplyWriter): void {
  const wanted = wantedOf(session, args);
  if (typeof wanted === 'string') {
    reply.error(wanted);
    return;
  }
  const { tracking } = session.port;
  const { tracker } = session;
  switch ((args[2] ?? '').toLowerCase()) {
    case 'on': {
      const refusal = refusalOf(tracker, wanted);
      if (refusal !== null) {
        reply.error(refusal);
        return;
      }
      const { redirect, broadcast, optIn, optOut, noLoop, prefixes } = wanted;
      const choice = optIn ? 'in' : optOut ? 'out' : null;
      const options: TrackingOptions = { redirect, broadcast, choice, noLoop };
      session.tracker = tracking.start(tracker, session, options, prefixes);
      reply.ok();
      break;
    }
    case 'off':
      if (tracker !== null) tracking.end(tracker);
      session.tracker = null;
      reply.ok();
      break;
    default:
      reply.error(SYNTAX_ERROR);
  }
}

interface Wanted {
  redirect: number;
  broadcast: boolean;
  optIn: boolean;
  optOut: boolean;
  noLoop: boolean;
  readonly prefixes: string[];
}

/** The options, or the text of the error. */
function wantedOf({ port }: Session, args: readonly string[]): Wanted | string {
  const wanted: Wanted = {
    redirect: 0,
    broadcast: false,
    optIn: false,
    optOut: false,
    noLoop: false,
    prefixes: [],
  };
  for (let at = 3; at < args.length; at += 1) {
    const option = (args[at] ?? '').toLowerCase();
    const value = args[at + 1];
    if (option === 'redirect' && value !== undefined) {
      if (wanted.redirect !== 0) return 'ERR A client can only redirect to a single other client';
      const id = parseInteger(value);
      if (id === undefined) return NOT_AN_INTEGER;
      wanted.redirect = clampInteger(id);
      if (!port.sessions.has(wanted.redirect)) return 'ERR The client ID you want redirect to does not exist';
      at += 1;
    } else if (option === 'prefix' && value !== undefined) {
      wanted.prefixes.push(value);
      at += 1;
    } else if (option === 'bcast') wanted.broadcast = true;
    else if (option === 'optin') wanted.optIn = true;
    else if (option === 'optout') wanted.optOut = true;
    else if (option === 'noloop') wanted.noLoop = true;
    else return SYNTAX_ERROR;
  }
  return wanted;
}

/** Why the options don't go together, or not with what is tracked already. */
function refusalOf(tracker: Tracker | null, wanted: Wanted): string | null {
  const { broadcast, optIn, optOut, prefixes } = wanted;
  const before = tracker?.options;
  if (!broadcast && prefixes.length > 0) return 'ERR PREFIX option requires BCAST mode to be enabled';
  if (before !== undefined && before.broadcast !== broadcast)
    return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.";
  if (broadcast && (optIn || optOut)) return 'ERR OPTIN and OPTOUT are not compatible with BCAST';
  if (optIn && optOut) return "ERR You can't specify both OPTIN mode and OPTOUT mode";
  if ((optIn && before?.choice === 'out') || (optOut && before?.choice === 'in'))
    return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.";
  return broadcast ? collisionOf(tracker?.prefixes ?? new Set(), prefixes) : null;
}

function collisionOf(existing: ReadonlySet<string>, prefixes: readonly string[]): string | null {
  const overlap = (one: string, other: string): boolean => one.startsWith(other) || other.startsWith(one);
  for (const [at, prefix] of prefixes.entries()) {
    const old = [...existing].sort().find((each) => overlap(each, prefix));
    if (old !== undefined)
      return `ERR Prefix '${prefix}' overlaps with an existing prefix '${old}'. Prefixes for a single client must not overlap.`;
    const other = prefixes.slice(at + 1).find((each) => overlap(each, prefix));
    if (other !== undefined)
      return `ERR Prefix '${prefix}' overlaps with another provided prefix '${other}'. Prefixes for a single client must not overlap.`;
  }
  return null;
}

function caching({ tracker }: Session, args: readonly string[], reply: ReplyWriter): void {
  const answer = (args[2] ?? '').toLowerCase();
  if (tracker === null)
    reply.error(
      'ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled',
    );
  else if (answer === 'yes' && tracker.options.choice !== 'in')
    reply.error('ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.');
  else if (answer === 'no' && tracker.options.choice !== 'out')
    reply.error('ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.');
  else if (answer !== 'yes' && answer !== 'no') reply.error(SYNTAX_ERROR);
  else {
    tracker.caching = true;
    reply.ok();
  }
}

function info(session: Session, _args: readonly string[], reply: ReplyWriter): void {
  const { tracker } = session;
  const flags = flagsOf(tracker);
  const prefixes = [...(tracker?.prefixes ?? [])].sort();
  reply.map(3);
  reply.bulk('flags');
  reply.set(flags.length);
  for (const flag of flags) reply.bulk(flag);
  reply.bulk('redirect');
  reply.integer(redirectOf(session));
  reply.bulk('prefixes');
  reply.array(prefixes.length);
  for (const prefix of prefixes) reply.bulk(prefix);
}

function flagsOf(tracker: Tracker | null): string[] {
  if (tracker === null) return ['off'];
  const { broadcast, choice, noLoop } = tracker.options;
  const flags = ['on'];
  if (broadcast) flags.push('bcast');
  if (choice !== null) flags.push(`opt${choice}`);
  if (choice !== null && tracker.caching) flags.push(choice === 'in' ? 'caching-yes' : 'caching-no');
  if (noLoop) flags.push('noloop');
  if (tracker.redirectBroken) flags.push('broken_redirect');
  return flags;
}
