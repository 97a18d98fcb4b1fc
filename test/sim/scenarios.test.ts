/**
 * The scenarios of the design that concern the consensus core, by their numbers, each as a short script on the
 * simulated cluster. The checks run after every step: a script only has to bring the situation about.
 */
import { expect, test } from 'vitest';
import { asIndex, asNodeId, asTerm, EntryType } from '../../src/raft/types.ts';
import { CALM, Cluster, type ClusterOptions, type Host } from './cluster.ts';
import type { Intercept } from './network.ts';
import { Random } from './random.ts';

function calm(options: Partial<ClusterOptions> = {}): Cluster {
  return new Cluster({ ...CALM, seed: 1, ...options });
}

/** Has `id` elected; nobody else campaigns meanwhile. */
function elect(cluster: Cluster, id: string, rule: Intercept | null = null): Host {
  const host = cluster.host(id);
  cluster.network.intercept = (from, to, message) => {
    if (message.type === 'preVoteRequest' && from !== host.id) return 'drop';
    return rule?.(from, to, message);
  };
  for (let attempt = 0; attempt < 100 && !host.leads; attempt += 1) {
    cluster.feed(host, { type: 'campaign', now: cluster.clock(host) });
    cluster.run(50);
  }
  expect(host.leads).toBe(true);
  cluster.network.intercept = rule;
  return host;
}

function isolate(cluster: Cluster, ...ids: string[]): void {
  const inside = ids.map(asNodeId);
  const outside = cluster.hosts.map(({ id }) => id).filter((id) => !inside.includes(id));
  cluster.network.cutBetween(inside, outside);
}

function newLeader(cluster: Cluster, old: Host): Host {
  cluster.runUntil('another leader', () => cluster.leader() !== null && cluster.leader() !== old, 10_000);
  return cluster.leader()!;
}

function outcomeOf(cluster: Cluster, id: number): string {
  return cluster.checks.proposals[id]!.outcome;
}

/** Writes, and waits for the acknowledgement. */
function write(cluster: Cluster, host: Host): void {
  const id = cluster.propose(host);
  cluster.runUntil('acknowledgement', () => outcomeOf(cluster, id) === 'acknowledged', 5000);
}

function converge(cluster: Cluster): void {
  cluster.network.intercept = null;
  cluster.network.heal();
  for (const host of cluster.hosts) cluster.restart(host);
  cluster.runUntil('all nodes equal', () => cluster.hasConverged(), 20_000);
}

test('2: a vote given, a crash around its fsync, another candidate of the same term', () => {
  for (let seed = 1; seed <= 50; seed += 1) {
    const cluster = calm({ seed });
    const voter = cluster.host('n3');
    isolate(cluster, 'n3');
    const ask = (candidate: string): void => {
      const [term, lastIndex, lastTerm] = [asTerm(2), asIndex(1), asTerm(1)] as const;
      const message = { type: 'voteRequest', term, lastIndex, lastTerm, transfer: true } as const;
      cluster.feed(voter, { type: 'message', now: cluster.clock(voter), from: asNodeId(candidate), message });
    };
    ask('n1');
    cluster.run(seed / 25);
    cluster.crash(voter);
    cluster.restart(voter);
    ask('n2');
    cluster.run(10);
    ask('n1');
    cluster.run(10);
    expect(cluster.coverage.of('votes granted')).toBeGreaterThan(0);
  }
});

test('4: a node that was alone for hours comes back without an election', () => {
  const cluster = calm();
  const leader = elect(cluster, 'n1');
  isolate(cluster, 'n3');
  cluster.run(3_600_000);
  write(cluster, leader);
  converge(cluster);
  expect(leader.leads && leader.node!.term).toBe(2);
});

test('5: a leader that cannot be heard, or cannot hear, is replaced', () => {
  for (const direction of ['to', 'from'] as const) {
    const cluster = calm();
    const old = elect(cluster, 'n1');
    for (const { id } of cluster.hosts) {
      if (id !== old.id)
        cluster.network.cut(...((direction === 'to' ? [id, old.id] : [old.id, id]) as [never, never]));
    }
    write(cluster, newLeader(cluster, old));
    converge(cluster);
  }
});

