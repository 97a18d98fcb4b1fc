/**
 * The same random commands at a real redis-server and at a real kvorum node, reply by reply.
 *
 *   npm run test:differential -- [--commands N] [--seed FIRST] [--groups a,b] [--protocol 2|3]
 *
 * Commands come in sequences of {@link SEQUENCE}, each from a seed of its own and on an empty server; all groups mix, so that types meet
 * on the same keys. The first difference is cut down to the fewest commands that show it, and ends the run with exit code 1.
 */
import { parseArgs } from 'node:util';
import { Cluster } from '../integration/cluster.ts';
import { means } from './compare.ts';
import { commandOf, type Group, SECOND, Source } from './group.ts';
import { comparisonOf, loadGroups } from './groups.ts';
import { Link } from './link.ts';
import { RedisServer } from './redis-server.ts';
import { elements } from './reply.ts';

/** Commands of one sequence. */
const SEQUENCE = 250;
/** A sequence is cut down by at most so many runs. */
const SHRINK_RUNS_MAX = 600;

type Command = readonly string[];

interface Difference {
  readonly at: number;
  readonly expected: string;
  readonly actual: string;
}

interface Duel {
  readonly groups: readonly Group[];
  readonly redis: Side;
  readonly kvorum: Side;
}

/** Connections to one of both. */
class Side {
  readonly #to: number | string;
  readonly #protocol: 2 | 3;
  readonly #first: Link;
  #second: Link | null = null;

  static async to(to: number | string, protocol: 2 | 3): Promise<Side> {
    return new Side(to, protocol, await Link.to(to, protocol));
  }

  private constructor(to: number | string, protocol: 2 | 3, first: Link) {
    this.#to = to;
    this.#protocol = protocol;
    this.#first = first;
  }

  /** The replies to all commands; those that follow each other on one connection are sent at once. */
  async send(commands: readonly Command[]): Promise<string[]> {
    this.#second?.close();
    this.#second = null;
    const replies: string[] = [];
    while (replies.length < commands.length) {
      const from = replies.length;
      const second = isSecond(commands[from]);
      const end = commands.findIndex((command, at) => at > from && isSecond(command) !== second);
      const run = commands.slice(from, end === -1 ? undefined : end);
      const link = second ? await this.#openSecond() : this.#first;
      replies.push(...(await link.send(run.map((command) => command.slice(second ? 1 : 0)))));
      // One that was closed has answered so at least once.
      if (second && link.closed) this.#second = null;
    }
    return replies;
  }

  async #openSecond(): Promise<Link> {
    this.#second ??= await Link.to(this.#to, this.#protocol, true);
    return this.#second;
  }

  close(): void {
    this.#first.close();
    this.#second?.close();
  }
}

function isSecond(command: Command | undefined): boolean {
  return command?.[0] === SECOND;
}

function sequence(groups: readonly Group[], basics: Group | undefined, seed: number): Command[] {
  const source = new Source(seed);
  const commands: Command[] = [];
  // Few groups at a time meet more often than all of them.
  const chosen = groups.filter(() => source.chance(Math.max(0.3, 1 / groups.length)));
  if (chosen.length === 0) chosen.push(source.pick(groups));
  while (commands.length < SEQUENCE) {
    const group = basics !== undefined && source.chance(0.15) ? basics : source.pick(chosen);
    if (source.chance(0.02) && group.local !== true) {
      const calls = Array.from({ length: source.below(5) }, () => commandOf(group, source));
      commands.push(['MULTI'], ...calls, ['EXEC']);
    } else if (group.scenes !== undefined && source.chance(0.05)) {
      commands.push(...source.pick(group.scenes)(source));
    } else commands.push(commandOf(group, source));
  }
  return commands;
}

const SPOILT = "scores can't be converted into double";

/**
 * A SORT by numbers fails in Redis when the last number that any command before it read was out of range and nothing has
 * cleared `errno` since. What follows on it can't be compared.
 */
function isSpoilt(expected: string, actual: string): boolean {
  return expected.includes(SPOILT) && !actual.includes(SPOILT);
}

