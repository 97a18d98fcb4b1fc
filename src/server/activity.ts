/**
 * What the commands of a node come to: how often each ran and how long it took, errors, SLOWLOG, LATENCY, MONITOR. Each node
 * counts what it runs for clients; what it applies for others as a follower is not counted.
 *
 * A clock call costs about as much as a tenth of a GET. So what certainly takes no long time (`quick`) is timed by the run of
 * such commands: what the run took is shared evenly. Everything else is timed one by one; and all is, where a setting asks
 * for times below a millisecond.
 *
 * ```
 *   begin ─ GET GET INCR ─┬─ SUNION ─┬─ GET SET ─ end       each ┬ and the ends: one look at the clock
 * ```
 */
import type { CommandSpec } from '../store/command.ts';
import type { Clock } from './clock.ts';
import { Histogram } from './histogram.ts';
import { LatencyMonitor } from './latency.ts';
import { Monitors } from './monitors.ts';
import { SlowLog } from './slow-log.ts';

/** Quick commands that share a look at the clock. */
const RUN_MAX = 64;
/** In µs: a threshold below it needs the time of each command. */
const EXACT_BELOW = 1000;
/** Kinds of errors that are counted by name. */
const ERROR_NAMES_MAX = 128;

/** Writes that replace a value, like those with the flag `fast`, take no long time whatever is there. */
const QUICK: ReadonlySet<string> = new Set(['set', 'setex', 'psetex', 'getset']);

/** A client, for SLOWLOG. */
export interface Caller {
  readonly remoteAddress?: string;
  readonly name?: string;
}

export class CommandStatistics {
  calls = 0;
  /** Turned away before they ran, and answered with an error. */
  rejected = 0;
  failed = 0;
  microseconds = 0;
  readonly quick: boolean;
  readonly fast: boolean;
  readonly logged: boolean;
  histogram: Histogram | null = null;

  constructor({ name, flags }: Pick<CommandSpec, 'name' | 'flags'>) {
    this.fast = flags.includes('fast');
    this.quick = this.fast || QUICK.has(name);
    this.logged = !flags.includes('skip_slowlog');
  }

  took(microseconds: number, bucket: number): void {
    this.microseconds += microseconds;
    this.histogram ??= new Histogram();
    this.histogram.add(bucket);
  }
}

export class Activity {
  readonly slowLog: SlowLog = new SlowLog();
  readonly latency: LatencyMonitor = new LatencyMonitor();
  readonly monitors: Monitors = new Monitors();
  readonly #clock: Pick<Clock, 'monotonic' | 'wall'>;
  #commands = new Map<string, CommandStatistics>();
  #errors = new Map<string, number>();
  #errorCount = 0;
  #errorsSeen = 0;
  /** In µs; below 0: nothing is slow. */
  #slowerThan = -1;
  #exact = false;
  #lookedAt = 0;
  /** Quick commands since then. */
  readonly #run: CommandStatistics[] = [];
  #running: CommandStatistics | null = null;

  constructor(clock: Pick<Clock, 'monotonic' | 'wall'>) {
    this.#clock = clock;
  }

  /** Takes over what the settings say. */
  configure(setting: (name: string) => number): void {
    this.#slowerThan = setting('slowlog-log-slower-than');
    this.slowLog.lengthMax = setting('slowlog-max-len');
    this.latency.threshold = setting('latency-monitor-threshold');
    this.#exact = this.#slowerThan >= 0 && this.#slowerThan < EXACT_BELOW;
  }

  /** Of each command that ran or was turned away, by name. */
  get commands(): ReadonlyMap<string, CommandStatistics> {
    return this.#commands;
  }

  /** How often each kind of error was answered. */
  get errors(): ReadonlyMap<string, number> {
    return this.#errors;
  }

  get errorCount(): number {
    return this.#errorCount;
  }

  reset(): void {
    this.#commands = new Map();
    this.#errors = new Map();
    this.#errorCount = 0;
    this.#errorsSeen = 0;
    this.#running = null;
  }

  /* ---- commands ------------------------------------------------------------------------------------------------ */

  /** Commands follow. */
  begin(): void {
    this.#lookedAt = this.#clock.monotonic();
    this.#errorsSeen = this.#errorCount;
  }

  /** The next command is about to run. */
  starts(command: Pick<CommandSpec, 'name' | 'flags'>): void {
    const running = this.#of(command);
    this.#running = running;
    if (this.#run.length > 0 && (!running.quick || this.#exact)) this.#endRun();
  }

  /** It has run. */
  ran(args: readonly string[], caller: Caller): void {
    const ran = this.#running;
    if (ran === null) return;
    ran.calls += 1;
    if (this.#errorsSeen !== this.#errorCount) {
      this.#errorsSeen = this.#errorCount;
      ran.failed += 1;
    }
    if (ran.quick && !this.#exact) {
      this.#run.push(ran);
      if (this.#run.length === RUN_MAX) this.#endRun();
      return;
    }
    const now = this.#clock.monotonic();
    const microseconds = (now - this.#lookedAt) * 1000;
    this.#lookedAt = now;
    ran.took(microseconds, Histogram.bucketOf(microseconds));
    if (this.#slowerThan >= 0 && microseconds >= this.#slowerThan && ran.logged)
      this.slowLog.add(Math.round(microseconds), args, caller, this.#seconds());
    if (this.latency.threshold > 0)
      this.latency.add(ran.fast ? 'fast-command' : 'command', microseconds / 1000, this.#seconds());
  }

  /** It goes on as another one, which counts. */
  passedOn(): void {
    this.#running = null;
  }

  /** No more commands for now. */
  end(): void {
    if (this.#run.length > 0) this.#endRun();
  }

  /** One that takes no time worth a look at the clock. */
  counts(command: Pick<CommandSpec, 'name' | 'flags'>): void {
    this.#of(command).calls += 1;
  }

  /** It was turned away before it ran. */
  rejected(command: Pick<CommandSpec, 'name' | 'flags'>): void {
    this.#of(command).rejected += 1;
  }

  /** A client was answered with an error. */
  readonly errored = (text: string): void => {
    this.#errorCount += 1;
    const end = text.indexOf(' ');
    const name = end === -1 ? text : text.slice(0, end);
    const count = this.#errors.get(name);
    if (count !== undefined || this.#errors.size < ERROR_NAMES_MAX) this.#errors.set(name, (count ?? 0) + 1);
  };

  /** Something other than a command took so many ms. */
  took(event: 'aof-fsync-always', ms: number): void {
    if (this.latency.threshold > 0) this.latency.add(event, ms, this.#seconds());
  }

  #endRun(): void {
    const now = this.#clock.monotonic();
    const each = ((now - this.#lookedAt) * 1000) / this.#run.length;
    this.#lookedAt = now;
    const bucket = Histogram.bucketOf(each);
    for (const ran of this.#run) ran.took(each, bucket);
    this.#run.length = 0;
  }

  #of(command: Pick<CommandSpec, 'name' | 'flags'>): CommandStatistics {
    let found = this.#commands.get(command.name);
    if (found === undefined) {
      found = new CommandStatistics(command);
      this.#commands.set(command.name, found);
    }
    return found;
  }

  #seconds(): number {
    return Math.floor(this.#clock.wall() / 1000);
  }
}
