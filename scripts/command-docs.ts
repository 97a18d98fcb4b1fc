/**
 * Writes `docs/commands.md` from the command table; with `--check`, fails when the file is not what it would write. Either
 * way it fails when a command of Redis 7.0.15 (`redis-7.0.15-commands.txt`) is neither supported nor said to have no place.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandTable } from '../src/server/table.ts';
import type { CommandSpec } from '../src/store/command.ts';
import { fixedSettings, settings } from '../src/store/settings.ts';
import { writeOrCheck } from './generated.ts';

const REDIS_COMMANDS = join(import.meta.dirname, 'redis-7.0.15-commands.txt');

/** The sections of the page: groups of the table, as redis.io has them. */
const SECTIONS: readonly (readonly [group: string, title: string])[] = [
  ['string', 'Strings'],
  ['generic', 'Keys'],
  ['list', 'Lists'],
  ['hash', 'Hashes'],
  ['set', 'Sets'],
  ['sorted-set', 'Sorted sets'],
  ['stream', 'Streams'],
  ['bitmap', 'Bitmaps'],
  ['hyperloglog', 'HyperLogLogs'],
  ['geo', 'Places'],
  ['bf', 'Bloom filters'],
  ['pubsub', 'Publish and subscribe'],
  ['transactions', 'Transactions'],
  ['scripting', 'Scripts and functions'],
  ['connection', 'Connections'],
  ['cluster', 'Cluster'],
  ['server', 'Server'],
  ['kvorum', 'Sessions'],
];

const ONE_NODE = 'Of the node that is asked.';
const NOTHING = 'Nothing has to be done.';
const ONE_DATABASE = 'There is one database, 0.';

/** Where a command does something else than in Redis. */
const NOTES: Readonly<Record<string, string>> = {
  acl: 'Users are in the log and hold on all nodes.',
  'acl load': NOTHING,
  'acl save': NOTHING,
  'acl log': ONE_NODE,
  asking: NOTHING,
  bgrewriteaof: 'A snapshot in slices; there is no fork.',
  bgsave: 'A snapshot in slices; there is no fork.',
  'client kill': ONE_NODE,
  'client list': `${ONE_NODE} Fields about buffers that there are not say 0.`,
  'client no-evict': 'Accepted; no client is closed for its memory as a whole.',
  'client pause': ONE_NODE,
  'client tracking':
    'Told by the node that the client is connected to, as it applies changes; see [Clients](clients.md#copies-that-clients-keep).',
  'client unblock': ONE_NODE,
  'cluster countkeysinslot': 'Looks at all keys.',
  'cluster getkeysinslot': 'Looks at all keys.',
  'cluster count-failure-reports': 'Always 0.',
  'cluster saveconfig': NOTHING,
  'cluster slots': 'One shard holds all slots; the leader is its master.',
  'cluster shards': 'One shard holds all slots; the leader is its master.',
  'cluster nodes': 'One shard holds all slots; the leader is its master.',
  command: 'Lists what is supported.',
  'command docs':
    'Arguments as the usages here say them: without versions, and with other names for alternatives and blocks.',
  'config get': 'The parameters of Redis that mean something here.',
  'config rewrite': NOTHING,
  'config set': 'Sets parameters of all nodes; see [CONFIG](#parameters-of-config-set).',
  'config resetstat': ONE_NODE,
  copy: ONE_DATABASE,
  failover: 'Hands leadership over, and answers when it is done. A TIMEOUT is taken and has no meaning.',
  flushall: 'ASYNC and SYNC are the same.',
  flushdb: 'ASYNC and SYNC are the same.',
  hrandfield: 'At most 2^24 elements.',
  zrandmember: 'At most 2^24 elements.',
  info: `${ONE_NODE} A section Raft, fields that mean something here.`,
  lastsave: 'Of the last snapshot since the node was started, or of its start.',
  'latency doctor': ONE_NODE,
  'latency graph': `${ONE_NODE} Drawn more plainly.`,
  'latency histogram': `${ONE_NODE} Quick commands are timed in runs.`,
  'latency history': `${ONE_NODE} Events: command, fast-command, aof-fsync-always.`,
  'latency latest': ONE_NODE,
  'latency reset': ONE_NODE,
  lolwut: 'Without a picture.',
  'memory doctor': ONE_NODE,
  'memory malloc-stats': 'There is no malloc of its own.',
  'memory purge': NOTHING,
  'memory stats': 'The fields that mean something here.',
  'memory usage': 'About what V8 takes.',
  'module list': 'Always empty.',
  monitor: 'Shows commands as this node takes them, also those that other nodes have passed on to it.',
  move: ONE_DATABASE,
  'object encoding': 'As of the value when it is set, whatever was done to it since.',
  'object freq': ONE_NODE,
  'object idletime': ONE_NODE,
  'object refcount': 'Follows from the value alone.',
  pfcount: 'Changes nothing, not even its own cache.',
  publish:
    'Goes through the log: all subscribers of all nodes see one order. Answers with those of the leader.',
  spublish: 'As PUBLISH.',
  'pubsub channels': ONE_NODE,
  'pubsub numpat': ONE_NODE,
  'pubsub numsub': ONE_NODE,
  'pubsub shardchannels': ONE_NODE,
  'pubsub shardnumsub': ONE_NODE,
  readonly: 'Redis may answer with old data; see [Clients](clients.md#reads-on-followers).',
  role: 'Offsets count log entries.',
  save: 'Takes a snapshot; other commands run meanwhile.',
  scan: 'Cursors hold on all nodes and after a failover; a step returns whole parts of the keys, often more than COUNT.',
  select: ONE_DATABASE,
  shutdown:
    'Hands leadership over and answers what is open first. Nothing is ever lost, with NOSAVE neither.',
  slowlog: `${ONE_NODE} Quick commands are timed in runs unless \`slowlog-log-slower-than\` is below 1000.`,
  swapdb: ONE_DATABASE,
  wait: 'Counts the nodes that have the writes on disk; a majority always has.',
  waitaof: 'Says 1 for this node with `--fsync always`.',
  watch: 'Two changes that lead back to a missing key do not count.',
};

