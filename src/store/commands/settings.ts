/** CONFIG SET: settings that hold on all nodes. */
import type { DataCommand } from '../command.ts';
import { SYNTAX_ERROR } from '../errors.ts';
import { fixedSettings, settings } from '../settings.ts';
import { NO_KEYS } from './positions.ts';

const IMMUTABLE = "can't set immutable config";

/** All of them are set, or none. */
const runSet: DataCommand['run'] = (context, args, reply) => {
  const values = valuesOf(args);
  if (typeof values === 'string') {
    reply.error(values);
    return;
  }
  for (const [name, value] of values) context.setMeta('settings', name, value);
  reply.ok();
};

/** What is to be set, or the text of the error. As in Redis all names are looked at before any value. */
function valuesOf(args: readonly string[]): ReadonlyMap<string, string> | string {
  if (args.length % 2 !== 0) return SYNTAX_ERROR;
  const asked = new Map<string, { readonly written: string; readonly text: string }>();
  for (let at = 2; at < args.length; at += 2) {
    const [written = '', text = ''] = args.slice(at, at + 2);
    const name = written.toLowerCase();
    if (!settings.has(name) && !fixedSettings.has(name))
      return `ERR Unknown option or number of arguments for CONFIG SET - '${written}'`;
    if (fixedSettings.get(name) === null) return failed(written, IMMUTABLE);
    if (asked.has(name)) return failed(written, 'duplicate parameter');
    asked.set(name, { written, text });
  }
  const values = new Map<string, string>();
  for (const [name, { written, text }] of asked) {
    const setting = settings.get(name);
    if (setting === undefined) {
      if (fixedSettings.get(name) !== text.toLowerCase()) return failed(written, IMMUTABLE);
      continue;
    }
    const parsed = setting.parse(text);
    if ('problem' in parsed) return failed(written, parsed.problem);
    values.set(name, parsed.value);
  }
  return values;
}

function failed(name: string, problem: string): string {
  return `ERR CONFIG SET failed (possibly related to argument '${name}') - ${problem}`;
}

export const settingCommands: readonly DataCommand[] = [
  {
    kind: 'data',
    group: 'server',
    name: 'config|set',
    arity: -4,
    write: true,
    anywhere: true,
    flags: ['write', 'admin', 'noscript', 'no_multi', 'loading', 'stale'],
    keys: NO_KEYS,
    categories: ['admin', 'slow', 'dangerous'],
    usage: '<parameter> <value> [<parameter> <value> ...]',
    summary: 'Sets parameters for all nodes, all or none.',
    since: '2.0.0',
    complexity: 'O(n) in the parameters',
    run: runSet,
  },
];
