/**
 * The simulator's command line; docs/simulator.md tells how to use it.
 *
 *   npm run test:sim -- [--seeds N] [--minutes M] [--seed FIRST] [--steps N] [--workers N] [--mutate NAME]
 *                       [--world mixed|core|node] [--trace] [--shrink] [--diagram [text|mermaid]] [--lines N]
 *   npm run test:sim -- --script FILE [--diagram [text|mermaid]] [--lines N]
 *
 * Runs at least N seeds and for at least M minutes, from FIRST on (by default 200 seeds from 1; with --seed alone, just
 * that one), on all cores, and stops at the first failure with exit code 1, the invariant, and the end of the trace.
 * `--mutate` takes a guard away and turns the outcome round: exit code 0 only if a seed finds it, and does not fail with
 * the guard in place. Exit code 2: the arguments make no sense.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { type Mutation, MUTATIONS } from './disk.ts';
import type { DiagramStyle } from './diagram.ts';
import { tellFinding, tellRun, tellScript } from './main-finding.ts';
import {
  type Finding,
  type Order,
  type Report,
  runSeeds,
  type Settings,
  type World,
  worldOf,
  WORLDS,
} from './seeds.ts';

const DEFAULT_SEEDS = 200;
const DEFAULT_STEPS = 10_000;
const DEFAULT_LINES = 80;
/** Seeds that a worker gets at a time. */
const ORDER_SEEDS = 20;
const PROGRESS_MS = 10_000;

interface Arguments extends Settings {
  readonly first: number;
  readonly seeds: number;
  readonly minutes: number;
  /** Play this golden script instead. */
  readonly script: string | null;
  readonly workers: number;
  /** Everything that happens in the first seed. */
  readonly trace: boolean;
  readonly shrink: boolean;
  readonly diagram: DiagramStyle | null;
  /** Of a diagram or of the end of a trace. */
  readonly lines: number;
}

function parse(): Arguments {
  const { values } = parseArgs({
    args: withDiagramStyle(process.argv.slice(2)),
    options: {
      seeds: { type: 'string' },
      minutes: { type: 'string' },
      seed: { type: 'string' },
      steps: { type: 'string' },
      workers: { type: 'string' },
      script: { type: 'string' },
      world: { type: 'string' },
      mutate: { type: 'string' },
      trace: { type: 'boolean', default: false },
      shrink: { type: 'boolean', default: false },
      diagram: { type: 'string' },
      lines: { type: 'string' },
    },
  });
  const { mutate, world, diagram } = values;
  if (mutate !== undefined && !(mutate in MUTATIONS)) {
    throw new Error(`--mutate ${mutate}: no such mutation; there are ${Object.keys(MUTATIONS).join(', ')}`);
  }
  if (world !== undefined && !isWorld(world))
    throw new Error(`--world ${world}: no such world; there are ${WORLDS.join(', ')}`);
  if (mutate !== undefined && world !== undefined && world !== 'core')
    throw new Error(`--mutate ${mutate}: only --world core knows how`);
  if (diagram !== undefined && !isStyle(diagram))
    throw new Error(`--diagram ${diagram}: there are ${STYLES.join(' and ')}`);
  const minutes = natural('minutes', values.minutes, 0);
  const alone = values.seed !== undefined || minutes > 0;
  return {
    first: natural('seed', values.seed, 1),
    seeds: natural('seeds', values.seeds, alone ? 1 : DEFAULT_SEEDS),
    minutes,
    script: values.script ?? null,
    steps: natural('steps', values.steps, DEFAULT_STEPS),
    workers: natural('workers', values.workers, availableParallelism()),
    mutation: (mutate as Mutation | undefined) ?? null,
    world: world ?? (mutate === undefined ? 'mixed' : 'core'),
    trace: values.trace,
    shrink: values.shrink,
    diagram: diagram ?? null,
    lines: natural('lines', values.lines, DEFAULT_LINES),
  };
}

function isWorld(text: string): text is World {
  return WORLDS.some((world) => world === text);
}

const STYLES: readonly DiagramStyle[] = ['text', 'mermaid'];

function isStyle(text: string | undefined): text is DiagramStyle {
  return STYLES.some((style) => style === text);
}

/** `--diagram` alone means text. */
function withDiagramStyle(args: readonly string[]): string[] {
  return args.flatMap((arg, at) => {
    const next = args[at + 1];
    const bare = arg === '--diagram' && (next === undefined || next.startsWith('-'));
    return bare ? [arg, 'text'] : [arg];
  });
}

function natural(name: string, text: string | undefined, otherwise: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`--${name} ${text}: must be a whole number from 1 on`);
  return value;
}