const SETTINGS_NOTE = `## Parameters of CONFIG SET

They are in the log, hold on all nodes, and stay through restarts and failovers:
`;

const HEAD = `# Commands

<!-- Written by scripts/command-docs.ts from the command table: change the declarations there, then run npm run docs. -->

The commands follow Redis 7.0.15: arguments, replies and the texts of errors are the same, over RESP2 and RESP3, and compared
with a real server by random tests. Commands that are newer in Redis say since when. In some points all commands differ:

- Writes go through the log: they are answered when a majority has them on disk. A node that does not lead answers commands
  over keys with \`-MOVED\`, or passes them on; see [Clients](clients.md).
- Scores and other floating point numbers have the shortest digits that read back as the same number (0.1, not
  0.10000000000000001), as in Redis from 7.2 on.
- There is one database, and there are no modules; what Redis has as modules and is here too is listed.
- In a transaction stand commands over keys, scripts, PING, ECHO, TIME, SELECT and the like; what concerns a connection or a node
  is refused there.

What is meant to differ in single commands stands in the last column; the cases at the edges are listed in
[test/differential/README.md](../test/differential/README.md).

`;

interface Row {
  readonly name: string;
  readonly spec: CommandSpec;
}

/** Every command and subcommand, as a client writes it. */
function rows(): Row[] {
  const specs = [...new Set<CommandSpec>(commandTable.values())];
  return specs
    .flatMap((spec) => [spec, ...(spec.subcommands ?? [])])
    .map((spec) => ({ name: spec.name.replace('|', ' '), spec }));
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replace(/\.$/, '');
}

function hasHelp({ name, subcommands }: CommandSpec): boolean {
  return subcommands?.some((subcommand) => subcommand.name === `${name}|help`) === true;
}

