/**
 * Every setting of a node, in one table: its flag, its variable, how its text is read, and what holds when it is
 * not given. The command line, the environment and `docs/configuration.md` all come from this table, so a new
 * setting is one field of {@link Config} and one row of {@link SETTINGS}.
 *
 * A flag wins over a variable, a variable over the default. A setting that is a secret may also be read from a
 * file, named by the variable with `_FILE` behind it, because containers hand secrets over as files.
 */
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';

import { isValidId } from '../raft/configuration.ts';
import { type MemberAddress, type NodeId, asNodeId } from '../raft/types.ts';

/** What a node is told before it starts. Made by {@link readConfig}, which has checked all of it. */
export interface Config {
  readonly id: NodeId;
  /** TCP port for Redis clients; 0 takes any free one. */
  readonly port: number;
  /** TCP port for peers and the HTTP API; 0 takes any free one. */
  readonly httpPort: number;
  /** The address that both ports are bound to. */
  readonly host: string;
  readonly dataDir: string;
  /** The members that found the cluster, this node included; `null`: none given, so a node alone founds one of its own. */
  readonly peers: readonly MemberAddress[] | null;
  /** HTTP address of any member of the cluster to join; `wait`: until `kvorum cluster add` names one. */
  readonly join: string | null;
  /** Join without ever becoming a voter, unless promoted. */
  readonly learner: boolean;
  /** The voter whose place this node takes when it has joined and caught up. */
  readonly replace: NodeId | null;
  /** Where the other nodes reach this one; `null`: the address that the HTTP port is bound to. */
  readonly httpUrl: string | null;
  /** Where clients are sent when this node leads; `null`: the address that the client port is bound to. */
  readonly announce: HostPort | null;
  readonly fsync: 'always' | 'interval' | 'never';
  /** Time between two syncs when `fsync` is `interval`. */
  readonly fsyncIntervalMs: number;
  /** A snapshot is taken when so many log entries (batches of writes) were applied since the last one… */
  readonly snapshotEntries: number;
  /** …or when those entries add up to this many bytes. */
  readonly snapshotBytes: number;
  readonly heartbeatMs: number;
  readonly clusterSecret: string | null;
  readonly password: string | null;
  readonly insecure: boolean;
  readonly maxClients: number;
  /** The longest request that a client may send, all its arguments together. */
  readonly maxRequestBytes: number;
  /** Reads are run where they come in, without a READONLY before them. */
  readonly followerReads: boolean;
  /** Requests that come to another node than the leader are passed on to it. */
  readonly proxy: boolean;
  /** How a client learns that nobody knows whether its write was run. */
  readonly unknownOutcome: UnknownOutcome;
  readonly logLevel: LogLevel;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** See `--unknown-outcome`. */
export const UNKNOWN_OUTCOMES = ['error', 'disconnect'] as const;
export type UnknownOutcome = (typeof UNKNOWN_OUTCOMES)[number];

/** One row of the table. */
export interface Setting<Value> {
  /** Long flag without the dashes; the variable's name follows from it. */
  readonly flag: string;
  /** What stands behind the flag in the help, `<port>` for example; `null` for a switch. */
  readonly argument: string | null;
  /** One sentence, without the default. */
  readonly description: string;
  /** Text that is read when nothing is given. */
  readonly default?: string;
  /** For the reader, where the default is not a fixed text but follows from other settings. */
  readonly defaultNote?: string;
  /** May be given as a file, and must never be shown. */
  readonly secret?: true;
  /** Throws a {@link Refusal} that says what a good value is. */
  readonly read: (text: string) => Value;
}

/** A wrong or missing setting. The message names the setting, the value and the remedy; no stack is needed. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** Why a text is no value for a setting; {@link readConfig} adds the flag and the text. */
class Refusal extends Error {}

const PORT_MAX = 65_535;
/** From the client port to the HTTP port when that is not given: 6380 → 7380. */
const HTTP_PORT_OFFSET = 1000;
/** More voters make every write slower without making loss much less likely. */
const PEERS_MAX = 9;
/** The election timeout is ten heartbeats, so 10 s: the longest a cluster should be without a leader by choice. */
const HEARTBEAT_MS_MAX = 1000;
/** Below this, timer granularity and a busy event loop alone would cause elections. */
const HEARTBEAT_MS_MIN = 10;
const SECRET_CHARS_MAX = 512;

export const SETTINGS: { readonly [Name in keyof Config]: Setting<NonNullable<Config[Name]>> } = {
  id: {
    flag: 'id',
    argument: '<name>',
    description: 'Name of this node in the cluster. It belongs to the data directory and is never reused.',
    default: 'n1',
    read: readId,
  },
  port: {
    flag: 'port',
    argument: '<port>',
    description: 'TCP port for Redis clients; 0 takes a free one.',
    default: '6380',
    read: wholeNumber(0, PORT_MAX),
  },
  httpPort: {
    flag: 'http-port',
    argument: '<port>',
    description: 'TCP port for the other nodes and for the HTTP API; 0 takes a free one.',
    defaultNote: `the port of this node's URL in \`--peers\` or \`--http-url\`; without both, \`--port\` + ${HTTP_PORT_OFFSET}`,
    read: wholeNumber(0, PORT_MAX),
  },
  host: {
    flag: 'host',
    argument: '<address>',
    description:
      'Address that both ports are bound to. Anything but loopback needs --cluster-secret and --password.',
    default: '127.0.0.1',
    read: readHost,
  },
  dataDir: {
    flag: 'data-dir',
    argument: '<path>',
    description: 'Directory for the log and the snapshots; made when missing, used by one node at a time.',
    default: './data',
    read: nonEmpty,
  },
  peers: {
    flag: 'peers',
    argument: '<id=url,…>',
    description:
      'The nodes that found a cluster together, this one included, for example n1=http://10.0.0.1:7380,n2=http://10.0.0.2:7380. The same text on every node. Once founded, the members are in the data directory, and this only says where they are.',
    defaultNote: 'none: a cluster of one node',
    read: readPeers,
  },
  join: {
    flag: 'join',
    argument: '<url>',
    description:
      'HTTP address of any node of a cluster: a new node asks there to be added, gets the data, and becomes a voter when it has caught up. With "wait" it waits for "kvorum cluster add". Once it is a member, this is ignored.',
    defaultNote: 'none',
    read: (text) => (text === 'wait' ? text : readUrl(text)),
  },
  learner: {
    flag: 'learner',
    argument: null,
    description: 'With --join: get the data, but no vote, until "kvorum cluster promote".',
    default: 'false',
    read: readSwitch,
  },
  replace: {
    flag: 'replace',
    argument: '<name>',
    description: 'With --join: take the place of this voter, which leaves when the new node has caught up.',
    defaultNote: 'none',
    read: readId,
  },
  httpUrl: {
    flag: 'http-url',
    argument: '<url>',
    description: 'Where the other nodes reach this one, for example http://10.0.0.4:7380.',
    defaultNote: "this node's URL in `--peers`; without peers, the address that the HTTP port is bound to",
    read: readUrl,
  },
  announce: {
    flag: 'announce',
    argument: '<host:port>',
    description: 'Address at which clients reach this node, used in redirects.',
    defaultNote: 'the address that the client port is bound to',
    read: readHostPort,
  },
  fsync: {
    flag: 'fsync',
    argument: '<mode>',
    description:
      'When the log is forced to the disk: "always" before a write is acknowledged, "interval" every --fsync-interval, "never" left to the operating system. Only "always" keeps acknowledged writes through a power failure.',
    default: 'always',
    read: oneOf(['always', 'interval', 'never']),
  },
  fsyncIntervalMs: {
    flag: 'fsync-interval',
    argument: '<ms>',
    description: 'Milliseconds between two syncs with --fsync interval.',
    default: '1000',
    read: wholeNumber(1, 60_000),
  },
  snapshotEntries: {
    flag: 'snapshot-entries',
    argument: '<count>',
    description:
      'Take a snapshot and compact the log after this many log entries. An entry is a batch of writes.',
    default: '100000',
    read: wholeNumber(1, 1_000_000_000),
  },
  snapshotBytes: {
    flag: 'snapshot-bytes',
    argument: '<size>',
    description:
      'Take a snapshot and compact the log after this many bytes of log entries. While the last snapshot was larger than this, both limits are as many times larger.',
    default: '64mb',
    read: size(1024, 2 ** 40),
  },
  heartbeatMs: {
    flag: 'heartbeat',
    argument: '<ms>',
    description:
      'Milliseconds between two heartbeats of the leader. Elections start after 10 to 20 heartbeats of silence. The same on every node.',
    default: '100',
    read: wholeNumber(HEARTBEAT_MS_MIN, HEARTBEAT_MS_MAX),
  },
  clusterSecret: {
    flag: 'cluster-secret',
    argument: '<text>',
    description: 'Secret that the nodes show each other. The same on every node.',
    defaultNote: 'none: only allowed on loopback or with `--insecure`',
    secret: true,
    read: readSecret,
  },
  password: {
    flag: 'password',
    argument: '<text>',
    description:
      'Password of the user default, which clients give with AUTH or HELLO, until ACL SETUSER default says otherwise. The same on every node.',
    defaultNote: 'none: only allowed on loopback or with `--insecure`',
    secret: true,
    read: readSecret,
  },
  insecure: {
    flag: 'insecure',
    argument: null,
    description: 'Allow an address other than loopback without a cluster secret or without a password.',
    default: 'false',
    read: readSwitch,
  },
  maxClients: {
    flag: 'max-clients',
    argument: '<count>',
    description:
      'Open client connections, or fewer where the process may not have so many files open; one more is answered with an error and closed.',
    default: '10000',
    read: wholeNumber(1, 1_000_000),
  },
  maxRequestBytes: {
    flag: 'max-request-bytes',
    argument: '<size>',
    description:
      'Longest request of a client, all arguments together; a longer one is answered with an error.',
    default: '32mb',
    // Measured: 100 MB take three nodes 4 to 5 s; with 300 MB the leader is busy for longer than an election timeout.
    read: size(1024, 128 * 2 ** 20),
  },
  followerReads: {
    flag: 'follower-reads',
    argument: null,
    description:
      'Run reads on whichever node they come to, as after READONLY; they stay linearizable, each asks the leader how far the node must be.',
    default: 'false',
    read: readSwitch,
  },
  proxy: {
    flag: 'proxy',
    argument: null,
    description:
      'Pass requests on to the leader instead of redirecting clients to it, for clients that know no redirects.',
    default: 'false',
    read: readSwitch,
  },
  unknownOutcome: {
    flag: 'unknown-outcome',
    argument: '<way>',
    description:
      'How a client learns that a write may or may not be run, since the leader changed: "error" answers -UNKNOWN, "disconnect" closes its connection, which is what libraries made for Redis understand.',
    default: 'error',
    read: oneOf(UNKNOWN_OUTCOMES),
  },
  logLevel: {
    flag: 'log-level',
    argument: '<level>',
    description: `Least serious level that is logged: ${LOG_LEVELS.join(', ')}.`,
    default: 'info',
    read: oneOf(LOG_LEVELS),
  },
};

/** `KVORUM_HTTP_PORT` for `http-port`. */
export function variableOf(setting: Pick<Setting<unknown>, 'flag'>): string {
  return `KVORUM_${setting.flag.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * Reads and checks all settings. `flags` holds the text behind each flag, by the name of its field (`true` for a
 * switch that was given). Throws a {@link ConfigError} for the first thing that is wrong.
 */
export function readConfig(
  flags: Readonly<Partial<Record<keyof Config, string | true>>>,
  environment: Readonly<Record<string, string | undefined>>,
): Config {
  const optional = <Name extends keyof Config>(name: Name): NonNullable<Config[Name]> | null =>
    readSetting(SETTINGS[name], flags[name], environment);
  const required = <Name extends keyof Config>(name: Name): NonNullable<Config[Name]> => {
    const value = optional(name);
    if (value === null) throw new ConfigError(`--${SETTINGS[name].flag} must be given`);
    return value;
  };

  const id = required('id');
  const host = required('host');
  const port = required('port');
  const peers = optional('peers');
  const httpUrl = optional('httpUrl') ?? peers?.find((peer) => peer.id === id)?.url ?? null;
  const httpPort = optional('httpPort') ?? defaultHttpPort(port, httpUrl);
  const config: Config = {
    id,
    port,
    httpPort,
    host,
    dataDir: required('dataDir'),
    peers,
    join: optional('join'),
    learner: required('learner'),
    replace: optional('replace'),
    httpUrl,
    announce: optional('announce'),
    fsync: required('fsync'),
    fsyncIntervalMs: required('fsyncIntervalMs'),
    snapshotEntries: required('snapshotEntries'),
    snapshotBytes: required('snapshotBytes'),
    heartbeatMs: required('heartbeatMs'),
    clusterSecret: optional('clusterSecret'),
    password: optional('password'),
    insecure: required('insecure'),
    maxClients: required('maxClients'),
    maxRequestBytes: required('maxRequestBytes'),
    followerReads: required('followerReads'),
    proxy: required('proxy'),
    unknownOutcome: required('unknownOutcome'),
    logLevel: required('logLevel'),
  };
  checkTogether(config);
  return config;
}

/** One setting alone, for a command that needs no node's whole configuration; `null` where it is not given. */
export function readOne<Name extends keyof Config>(
  name: Name,
  flag: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): NonNullable<Config[Name]> | null {
  return readSetting(SETTINGS[name], flag, environment);
}

/** What an operator should know about a configuration that is allowed and yet weaker than the default. */
export function warningsOf(config: Config): string[] {
  const warnings: string[] = [];
  if (!isLoopback(config.host)) {
    const missing = missingSecrets(config);
    if (missing.length > 0) {
      warnings.push(
        `--insecure: anyone who reaches ${config.host} can read and write, because there is no ${missing.join(' and no ')}`,
      );
    }
  }
  if (config.fsync !== 'always') {
    warnings.push(
      `--fsync ${config.fsync}: acknowledged writes can be lost when a majority of the nodes loses power at once`,
    );
  }
  return warnings;
}

/** Whether only programs on this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/* ---------------------------------------------------------------------------------------------- one setting ---- */

function readSetting<Value>(
  setting: Setting<Value>,
  flag: string | true | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Value | null {
  const given =
    flag === undefined
      ? fromEnvironment(setting, environment)
      : { from: `--${setting.flag}`, text: String(flag) };
  const found =
    given ?? (setting.default === undefined ? null : { from: 'the default', text: setting.default });
  if (found === null) return null;
  try {
    return setting.read(found.text);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const shown = setting.secret === true ? 'the value given' : JSON.stringify(found.text);
    throw new ConfigError(`${found.from}: ${shown} ${error.message}`);
  }
}

/** An empty variable counts as not given: that is what compose files make of one that is not set. */
function fromEnvironment(
  setting: Setting<unknown>,
  environment: Readonly<Record<string, string | undefined>>,
): { from: string; text: string } | null {
  const variable = variableOf(setting);
  const text = environment[variable] ?? '';
  const file = setting.secret === true ? (environment[`${variable}_FILE`] ?? '') : '';
  if (file === '') return text === '' ? null : { from: variable, text };
  if (text !== '') throw new ConfigError(`${variable} and ${variable}_FILE are both set; keep one of them`);
  try {
    return { from: `${variable}_FILE`, text: readFileSync(file, 'utf8').trimEnd() };
  } catch (error) {
    throw new ConfigError(`${variable}_FILE: ${JSON.stringify(file)} can't be read (${String(error)})`);
  }
}

