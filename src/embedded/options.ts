/**
 * What a store can be told. Every option is checked before anything is opened; an error names the option, the value
 * and what is expected.
 */
import { MAX_STRING_BYTES } from '../store/bytes.ts';
import type { Compression } from './compression.ts';
import { StoreError } from './errors.ts';

/**
 * Which entry goes when a full store takes another one: the least recently used (`lru`), the least frequently used (`lfu`), any
 * (`random`), the one that expires first (`ttl`). With `none`, and with `ttl` when none of them expires, the write is refused with
 * `STORE_FULL`.
 */
export type Eviction = 'none' | 'lru' | 'lfu' | 'random' | 'ttl';

/**
 * What is kept on disk.
 * - `none`: nothing.
 * - `wal`: every write, in a log that only a call of `snapshot()` makes shorter.
 * - `snapshot`: all of it from time to time; what was written since the last snapshot is lost with the process.
 * - `hybrid`: every write, and a snapshot whenever the log has become long.
 */
export type Persistence = 'none' | 'wal' | 'snapshot' | 'hybrid';

/**
 * When a write counts as durable: `always` after it was forced to the disk, together with all that came meanwhile; `interval`
 * after it was handed to the operating system, which is forced every `syncInterval` ms; `never` leaves that to the system.
 * The latter two survive a crash of the process, not a power failure.
 */
export type Sync = 'always' | 'interval' | 'never';

/** What `open` takes. A value that makes no sense is refused with `INVALID_OPTION`, and the message names it. */
export interface StoreOptions {
  /** Where the data is kept; made when missing, open in one process at a time. Needed for every `persistence` but `none`. */
  directory?: string;
  /** What is kept on disk. Default: `hybrid` with a directory, `none` without. */
  persistence?: Persistence;
  /** When a write counts as durable. Default: `always`. */
  sync?: Sync;
  /** Milliseconds, for `sync: 'interval'`: 1 to 2^31 − 1. Default: 1000. */
  syncInterval?: number;
  /** Milliseconds between two snapshots, up to 2^31 − 1; 0 for none. Default: 300 000 with `snapshot`, else 0. */
  snapshotInterval?: number;
  /** Bytes of log, at least 1, after which `hybrid` takes a snapshot, or as many as the last one had if that is more. Default: 64 MiB. */
  snapshotBytes?: number;
  /** Whether `close` takes a snapshot. Default: true with `snapshot`, else false. */
  snapshotOnClose?: boolean;
  /** Snapshots that stay in the directory: 1 to 1000. Default: 2. */
  keepSnapshots?: number;
  /** How snapshots are written, those in files of their own, too. All are read, whatever it says. Default: `none`. */
  snapshotCompression?: Compression;
  /** Bytes of a key, 1 to 512 MiB − 24; more is refused with `KEY_TOO_LARGE`. Default: 512 MiB − 24. */
  maxKeySize?: number;
  /** Bytes of a value, 1 to 512 MiB − 24; more is refused with `VALUE_TOO_LARGE`. Default: 512 MiB − 24. */
  maxValueSize?: number;
  /** Keys in the store, at least 1; what comes of more `eviction` says. Only a script can make more. Default: `Infinity`. */
  maxEntries?: number;
  /**
   * How strings that `set`, batches and transactions write are held, in memory and on disk, where they are long enough and become
   * shorter. All calls show the string itself. Default: `none`.
   */
  valueCompression?: Compression;
  /** Bytes from which on a value is long enough for `valueCompression`: 1 to 512 MiB − 24. Default: 1024. */
  valueCompressionMinSize?: number;
  /** What goes when `maxEntries` is reached. Default: `none`. */
  eviction?: Eviction;
  /** Milliseconds that a key lives that `set`, a batch or a transaction sets without another time; 0 for ever. Default: 0. */
  defaultTtl?: number;
  /** Whether `get` and `getBuffer` of an entry that has a deadline move it to `defaultTtl` from now, to within a sixteenth. Default: false. */
  refreshTtlOnAccess?: boolean;
  /** Whether entries know when they were made and last changed, for `getEntry`, at some 50 bytes of memory each. Default: false. */
  timestamps?: boolean;
  /** Milliseconds between two looks for expired entries, which nobody sees meanwhile: 1 to 2^31 − 1. Default: 100. */
  cleanupInterval?: number;
  /** Open a directory whose log has lost acknowledged writes at its end to damage, and go on with what is left. Default: false. */
  acceptLoss?: boolean;
  /**
   * Called when an entry has made room, with the text that was its value; null if it was no string. What it throws is an uncaught
   * exception of the program.
   */
  onEvict?: (key: string, value: string | null) => void;
  /** Called when an entry has expired, likewise. */
  onExpire?: (key: string, value: string | null) => void;
}

/** All of them, complete. */
export type Settings = Required<Omit<StoreOptions, 'directory' | 'onEvict' | 'onExpire'>> & {
  readonly directory: string | null;
  readonly onEvict: NonNullable<StoreOptions['onEvict']> | null;
  readonly onExpire: NonNullable<StoreOptions['onExpire']> | null;
};

const MIB = 1024 * 1024;
/** Node's timers hold no longer time. */
const MS_MAX = 2 ** 31 - 1;