function rowText({ name, spec }: Row): string {
  const newer = spec.since > '7.0.15' && /^\d/.test(spec.since);
  const notes = [newer ? `Since Redis ${spec.since}.` : '', NOTES[name] ?? ''].filter((note) => note !== '');
  const line = `${name.toUpperCase()} ${spec.usage ?? ''}`.trimEnd().replaceAll('|', '\\|');
  const title = `\`${line}\`${hasHelp(spec) ? `, \`${name.toUpperCase()} HELP\`` : ''}`;
  return `| ${title} | ${spec.since} | ${cell(spec.summary)} | ${notes.join(' ').replaceAll('|', '\\|')} |\n`;
}

/** The whole text of the page. Throws where it would be wrong. */
export function commandDocs(): string {
  const all = rows();
  const names = new Set(all.map(({ name }) => name));
  const missing = readFileSync(REDIS_COMMANDS, 'utf8')
    .trim()
    .split('\n')
    .filter((name) => !names.has(name));
  if (missing.length > 0)
    throw new Error(
      `commands of Redis that are neither in the table nor absent with a reason: ${missing.join(', ')}`,
    );
  const unknown = Object.keys(NOTES).filter((name) => !names.has(name));
  if (unknown.length > 0) throw new Error(`notes about commands that there are not: ${unknown.join(', ')}`);
  const groups = new Set(SECTIONS.map(([group]) => group));
  const homeless = all.filter(({ spec }) => !groups.has(spec.group));
  if (homeless.length > 0)
    throw new Error(`commands of groups without a section: ${homeless.map(({ name }) => name).join(', ')}`);
  // HELP stands in the row of its container.
  const there = all.filter(({ name, spec }) => spec.absent !== true && !name.endsWith(' help'));
  const absent = all.filter(({ spec }) => spec.absent === true);
  const sections = SECTIONS.map(([group, title]) =>
    section(
      title,
      there.filter(({ spec }) => spec.group === group),
    ),
  );
  return [HEAD, contents(), ...sections, without(absent), parameters()].join('');
}

function contents(): string {
  const titles = [...SECTIONS.map(([, title]) => title), 'What there is not', 'Parameters of CONFIG SET'];
  const links = titles.map((title) => `[${title}](#${title.toLowerCase().replaceAll(' ', '-')})`);
  return `${links.join(' · ')}\n`;
}

function section(title: string, found: readonly Row[]): string {
  const sorted = [...found].sort((one, other) => (one.name < other.name ? -1 : 1));
  return `\n## ${title}\n\n| command | since | what it does | what differs |\n|---|---|---|---|\n${sorted.map(rowText).join('')}`;
}

function without(absent: readonly Row[]): string {
  const sorted = [...absent].sort((one, other) => (one.name < other.name ? -1 : 1));
  const lines = sorted.map(({ name, spec }) => `| \`${name.toUpperCase()}\` | ${cell(spec.summary)} |\n`);
  return `\n## What there is not\n\nThese answer with an error that says why, and what to do instead:\n\n| command | answer |\n|---|---|\n${lines.join('')}`;
}

function shown(value: string): string {
  return value === '' ? '""' : value;
}

function parameters(): string {
  const lines = [...settings.values()].map(
    ({ name, initial, summary }) => `| \`${name}\` | \`${shown(initial)}\` | ${cell(summary)} |\n`,
  );
  const fixed = [...fixedSettings].flatMap(([name, value]) =>
    value === null ? [] : [`\`${name}\` (\`${shown(value)}\`)`],
  );
  const known = [...fixedSettings].flatMap(([name, value]) => (value === null ? [`\`${name}\``] : []));
  return `\n${SETTINGS_NOTE}\n| parameter | default | meaning |\n|---|---|---|\n${lines.join('')}
CONFIG GET shows also what is as it is: to set these to the value that they have is no mistake, any other is refused: ${fixed.join(', ')};
these can't be set: ${known.join(', ')}. Parameters that mean nothing here are unknown.
`;
}

if (import.meta.main) writeOrCheck('commands.md', commandDocs());
