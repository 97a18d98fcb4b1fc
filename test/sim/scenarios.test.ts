/**
 * The scenarios of the design that concern the consensus core, as golden scripts in `scripts/` (see script.ts), and the
 * table in docs/simulator.md that says where each of all scenarios is covered. `UPDATE_GOLDEN=1 npx vitest run
 * test/sim/scenarios.test.ts` records the scripts' output anew: read the difference before you keep it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { CALM, Cluster } from './cluster.ts';
import { SCENARIOS } from './coverage.ts';
import { NODE_SCENARIOS } from './node-world/coverage.ts';
import { Random } from './random.ts';
import { playScript } from './script.ts';

const SCRIPTS = fileURLToPath(new URL('./scripts/', import.meta.url));
const ADVICE =
  'the output differs from what the script has recorded; if the change is meant, UPDATE_GOLDEN=1 records it';

for (const name of readdirSync(SCRIPTS)) {
  test(`script ${name}`, () => {
    const golden = readFileSync(SCRIPTS + name, 'utf8');
    const { text } = playScript(golden);
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(SCRIPTS + name, text);
    else expect(text, ADVICE).toBe(golden);
  });
}

test('14: divergent tails of many shapes are brought together', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const cluster = new Cluster({ ...CALM, seed, voters: 5, limits: { appendBytes: 100 } });
    const random = Random.of(seed, 'script');
    for (let round = 0; round < 8; round += 1) {
      const name = random.pick(['n1', 'n2', 'n3', 'n4', 'n5']);
      const heard = random.pick(['n1', 'n2', 'n3', 'n4', 'n5', 'nobody']);
      const host = cluster.host(name);
      for (const other of cluster.hosts) cluster.restart(other);
      cluster.network.intercept = (from, to, message) => {
        if (message.type === 'preVoteRequest' && from !== host.id) return 'drop';
        return message.type === 'append' && to !== heard ? 'drop' : undefined;
      };
      // Its log may be too old to win; then the round passes without a leader.
      cluster.run(2000);
      for (let count = random.below(5); host.leads && count > 0; count -= 1) cluster.propose(host, 50);
      cluster.run(20);
      cluster.crash(host);
    }
    cluster.network.intercept = null;
    for (const host of cluster.hosts) cluster.restart(host);
    cluster.runUntil('all nodes equal', () => cluster.hasConverged(), 20_000);
  }
});

/* ---- the table of all scenarios --------------------------------------------------------------------------------- */

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SCENARIO_COUNT = 53;
const DOCUMENT = readFileSync(`${ROOT}docs/simulator.md`, 'utf8');
const ROWS = DOCUMENT.split('\n').filter((line) => /^\| \d+ \|/.test(line));

function matches(pattern: RegExp): string[][] {
  return ROWS.flatMap((row) => [...row.matchAll(pattern)].map((match) => match.slice(1)));
}

test('the table names every scenario once, and where each is tried', () => {
  const numbers = ROWS.map((row) => Number(/^\| (\d+) \|/.exec(row)?.[1]));
  expect(numbers).toEqual(Array.from({ length: SCENARIO_COUNT }, (_, at) => at + 1));
  for (const row of ROWS) expect(row).toMatch(/scripts\/|\.test\.ts` “|(core|node): \*/);
});

test('every script is in the table, and every script of the table exists', () => {
  const named = matches(/\(\.\.\/test\/sim\/scripts\/([^)]+)\)/g).flat();
  expect([...new Set(named)].sort()).toEqual(readdirSync(SCRIPTS).sort());
});

test('every test of the table exists', () => {
  const named = matches(/`(\S+\.ts)` “([^”]+)”/g);
  const missing = named.filter(([file, name]) => !readFileSync(ROOT + file, 'utf8').includes(name!));
  expect(missing).toEqual([]);
});

test('every fault of the table is counted by its world', () => {
  const counted: Record<string, readonly string[]> = { core: SCENARIOS, node: NODE_SCENARIOS };
  for (const [world, list] of matches(/(core|node): ((?:\*[^*]+\*(?:, )?)+)/g)) {
    for (const [, name] of list!.matchAll(/\*([^*]+)\*/g)) expect(counted[world!]).toContain(name);
  }
});
