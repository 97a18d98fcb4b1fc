/**
 * The scenarios of the design that concern the consensus core, as golden scripts in `scripts/` (see script.ts), and the
 * table in docs/simulator.md that says where each of all scenarios is covered. `UPDATE_GOLDEN=1 npx vitest run
 * test/sim/scenarios.test.ts` records the scripts' output anew: read the difference before you keep it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { CALM, Cluster } from './cluster.ts';
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