function readId(text: string): NodeId {
  if (!isValidId(text)) throw new Refusal('is not a node id; use 1 to 64 of A-Z a-z 0-9 _ . -');
  return asNodeId(text);
}

function readHost(text: string): string {
  // URL's parser knows which names and addresses are possible, IPv6 included.
  if (text === '' || text.includes('/') || !URL.canParse(`http://${inUrl(text)}:1`)) {
    throw new Refusal('is not an address; use for example 127.0.0.1, 0.0.0.0, ::1 or a host name');
  }
  return text;
}

function readHostPort(text: string): HostPort {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > PORT_MAX) {
    throw new Refusal('is not host:port; use for example 10.0.0.1:6380 or [::1]:6380');
  }
  return { host, port };
}

function readPeers(text: string): MemberAddress[] {
  const peers = text.split(',').map(readPeer);
  if (peers.length > PEERS_MAX) {
    throw new Refusal(
      `names ${peers.length} nodes; a cluster has at most ${PEERS_MAX}, and three or five are best`,
    );
  }
  for (const [at, peer] of peers.entries()) {
    const twin = peers.slice(0, at).find(({ id, url }) => id === peer.id || url === peer.url);
    if (twin === undefined) continue;
    throw new Refusal(
      twin.id === peer.id
        ? `names node ${peer.id} twice; give every node its own id`
        : `gives ${twin.id} and ${peer.id} the same URL ${peer.url}; give every node its own`,
    );
  }
  return peers;
}