/** Hands out seeds as long as there are any to run, and adds up what comes back. */
class Campaign {
  readonly coverage: Map<string, number> = new Map();
  seeds = 0;
  steps = 0;
  virtualMs = 0;
  /** Of the lowest seed that found something; the same with any number of workers. */
  finding: Finding | null = null;
  private readonly args: Arguments;
  private readonly began = performance.now();
  private next: number;
  private toldAt = 0;

  constructor(args: Arguments) {
    this.args = args;
    this.next = args.first;
  }

  get seconds(): number {
    return (performance.now() - this.began) / 1000;
  }

  /** `null`: enough is done or under way. */
  order(): Order | null {
    if (this.finding !== null) return null;
    const { first, seeds, minutes } = this.args;
    const left = first + seeds - this.next;
    if (left <= 0 && this.seconds >= minutes * 60) return null;
    const order = { first: this.next, count: left > 0 ? Math.min(left, ORDER_SEEDS) : ORDER_SEEDS };
    this.next += order.count;
    return order;
  }

  add({ seeds, steps, virtualMs, coverage, finding }: Report): void {
    this.seeds += seeds;
    this.steps += steps;
    this.virtualMs += virtualMs;
    for (const [name, count] of coverage) this.coverage.set(name, (this.coverage.get(name) ?? 0) + count);
    if (finding !== null && finding.seed < (this.finding?.seed ?? Number.POSITIVE_INFINITY))
      this.finding = finding;
    if (performance.now() - this.toldAt < PROGRESS_MS) return;
    if (this.toldAt > 0) console.error(this.summary());
    this.toldAt = performance.now();
  }

  summary(): string {
    const { seeds, steps, virtualMs, seconds } = this;
    return (
      `${seeds} seeds in ${seconds.toFixed(1)} s: ${(seeds / seconds).toFixed(1)} seeds/s, ` +
      `${Math.round(steps / seconds)} steps/s, ${Math.round(virtualMs / 1000)} s of virtual time`
    );
  }
}

async function runAll(args: Arguments): Promise<Campaign> {
  const campaign = new Campaign(args);
  const workers = Math.min(
    args.workers,
    args.minutes > 0 ? args.workers : Math.ceil(args.seeds / ORDER_SEEDS),
  );
  if (workers <= 1) {
    for (let order = campaign.order(); order !== null; order = campaign.order())
      campaign.add(await runSeeds(order, args));
  } else {
    await Promise.all(Array.from({ length: workers }, () => work(campaign, args)));
  }
  return campaign;
}

/** One thread, until there are no more orders. */
function work(campaign: Campaign, { steps, mutation, world }: Settings): Promise<void> {
  const settings: Settings = { steps, mutation, world };
  const worker = new Worker(new URL('./main-worker.ts', import.meta.url), { workerData: settings });
  return new Promise((resolve, reject) => {
    const next = (): void => {
      const order = campaign.order();
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
      if (order !== null) worker.postMessage(order);
      else void worker.terminate().then(() => resolve());
    };
    worker.on('error', reject);
    worker.on('message', (report: Report) => {
      campaign.add(report);
      next();
    });
    next();
  });
}

async function tell(campaign: Campaign, args: Arguments): Promise<void> {
  const { finding } = campaign;
  const { mutation } = args;
  if (finding === null) {
    for (const [name, count] of campaign.coverage) console.log(`${String(count).padStart(12)} ${name}`);
  } else {
    await tellFinding(finding.seed, args);
    if (finding.stack !== '') console.log(finding.stack);
    console.log(`seed ${finding.seed}, step ${finding.step}: ${finding.what}`);
    const mutate = mutation === null ? '' : ` --mutate ${mutation}`;
    const world = ` --world ${worldOf(finding.seed, args.world)}`;
    console.log(`again: npm run test:sim -- --seed ${finding.seed} --steps ${args.steps}${world}${mutate}`);
  }
  console.log(campaign.summary());
  if (mutation === null) {
    if (finding !== null) process.exitCode = 1;
  } else if (finding === null) {
    console.error(`no seed noticed that ${MUTATIONS[mutation]}`);
    process.exitCode = 1;
  } else if (finding.failsAnyway) {
    console.error(`seed ${finding.seed} fails with the guard in place, too`);
    process.exitCode = 1;
  } else {
    console.log(`seed ${finding.seed} notices that ${MUTATIONS[mutation]}`);
  }
}

async function main(): Promise<void> {
  let args: Arguments;
  try {
    args = parse();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 2;
    return;
  }
  if (args.script !== null) {
    tellScript(args.script, args);
    return;
  }
  const campaign = await runAll(args);
  if (campaign.finding === null && (args.trace || args.diagram !== null)) await tellRun(args.first, args);
  await tell(campaign, args);
}

await main();
