/**
 * Takes the safety guards away one after the other and lets the simulator look for the harm:
 *
 *   npm run test:mutation [-- --only NAME,NAME --seeds N --jobs N]
 *
 * Prints, guard by guard, the first seed that found its absence and the invariant that broke. What N seeds do not find
 * is left to the simulator's scripts, each of which leads the cluster into one danger on purpose. Exit code 1 when a guard
 * is missed by neither, or when what finds it fails with the guard in place as well.
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MUTATION_VARIABLE } from './hook.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';

/** Seeds that a guard's absence may take to be found, by world. */
const DEFAULT_SEEDS = { core: 3000, node: 300 } as const;
const HOOK = new URL('./hook.ts', import.meta.url).href;
const SIMULATOR = fileURLToPath(new URL('../sim/main.ts', import.meta.url));
const SCRIPTS = fileURLToPath(new URL('./scripts.ts', import.meta.url));
/** What the simulator says when an invariant broke, and what the scripts say. */
const SEED_FINDING = /^(seed (\d+)), step \d+: (.*)$/m;
const SCRIPT_FINDING = /^(script (\S+)): (.*)$/m;

/** `where`: a seed or a script. */
interface Finding {
  readonly where: string;
  readonly what: string;
}

interface Outcome {
  readonly mutation: Mutation;
  /** `null`: not found. */
  readonly finding: Finding | null;
  /** Fails with the guard in place, too: nothing is known then. */
  readonly false: boolean;
  readonly seconds: number;
}

/** Runs a program of the simulator, without a guard or with all of them, and says what it found. */
function play(mutation: Mutation | null, pattern: RegExp, args: readonly string[]): Promise<Finding | null> {
  const env = { ...process.env };
  if (mutation !== null) env[MUTATION_VARIABLE] = mutation.name;
  const child = spawn(process.execPath, ['--import', HOOK, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      const found = pattern.exec(output);
      if (found !== null) resolve({ where: found[1] ?? '', what: found[3] ?? '' });
      else if (code === 0) resolve(null);
      else {
        reject(
          new Error(`${mutation?.name ?? 'all guards'}: ${args.join(' ')} ended with ${code}:\n${output}`),
        );
      }
    });
  });
}

async function examine(mutation: Mutation, seeds: number): Promise<Outcome> {
  const began = performance.now();
  const simulator = [SIMULATOR, '--world', mutation.world, '--workers', '1'];
  let finding = await play(mutation, SEED_FINDING, [...simulator, '--seeds', String(seeds)]);
  let same: Finding | null = null;
  if (finding !== null) {
    const seed = finding.where.replace('seed ', '');
    same = await play(null, SEED_FINDING, [...simulator, '--seed', seed]);
  } else if (mutation.world === 'core') {
    finding = await play(mutation, SCRIPT_FINDING, [SCRIPTS]);
  }
  return { mutation, finding, false: same !== null, seconds: (performance.now() - began) / 1000 };
}

function chosen(only: string | undefined): readonly Mutation[] {
  if (only === undefined) return MUTATIONS;
  return only.split(',').map((name) => {
    const mutation = MUTATIONS.find((one) => one.name === name);
    if (mutation !== undefined) return mutation;
    throw new Error(`--only ${name}: there are ${MUTATIONS.map((one) => one.name).join(', ')}`);
  });
}

function tell({ mutation: { name, fault }, finding, false: inVain, seconds }: Outcome): void {
  const time = `${seconds.toFixed(1)} s`;
  if (finding === null) console.log(`SURVIVED ${name} (${fault}); nothing noticed (${time})`);
  else if (inVain)
    console.log(`FALSE ${name} (${fault}): ${finding.where} fails with the guard, too (${time})`);
  else console.log(`found ${name} (${fault}): ${finding.where}: ${finding.what.slice(0, 160)} (${time})`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { only: { type: 'string' }, seeds: { type: 'string' }, jobs: { type: 'string' } },
  });
  const queue = [...chosen(values.only)];
  const total = queue.length;
  let missed = 0;
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const outcome = await examine(next, Number(values.seeds ?? DEFAULT_SEEDS[next.world]));
      tell(outcome);
      if (outcome.finding !== null && !outcome.false) missed += 1;
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs ?? availableParallelism()) }, work));
  console.log(`${missed} of ${total} guards are missed when they are taken away`);
  if (missed < total) process.exitCode = 1;
}

await main();