function readPeer(text: string): MemberAddress {
  const form = 'use id=url for every node, for example n1=http://10.0.0.1:7380,n2=http://10.0.0.2:7380';
  const at = text.indexOf('=');
  const id = text.slice(0, Math.max(0, at)).trim();
  if (!isValidId(id))
    throw new Refusal(`has the part ${JSON.stringify(text)} without a valid node id; ${form}`);
  const url = readOrigin(text.slice(at + 1).trim());
  if (url === null) throw new Refusal(`has no http:// URL, without a path, for node ${id}; ${form}`);
  return { id: asNodeId(id), url };
}

function readUrl(text: string): string {
  const url = readOrigin(text);
  if (url === null)
    throw new Refusal('is not an http:// URL without a path; use for example http://10.0.0.1:7380');
  return url;
}

function readOrigin(text: string): string | null {
  const url = URL.parse(text);
  if (url === null || url.protocol !== 'http:' || url.username !== '') return null;
  return url.pathname === '/' && url.search === '' && url.hash === '' ? url.origin : null;
}

function readSecret(text: string): string {
  // It travels in an HTTP header, where other characters are not allowed or not safe.
  if (!/^[\x21-\x7e]+$/.test(text) || text.length > SECRET_CHARS_MAX) {
    throw new Refusal(
      `is not usable as a secret; use 1 to ${SECRET_CHARS_MAX} printable ASCII characters, no spaces`,
    );
  }
  return text;
}

