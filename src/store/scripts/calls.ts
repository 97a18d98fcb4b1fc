/**
 * The commands that a script calls: in the entry of the script and as part of it, so with its time and its randomness,
 * and without the client's connection.
 */
import { type Rights, sortDenialText } from '../acl/rights.ts';
import { hasArity } from '../arity.ts';
import type { DataCommand } from '../command.ts';
import type { Context, Wait } from '../context.ts';
import type { EventClass } from '../listener.ts';
import type { Meta, MetaTable } from '../meta.ts';
import { OUT_OF_MEMORY } from '../errors.ts';
import { stepsOf } from './costs.ts';
import type { ScriptHost } from './host.ts';
import { RedisRandom } from './random.ts';
import type { Recording } from './recording.ts';

/** What a run may not do. */
export interface ScriptLimits {
  readonly readOnly: boolean;
  readonly full: boolean;
}

/** How scripts find commands. */
export interface CommandFinder {
  /** The command or subcommand that the arguments name. */
  find(args: readonly string[]): DataCommand | undefined;
  /** Whether it is a command with subcommands. */
  isContainer(name: string): boolean;
  rightsOf(meta: Meta, user: string): Rights;
}

const UNKNOWN = 'Unknown Redis command called from script';
const WRONG_ARITY = 'Wrong number of args calling Redis command from script';
const NOT_ALLOWED = 'This Redis command is not allowed from script';
const READ_ONLY = 'Write commands are not allowed from read-only scripts.';
const DENIALS = {
  command: "The user executing the script can't run this command or subcommand",
  key: "The user executing the script can't access at least one of the keys mentioned in the command arguments",
  channel: "The user executing the script can't publish to the channel mentioned in the command",
} as const;
const REFUSED_STEPS = 1000;
/** Bytes that a command adds to the keyspace at the price of a step. */
const BYTES_PER_STEP = 4;
const RANGE_32 = 0x1_0000_0000;

/**
 * Commands that a node answers by itself, each in its own way: a script, which runs on every node, must not see that. Redis
 * lets scripts call some of them.
 */
const ELSEWHERE: ReadonlySet<string> = new Set(
  (
    'acl asking auth bgrewriteaof bgsave client cluster command config debug discard exec failover hello info ' +
    'kvorum.session lastsave latency lolwut memory migrate module monitor multi object pfdebug pfselftest psubscribe ' +
    'psync pubsub punsubscribe quit readonly ' +
    'readwrite replconf replicaof reset restore-asking role save shutdown slaveof slowlog ssubscribe subscribe sunsubscribe ' +
    'swapdb sync unsubscribe unwatch wait waitaof watch'
  ).split(' '),
);

/** What the commands see: the script's context, in which nobody waits and nobody is counted. */
class CallContext implements Context {
  readonly keyspace: Context['keyspace'];
  readonly once: Context['once'];
  readonly meta: Context['meta'];
  readonly now: number;
  /** No script runs inside another one. */
  scriptSteps = 0;
  user: string | null;
  readonly #outer: Context;

  constructor(outer: Context) {
    this.#outer = outer;
    this.keyspace = outer.keyspace;
    this.once = outer.once;
    this.meta = outer.meta;
    this.now = outer.now;
    this.user = outer.user;
  }

  random(): number {
    return this.#outer.random();
  }

  setMeta(table: MetaTable, key: string, value: string | null): void {
    this.#outer.setMeta(table, key, value);
  }

  notify(type: EventClass, event: string, key: string): void {
    this.#outer.notify(type, event, key);
  }

  refused(user: string, reason: 'command' | 'key' | 'channel', object: string): void {
    this.#outer.refused(user, reason, object);
  }

  /** How many get the message differs from node to node, and a script could do something with the number. */
  publish(channel: string, message: string, sharded: boolean): number {
    this.#outer.publish(channel, message, sharded);
    return 0;
  }

  wait(_wait: Wait): boolean {
    return false;
  }
}

/** What a script sees must be the same on every node. Of messages that is seen to by {@link CallContext}. */
function allowed({ flags, write, replyVaries }: DataCommand): boolean {
  if (flags.includes('noscript') || flags.includes('no_multi')) return false;
  return write || replyVaries !== true;
}

export class ScriptCalls implements ScriptHost {
  protocol: 2 | 3 = 2;
  readonly random: RedisRandom = new RedisRandom();
  readonly #finder: CommandFinder;
  readonly #context: Context;
  readonly #readOnly: boolean;
  /** Whether commands that need memory are refused until one has written. */
  readonly #full: boolean;
  /** Of the user who runs the script; null: all. */
  readonly #rights: Rights | null;
  #wrote = false;
  #callSteps = 0;

  constructor(finder: CommandFinder, context: Context, { readOnly, full }: ScriptLimits) {
    this.#finder = finder;
    this.#context = new CallContext(context);
    this.#readOnly = readOnly;
    this.#full = full;
    this.#rights = context.user === null ? null : finder.rightsOf(context.meta, context.user);
    this.random.seed(Math.floor(context.random() * RANGE_32));
  }

  get wrote(): boolean {
    return this.#wrote;
  }

  get callSteps(): number {
    return this.#callSteps;
  }

  call(args: readonly string[], reply: Recording): string | null {
    reply.clear();
    this.#callSteps = REFUSED_STEPS;
    const command = this.#finder.find(args);
    if (command === undefined) return this.#missing(args);
    if (!hasArity(command, args)) return WRONG_ARITY;
    if (!allowed(command)) return NOT_ALLOWED;
    const denial = this.#denial(command, args);
    if (denial !== null) return denial;
    const { keyspace } = this.#context;
    if (command.write && this.#readOnly) return READ_ONLY;
    if (this.#full && !this.#wrote && command.flags.includes('denyoom')) return `-${OUT_OF_MEMORY}`;
    this.#callSteps = stepsOf(command, args, keyspace);
    const before = keyspace.bytes;
    if (command.write) this.#wrote = true;
    command.run(this.#context, args, reply);
    if (command.write) {
      keyspace.settle();
      this.#callSteps += Math.max(0, keyspace.bytes - before) / BYTES_PER_STEP;
    }
    return null;
  }

  knows(args: readonly string[]): boolean {
    const name = (args[0] ?? '').toLowerCase();
    if (this.#finder.find(args) !== undefined || ELSEWHERE.has(name)) return true;
    return args.length === 1 && this.#finder.isContainer(name);
  }

  permits(args: readonly string[]): boolean {
    if (this.#rights === null) return true;
    const command = this.#finder.find(args);
    return command !== undefined && this.#rights.check(command, args) === null;
  }

  /** Why the user who runs the script may not run this. */
  #denial(command: DataCommand, args: readonly string[]): string | null {
    if (this.#rights === null) return null;
    const denial = this.#rights.check(command, args);
    if (denial !== null) {
      const object = denial.reason === 'command' ? command.name : (args[denial.position] ?? '');
      this.#context.refused(this.#context.user ?? '', denial.reason, object);
      return DENIALS[denial.reason];
    }
    const option = this.#rights.deniedOptionOfSort(command, args);
    return option === null ? null : `-${sortDenialText(option)}`;
  }

  #missing(args: readonly string[]): string {
    const name = (args[0] ?? '').toLowerCase();
    if (ELSEWHERE.has(name)) return NOT_ALLOWED;
    return args.length === 1 && this.#finder.isContainer(name) ? WRONG_ARITY : UNKNOWN;
  }
}