test('6: two halves that only see each other through one node keep one leader', () => {
  const cluster = calm({ voters: 5 });
  const leader = elect(cluster, 'n1');
  cluster.network.cutBetween(['n1', 'n2'].map(asNodeId), ['n4', 'n5'].map(asNodeId));
  cluster.run(30_000);
  write(cluster, leader);
  expect(leader.node!.term).toBe(2);
  cluster.crash(leader);
  write(cluster, newLeader(cluster, leader));
  converge(cluster);
});

test('7: a node of a higher term that the leader does not know of is taken along', () => {
  const cluster = calm();
  const leader = elect(cluster, 'n1');
  isolate(cluster, 'n3');
  const [message, now] = [
    { type: 'timeoutNow', term: leader.node!.term } as const,
    cluster.clock(cluster.host('n3')),
  ];
  cluster.feed(cluster.host('n3'), { type: 'message', now, from: leader.id, message });
  cluster.run(100);
  expect(cluster.host('n3').node!.term).toBe(3);
  converge(cluster);
  write(cluster, cluster.leader()!);
});

test('8: grants that arrive late and twice count once and only in their term', () => {
  const cluster = calm({ voters: 5 });
  cluster.network.weather = { ...cluster.network.weather, doubleRate: 1 };
  elect(cluster, 'n1', (_from, to, message) => {
    return message.type === 'voteReply' && to === 'n2' ? { delayMs: 3000 } : undefined;
  });
  cluster.crash(cluster.host('n1'));
  const leader = newLeader(cluster, cluster.host('n1'));
  cluster.run(5000);
  write(cluster, leader);
  converge(cluster);
});

test('10: a leader paused for long answers its queued reads and writes only with the truth', () => {
  const cluster = calm();
  const old = elect(cluster, 'n1');
  write(cluster, old);
  cluster.pause(old, 6000);
  let queued = -1;
  cluster.schedule.after(1, old, () => {
    cluster.read(old);
    queued = cluster.propose(old);
  });
  write(cluster, newLeader(cluster, old));
  cluster.run(10_000);
  expect(old.reads.size).toBe(0);
  expect(cluster.coverage.of('reads failed')).toBe(1);
  expect(['unknown', 'rejected']).toContain(outcomeOf(cluster, queued));
  converge(cluster);
});

test('13: figure 8 of the Raft paper: an old entry on a majority is not yet committed', () => {
  const cluster = calm({ voters: 5, limits: { appendBytes: 1 } });
  // (a) n1 leads and reaches n2 only.
  const n1 = elect(cluster, 'n1', (_from, to, message) => {
    return message.type === 'append' && to !== 'n2' ? 'drop' : undefined;
  });
  const id = cluster.propose(n1);
  cluster.run(100);
  expect(cluster.host('n2').node!.log.lastIndex).toBe(3);
  cluster.crash(n1);
  // (b) n5 leads with the votes of n3 and n4 and reaches nobody.
  isolate(cluster, 'n2');
  const n5 = elect(cluster, 'n5', (_from, _to, message) => (message.type === 'append' ? 'drop' : undefined));
  cluster.run(50);
  cluster.crash(n5);
  // (c) n1 is back, leads, and its old entries reach n3 and n4 as well. Entries of its new term get nowhere.
  cluster.network.heal();
  cluster.restart(n1);
  const probed = new Set(['n2']);
  elect(cluster, 'n1', (_from, to, message) => {
    if (message.type !== 'append' || message.entries.every(({ term }) => term < 4)) return undefined;
    // The probe, which does not fit and finds out what is missing, may pass.
    if (probed.has(to)) return 'drop';
    probed.add(to);
    return undefined;
  });
  cluster.run(500);
  const holders = cluster.hosts.filter(({ disk }) => disk.holds(asIndex(3), asTerm(2)));
  expect(holders.map(({ id }) => id)).toEqual(['n1', 'n2', 'n3', 'n4']);
  expect(n1.node!.commitIndex).toBeLessThan(2);
  // (d) n5 leads again and overwrites it everywhere.
  cluster.crash(n1);
  cluster.restart(n5);
  elect(cluster, 'n5');
  converge(cluster);
  for (const { node } of cluster.hosts) expect(node!.log.termAt(asIndex(2))).toBe(3);
  expect(outcomeOf(cluster, id)).toBe('unknown');
});