function readSwitch(text: string): boolean {
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new Refusal('is neither true nor false; use true, 1, false or 0');
}

function nonEmpty(text: string): string {
  if (text === '') throw new Refusal('is empty; give a value');
  return text;
}

function oneOf<Text extends string>(choices: readonly Text[]): (text: string) => Text {
  return (text) => {
    const choice = choices.find((known) => known === text);
    if (choice === undefined) throw new Refusal(`is not known; use one of ${choices.join(', ')}`);
    return choice;
  };
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : -1;
    if (value < min || value > max) throw new Refusal(`is not a whole number from ${min} to ${max}`);
    return value;
  };
}

const UNITS: Readonly<Record<string, number>> = { '': 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30 };

/** Bytes, with the units of Redis's configuration: 1kb is 1024. */
function size(min: number, max: number): (text: string) => number {
  return (text) => {
    const match = /^(\d{1,15})(|kb|mb|gb)$/i.exec(text);
    const unit = UNITS[match?.[2]?.toLowerCase() ?? ''] ?? 1;
    const value = match === null ? -1 : Number(match[1]) * unit;
    if (value < min || value > max) {
      throw new Refusal(
        `is not a usable size; use ${sizeText(min)} to ${sizeText(max)}, for example 1048576 or 64mb`,
      );
    }
    return value;
  };
}

