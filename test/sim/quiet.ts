/** Times without faults: at the end of a run everybody is up, in between some may stay down. */
import type { NodeId } from '../../src/raft/types.ts';
import type { Cluster } from './cluster.ts';
import { isWithinBound } from './damage.ts';
import { check } from './failure.ts';
import { FAIR_WEATHER } from './network.ts';

/** Time for an election and for nodes to catch up before a write has to be acknowledged, in longest election timeouts. */
const SERVING_ELECTIONS = 8;
/** Time a restarted node may take to read one entry back from its disk, where it reads them one by one, in ms. */
export const REPLAY_MS_PER_ENTRY = 12;

/** The network is whole and fair, disks are fast and have room, clocks are right, nobody is paused. */
export function calmDown(cluster: Cluster): void {
  cluster.network.heal();
  cluster.network.weather = FAIR_WEATHER;
  for (const host of cluster.hosts) {
    host.diskSpeed = { minMs: 0.2, maxMs: 2 };
    host.stallMs = 0;
    host.fullUntil = 0;
    host.pausedUntil = Math.min(host.pausedUntil, cluster.now);
    cluster.setClockRate(host, 1);
  }
}

function servingMs({ options, checks }: Cluster): number {
  return 2 * options.electionMs * SERVING_ELECTIONS + checks.committedIndex * REPLAY_MS_PER_ENTRY;
}

/** How long a quiet time lasts, in ms. */
export function quietMs(cluster: Cluster): number {
  return servingMs(cluster) + 3 * cluster.options.electionMs;
}

/**
 * AV: while every majority that may be needed is up and healthy, writes are acknowledged within a bounded time, whoever
 * else is away and however far a change of the membership has got. Void when something happens meanwhile. An election
 * timeout passes before: so long a leader may count on a node that is gone and begin a change that needs it.
 */
export function beginQuiet(cluster: Cluster, down: readonly NodeId[]): void {
  calmDown(cluster);
  cluster.network.clear();
  for (const host of cluster.hosts) {
    if (down.includes(host.id)) cluster.crash(host);
    else cluster.restart(host);
  }
  const { disturbances } = cluster;
  cluster.schedule.after(cluster.options.electionMs, null, () => {
    if (cluster.disturbances === disturbances && isWithinBound(cluster)) mustServeSoon(cluster);
  });
}

function mustServeSoon(cluster: Cluster): void {
  cluster.coverage.count('quiet times');
  const { disturbances, options } = cluster;
  const limitMs = servingMs(cluster);
  const end = cluster.now + limitMs;
  const writes: number[] = [];
  const isAcknowledged = (id: number): boolean => cluster.checks.proposals[id]?.outcome === 'acknowledged';
  const probe = (): void => {
    if (cluster.disturbances !== disturbances || writes.some((id) => isAcknowledged(id))) return;
    check(cluster.now < end, 'AV', () => `no write in ${limitMs} ms. ${cluster.summary()}`);
    const leader = cluster.leader();
    if (leader !== null) writes.push(cluster.propose(leader));
    cluster.schedule.after(options.electionMs, null, probe);
  };
  probe();
}