/** Runs the commands on both, emptied, and finds the first replies that differ. */
async function fight(
  { groups, redis, kvorum }: Duel,
  commands: readonly Command[],
): Promise<Difference | null> {
  const before = [['DISCARD'], ['FLUSHALL'], ...groups.flatMap((group) => group.before ?? [])];
  const all = [...before, ...commands];
  const [expected, actual] = await Promise.all([redis.send(all), kvorum.send(all)]);
  const queues = new Map<boolean, Command[]>();
  for (let at = before.length; at < all.length; at++) {
    const second = isSecond(all[at]);
    const args = all[at]?.slice(second ? 1 : 0) ?? [];
    const queued = queues.get(second);
    const [one = '', other = ''] = [expected[at], actual[at]];
    const difference = { at: at - before.length, expected: one, actual: other };
    const name = (args[0] ?? '').toLowerCase();
    // What nodes answer by themselves can't be queued.
    if (other.includes('not allowed inside a transaction') || isSpoilt(one, other)) return null;
    if (name === 'exec' && queued !== undefined && one.startsWith('*')) {
      const [ones, others] = [elements(one), elements(other)];
      const same =
        ones.length === others.length &&
        ones.every((reply, index) => {
          const call = queued[index] ?? [];
          return means(comparisonOf(groups, call), reply, others[index] ?? '', call);
        });
      if (!same) return difference;
    } else if (queued !== undefined && one === '+QUEUED\r\n') {
      if (one !== other) return difference;
      queued.push(args);
    } else if (!means(comparisonOf(groups, args), one, other, args)) return difference;
    if (name === 'multi' && one === '+OK\r\n') queues.set(second, []);
    if (name === 'exec') queues.delete(second);
  }
  return null;
}

/** Leaves out what the difference does not need. */
async function shrink(
  duel: Duel,
  commands: readonly Command[],
  found: Difference,
): Promise<[Command[], Difference]> {
  let least = commands.slice(0, found.at + 1);
  let difference = found;
  let runs = 0;
  for (let size = Math.ceil(least.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < least.length - 1 && runs < SHRINK_RUNS_MAX; ) {
      runs += 1;
      const fewer = [...least.slice(0, at), ...least.slice(at + size)];
      const still = await fight(duel, fewer);
      if (still === null) at += size;
      else {
        least = fewer.slice(0, still.at + 1);
        difference = still;
      }
    }
  }
  return [least, difference];
}

const { values } = parseArgs({
  options: {
    commands: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    groups: { type: 'string', default: 'all' },
    protocol: { type: 'string', default: 'both' },
  },
});
const known = await loadGroups();
const groups =
  values.groups === 'all'
    ? [...known.values()]
    : values.groups.split(',').map((name) => {
        const group = known.get(name);
        if (group === undefined)
          throw new Error(`no group ${name}; there are ${[...known.keys()].join(', ')}`);
        return group;
      });
const total = Number(values.commands);
const protocols =
  values.protocol === 'both' ? ([2, 3] as const) : ([values.protocol === '3' ? 3 : 2] as const);
await using redis = await RedisServer.start();
const cluster = await Cluster.start(1, ['--fsync', 'never']);
const port = cluster.nodes[0]?.port ?? 0;
let failed = false;
try {
  // Before anything is run: what is run may keep others out.
  const duels = await Promise.all(
    protocols.map(async (protocol) => ({
      protocol,
      groups: [...known.values()],
      redis: await Side.to(redis.path, protocol),
      kvorum: await Side.to(port, protocol),
    })),
  );
  for (const duel of duels) {
    const { protocol } = duel;
    const sequences = Math.ceil(total / SEQUENCE / protocols.length);
    let done = 0;
    for (let seed = Number(values.seed); done < sequences && !failed; seed++, done++) {
      const commands = sequence(groups, known.get('basics'), seed);
      const difference = await fight(duel, commands);
      if (difference === null) continue;
      failed = true;
      const [least, { at, expected, actual }] = await shrink(duel, commands, difference);
      console.log(`RESP${protocol}, seed ${seed}: the replies differ`);
      for (const args of least) console.log(`  ${args.map((arg) => JSON.stringify(arg)).join(' ')}`);
      console.log(`command ${at}: ${JSON.stringify(least[at])}`);
      console.log(`  redis  ${JSON.stringify(expected)}\n  kvorum ${JSON.stringify(actual)}`);
    }
    console.log(
      `RESP${protocol}: ${done * SEQUENCE} commands in ${done} sequences${failed ? '' : ', no difference'}`,
    );
    duel.redis.close();
    duel.kvorum.close();
    if (failed) break;
  }
} finally {
  await cluster.stop();
}
process.exitCode = failed ? 1 : 0;