function sizeText(bytes: number): string {
  if (bytes % 2 ** 30 === 0) return `${bytes / 2 ** 30}gb`;
  return bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20}mb` : `${bytes / 2 ** 10}kb`;
}

/* ------------------------------------------------------------------------------------------- settings together */

function defaultHttpPort(port: number, httpUrl: string | null): number {
  // A URL without a port means port 80.
  if (httpUrl !== null) return Number(new URL(httpUrl).port || 80);
  if (port === 0) return 0;
  if (port + HTTP_PORT_OFFSET > PORT_MAX) {
    throw new ConfigError(
      `--port: ${port} leaves no room for the HTTP port at ${port} + ${HTTP_PORT_OFFSET}; give --http-port`,
    );
  }
  return port + HTTP_PORT_OFFSET;
}

function checkTogether(config: Config): void {
  const { id, port, httpPort, host, peers, announce, join, httpUrl } = config;
  const own = peers?.find((peer) => peer.id === id);
  if (peers !== null && own === undefined) {
    const names = peers.map((peer) => peer.id).join(', ');
    throw new ConfigError(
      `--peers: names ${names} but not this node, ${id}; add ${id}=<url> or correct --id`,
    );
  }
  if (own !== undefined && own.url !== httpUrl) {
    throw new ConfigError(
      `--http-url: ${httpUrl} is not the URL of ${id} in --peers, ${own.url}; give one of the two`,
    );
  }
  checkJoin(config);
  if (port !== 0 && port === httpPort) {
    throw new ConfigError(`--http-port: ${httpPort} is also the client port; give two different ports`);
  }
  const missing = missingSecrets(config);
  if (!isLoopback(host) && !config.insecure && missing.length > 0) {
    throw new ConfigError(
      `--host: ${host} can be reached from other machines, and there is no ${missing.join(' and no ')}; give ${missing
        .map((name) => `--${name}`)
        .join(' and ')}, bind a loopback address, or accept the risk with --insecure`,
    );
  }
  const everywhere = host === '0.0.0.0' || host === '::';
  const together = join !== null || (peers?.length ?? 1) > 1;
  if (join !== null && everywhere && httpUrl === null) {
    throw new ConfigError(
      `--host: the other nodes can't reach ${host}; say with --http-url http://host:port where they reach this node`,
    );
  }
  if (together && everywhere && announce === null) {
    throw new ConfigError(
      `--host: clients can't be redirected to ${host}; say with --announce host:port where they reach this node`,
    );
  }
}

function checkJoin({ peers, join, learner, replace }: Config): void {
  if (join !== null && peers !== null) {
    throw new ConfigError(
      '--join: --peers is given too; --peers founds a cluster and --join adds a node to one, give one of them',
    );
  }
  for (const [flag, given] of [
    [SETTINGS.learner.flag, learner],
    [SETTINGS.replace.flag, replace !== null],
  ] as const) {
    if (given && (join === null || join === 'wait'))
      throw new ConfigError(
        `--${flag}: only says how to --join a cluster: give both, or say it to kvorum cluster add`,
      );
  }
  if (learner && replace !== null) {
    throw new ConfigError('--learner: a learner takes no voter’s place; leave out --learner or --replace');
  }
}

function missingSecrets(config: Config): string[] {
  const missing: string[] = [];
  if (config.clusterSecret === null) missing.push(SETTINGS.clusterSecret.flag);
  if (config.password === null) missing.push(SETTINGS.password.flag);
  return missing;
}

/** The URL of an HTTP port. */
export function httpUrlOf({ host, port }: HostPort): string {
  return `http://${inUrl(host)}:${port}`;
}

/** An IPv6 address goes into brackets in a URL. */
function inUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