test('14: divergent tails of many shapes are brought together', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const cluster = calm({ seed, voters: 5, limits: { appendBytes: 100 } });
    const random = Random.of(seed, 'script');
    for (let round = 0; round < 8; round += 1) {
      const name = random.pick(['n1', 'n2', 'n3', 'n4', 'n5']);
      const heard = random.pick(['n1', 'n2', 'n3', 'n4', 'n5', 'nobody']);
      const rule: Intercept = (_from, to, message) => {
        return message.type === 'append' && to !== heard ? 'drop' : undefined;
      };
      const host = cluster.host(name);
      for (const other of cluster.hosts) cluster.restart(other);
      cluster.network.intercept = (from, to, message) => {
        if (message.type === 'preVoteRequest' && from !== host.id) return 'drop';
        return rule(from, to, message);
      };
      // Its log may be too old to win; then the round passes without a leader.
      cluster.run(2000);
      for (let count = random.below(5); host.leads && count > 0; count -= 1) cluster.propose(host, 50);
      cluster.run(20);
      cluster.crash(host);
    }
    converge(cluster);
  }
});

test('15: appends lost, doubled, reordered and late over two changes of leader', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const cluster = calm({ seed, limits: { appendBytes: 200 } });
    let leader = elect(cluster, 'n1');
    cluster.network.weather = {
      minDelayMs: 1,
      maxDelayMs: 80,
      lossRate: 0.15,
      doubleRate: 0.3,
      appendLossRate: 0,
      slowRate: 0.1,
      slowMs: 4000,
    };
    for (let change = 0; change < 3; change += 1) {
      for (let count = 0; count < 20; count += 1) {
        cluster.propose(leader, 30);
        cluster.run(10);
      }
      if (leader.leads) cluster.transfer(leader, null);
      cluster.runUntil('a leader', () => cluster.leader() !== null, 30_000);
      leader = cluster.leader()!;
    }
    cluster.network.weather = { ...cluster.network.weather, lossRate: 0 };
    converge(cluster);
  }
});

test('18: when every append of a full window is lost, replication goes on by itself', () => {
  const cluster = calm({ limits: { windowMessages: 2, appendBytes: 1 } });
  const leader = elect(cluster, 'n1', (_from, to, message) => {
    return message.type === 'append' && to === 'n3' ? 'drop' : undefined;
  });
  for (let count = 0; count < 20; count += 1) write(cluster, leader);
  converge(cluster);
  expect(leader.leads).toBe(true);
});

test('20: a leader that sent before its own fsync crashes: what others committed stays', () => {
  const cluster = calm();
  const leader = elect(cluster, 'n1');
  leader.stallMs = 500;
  const id = cluster.propose(leader);
  cluster.run(50);
  expect(leader.node!.commitIndex).toBe(3);
  expect(outcomeOf(cluster, id)).toBe('open');
  cluster.crash(leader);
  const next = newLeader(cluster, leader);
  converge(cluster);
  expect(next.disk.read(asIndex(3), asIndex(3), 1)[0]).toMatchObject({ term: 2, type: EntryType.batch });
  expect(outcomeOf(cluster, id)).toBe('unknown');
});

test('20: a lone node acknowledges nothing that a crash can take', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const cluster = calm({ seed, voters: 1 });
    const random = Random.of(seed, 'script');
    const lone = elect(cluster, 'n1');
    for (let count = 0; count < 10; count += 1) {
      cluster.propose(lone);
      cluster.run(random.between(0, 3));
    }
    cluster.crash(lone);
    converge(cluster);
  }
});