const KNOWN: ReadonlySet<string> = new Set([
  'directory',
  'persistence',
  'sync',
  'syncInterval',
  'snapshotInterval',
  'snapshotBytes',
  'snapshotOnClose',
  'keepSnapshots',
  'snapshotCompression',
  'maxKeySize',
  'maxValueSize',
  'maxEntries',
  'valueCompression',
  'valueCompressionMinSize',
  'eviction',
  'defaultTtl',
  'refreshTtlOnAccess',
  'timestamps',
  'cleanupInterval',
  'acceptLoss',
  'onEvict',
  'onExpire',
]);

export function settingsOf(options: StoreOptions): Settings {
  // What has no options of its own would be a store in memory, of which nothing is kept.
  if (typeof options !== 'object' || options instanceof URL)
    throw new StoreError(
      'INVALID_OPTION',
      `${show(options)}: expected the path of a directory as a string, or an object of options`,
    );
  for (const name of Object.keys(options))
    if (!KNOWN.has(name)) throw invalid(name, 'is no option', `one of ${[...KNOWN].join(', ')}`);
  const { directory = null, onEvict = null, onExpire = null } = options;
  if (directory !== null && (typeof directory !== 'string' || directory === ''))
    throw invalid('directory', show(directory), 'a path');
  const persistence = choice(
    options,
    'persistence',
    ['none', 'wal', 'snapshot', 'hybrid'],
    directory === null ? 'none' : 'hybrid',
  );
  if (persistence !== 'none' && directory === null)
    throw invalid('persistence', show(persistence), 'a directory beside it, or "none"');
  const settings: Settings = {
    directory,
    persistence,
    sync: choice(options, 'sync', ['always', 'interval', 'never'], 'always'),
    syncInterval: whole(options, 'syncInterval', 1, MS_MAX, 1000),
    snapshotInterval: whole(options, 'snapshotInterval', 0, MS_MAX, persistence === 'snapshot' ? 300_000 : 0),
    snapshotBytes: whole(options, 'snapshotBytes', 1, Number.MAX_SAFE_INTEGER, 64 * MIB),
    snapshotOnClose: flag(options, 'snapshotOnClose', persistence === 'snapshot'),
    keepSnapshots: whole(options, 'keepSnapshots', 1, 1000, 2),
    snapshotCompression: choice(options, 'snapshotCompression', ['none', 'gzip', 'zstd'], 'none'),
    maxKeySize: whole(options, 'maxKeySize', 1, MAX_STRING_BYTES, MAX_STRING_BYTES),
    maxValueSize: whole(options, 'maxValueSize', 1, MAX_STRING_BYTES, MAX_STRING_BYTES),
    maxEntries:
      options.maxEntries === Infinity
        ? Infinity
        : whole(options, 'maxEntries', 1, Number.MAX_SAFE_INTEGER, Infinity),
    valueCompression: choice(options, 'valueCompression', ['none', 'gzip', 'zstd'], 'none'),
    valueCompressionMinSize: whole(options, 'valueCompressionMinSize', 1, MAX_STRING_BYTES, 1024),
    eviction: choice(options, 'eviction', ['none', 'lru', 'lfu', 'random', 'ttl'], 'none'),
    defaultTtl: whole(options, 'defaultTtl', 0, Number.MAX_SAFE_INTEGER, 0),
    refreshTtlOnAccess: flag(options, 'refreshTtlOnAccess', false),
    timestamps: flag(options, 'timestamps', false),
    cleanupInterval: whole(options, 'cleanupInterval', 1, MS_MAX, 100),
    acceptLoss: flag(options, 'acceptLoss', false),
    onEvict: callback('onEvict', onEvict),
    onExpire: callback('onExpire', onExpire),
  };
  if (settings.refreshTtlOnAccess && settings.defaultTtl === 0)
    throw invalid(
      'refreshTtlOnAccess',
      'true',
      'a defaultTtl beside it, which says how long entries live on',
    );
  return settings;
}

function choice<const T extends string>(
  options: StoreOptions,
  name: keyof StoreOptions,
  choices: readonly T[],
  fallback: NoInfer<T>,
): T {
  const value = options[name];
  if (value === undefined) return fallback;
  const found = choices.find((each) => each === value);
  if (found === undefined) throw invalid(name, show(value), choices.map(show).join(', '));
  return found;
}

function whole(
  options: StoreOptions,
  name: keyof StoreOptions,
  min: number,
  max: number,
  fallback: number,
): number {
  const value = options[name];
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max)
    throw invalid(name, show(value), `a whole number from ${min} to ${max}`);
  return value;
}

function flag(options: StoreOptions, name: keyof StoreOptions, fallback: boolean): boolean {
  const value = options[name];
  if (value === undefined) return fallback;
  if (typeof value !== 'boolean') throw invalid(name, show(value), 'true or false');
  return value;
}

function callback<T>(name: string, value: T): T {
  if (value !== null && typeof value !== 'function') throw invalid(name, show(value), 'a function');
  return value;
}

function show(value: unknown): string {
  return typeof value === 'function' ? 'a function' : (JSON.stringify(value) ?? String(value));
}

function invalid(name: string, value: string, expected: string): StoreError {
  return new StoreError('INVALID_OPTION', `option ${name}: ${value}; expected ${expected}`);
}
