/**
 * Takes the safety guards away one after the other and lets the simulator look for the harm:
 *
 *   npm run test:mutation [-- --only NAME,NAME --seeds N --jobs N]
 *
 * Prints, guard by guard, the first seed that found its absence and the invariant that broke. Exit code 1 when a guard is
 * not missed within N seeds.
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MUTATION_VARIABLE } from './hook.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';

/** Seeds after which a guard counts as not missed. */
const DEFAULT_SEEDS = 5000;
const HOOK = new URL('./hook.ts', import.meta.url).href;
const SIMULATOR = fileURLToPath(new URL('../sim/main.ts', import.meta.url));
/** What the simulator says when an invariant broke. */
const FINDING = /^seed (\d+), step \d+: (.*)$/m;

interface Outcome {
  readonly mutation: Mutation;
  /** `null`: not found. */
  readonly finding: { readonly seed: number; readonly what: string } | null;
  readonly seconds: number;
}

function simulate(mutation: Mutation, seeds: number): Promise<Outcome> {
  const began = performance.now();
  const child = spawn(
    process.execPath,
    ['--import', HOOK, SIMULATOR, '--seeds', String(seeds), '--world', mutation.world, '--workers', '1'],
    { env: { ...process.env, [MUTATION_VARIABLE]: mutation.name }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      const found = FINDING.exec(output);
      const seconds = (performance.now() - began) / 1000;
      if (found === null && code !== 0) {
        reject(new Error(`${mutation.name}: the simulator ended with ${String(code)}:\n${output}`));
      } else {
        const finding = found === null ? null : { seed: Number(found[1]), what: found[2] ?? '' };
        resolve({ mutation, finding, seconds });
      }
    });
  });
}

function chosen(only: string | undefined): readonly Mutation[] {
  if (only === undefined) return MUTATIONS;
  return only.split(',').map((name) => {
    const mutation = MUTATIONS.find((one) => one.name === name);
    if (mutation !== undefined) return mutation;
    throw new Error(`--only ${name}: there are ${MUTATIONS.map((one) => one.name).join(', ')}`);
  });
}

function tell({ mutation: { name, fault }, finding, seconds }: Outcome, seeds: number): void {
  const time = `${seconds.toFixed(1)} s`;
  if (finding === null) console.log(`SURVIVED ${name}: ${fault}; ${seeds} seeds noticed nothing (${time})`);
  else console.log(`found ${name} (${fault}): seed ${finding.seed}: ${finding.what.slice(0, 160)} (${time})`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { only: { type: 'string' }, seeds: { type: 'string' }, jobs: { type: 'string' } },
  });
  const seeds = Number(values.seeds ?? DEFAULT_SEEDS);
  const queue = [...chosen(values.only)];
  const total = queue.length;
  let survivors = 0;
  const work = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const outcome = await simulate(next, seeds);
      tell(outcome, seeds);
      if (outcome.finding === null) survivors += 1;
    }
  };
  await Promise.all(Array.from({ length: Number(values.jobs ?? availableParallelism()) }, work));
  console.log(`${total - survivors} of ${total} guards are missed when they are taken away`);
  if (survivors > 0) process.exitCode = 1;
}

await main();