test('21: power loss on all nodes at once takes no acknowledged write', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const cluster = calm({ seed });
    const random = Random.of(seed, 'script');
    const leader = elect(cluster, 'n1');
    for (let count = 0; count < 10; count += 1) {
      cluster.propose(leader);
      cluster.run(random.between(0, 2));
    }
    for (const host of cluster.hosts) cluster.crash(host);
    converge(cluster);
    cluster.read(cluster.leader()!);
    cluster.run(500);
    expect(cluster.coverage.of('reads on leaders')).toBe(1);
  }
});

test('25: a new leader answers no read before its first entry is committed', () => {
  const cluster = calm();
  const old = elect(cluster, 'n1', (_from, _to, message) => {
    // Nobody hears that the write is committed.
    return message.type === 'heartbeat' || (message.type === 'append' && message.commit > 2)
      ? { delayMs: 60_000 }
      : undefined;
  });
  const id = cluster.propose(old);
  cluster.run(50);
  expect(outcomeOf(cluster, id)).toBe('acknowledged');
  cluster.crash(old);
  const next = elect(cluster, 'n2', (_from, _to, message) =>
    message.type === 'append' ? 'drop' : undefined,
  );
  cluster.read(next);
  cluster.run(300);
  expect(next.reads.size).toBe(1);
  cluster.network.intercept = null;
  cluster.run(300);
  expect(next.reads.size).toBe(0);
});

test('26: a deposed leader answers no read, whatever acknowledgements come late', () => {
  const cluster = calm();
  const old = elect(cluster, 'n1');
  cluster.network.intercept = (_from, to, message) => {
    return to === 'n1' && message.type === 'heartbeatReply' ? { delayMs: 1500 } : undefined;
  };
  cluster.run(200);
  isolate(cluster, 'n1');
  cluster.read(old);
  const next = newLeader(cluster, old);
  write(cluster, next);
  cluster.network.heal();
  cluster.run(3000);
  expect(cluster.coverage.of('reads on leaders')).toBe(0);
  expect(cluster.coverage.of('reads failed')).toBe(1);
});

test('27: a read asked of a leader that is gone fails, and a retry sees the new one’s writes', () => {
  const cluster = calm();
  const old = elect(cluster, 'n1');
  const follower = cluster.host('n2');
  cluster.network.intercept = (_from, _to, message) =>
    message.type === 'readIndexReply' ? 'drop' : undefined;
  cluster.read(follower);
  cluster.run(20);
  cluster.crash(old);
  const next = newLeader(cluster, old);
  write(cluster, next);
  expect(cluster.coverage.of('reads failed')).toBe(1);
  cluster.network.intercept = null;
  cluster.read(follower);
  cluster.run(500);
  expect(follower.reads.size).toBe(0);
});

test('27: an answer to a read of a former life is not taken for a new read', () => {
  const cluster = calm();
  const leader = elect(cluster, 'n1');
  const follower = cluster.host('n2');
  cluster.network.intercept = (_from, _to, message) => {
    return message.type === 'readIndexReply' ? { delayMs: 300 } : undefined;
  };
  cluster.read(follower);
  cluster.run(50);
  cluster.crash(follower);
  cluster.restart(follower);
  cluster.network.intercept = (_from, to, message) => {
    return message.type === 'readIndexRequest' || (message.type === 'append' && to === follower.id)
      ? 'drop'
      : undefined;
  };
  write(cluster, leader);
  cluster.runUntil('the follower knows the leader', () => follower.node!.leader === leader.id, 200);
  cluster.read(follower);
  cluster.run(400);
  expect(follower.reads.size).toBe(1);
});

test('41, 42: a crash at any moment of a snapshot’s way to a follower', () => {
  for (let at = 0; at < 40; at += 1) {
    const cluster = calm({ seed: at + 1, snapshotEntries: 5 });
    const leader = elect(cluster, 'n1');
    const follower = cluster.host('n3');
    cluster.crash(follower);
    for (let count = 0; count < 12; count += 1) write(cluster, leader);
    cluster.run(100);
    cluster.restart(follower);
    cluster.run(90 + at);
    cluster.crash(follower);
    converge(cluster);
    expect(cluster.coverage.of('snapshots restored') + (follower.disk.snapshot?.index ?? 0)).toBeGreaterThan(
      0,
    );
  }
});
