/** What happened in a run of whole nodes. A scenario that silently never occurs shows as a zero. */
export const NODE_SCENARIOS = [
  'steps',
  'messages through the codec',
  'frames damaged on the wire',
  'leaders elected',
  'leaders deposed',
  'starts',
  'power losses',
  'power losses of all nodes',
  'kills',
  'orderly stops',
  'leadership handed over',
  'crashes in a disk operation',
  'crashes during a start',
  'pauses',
  'partitions',
  'disk stalls',
  'clocks stepped',
  'clocks drifting',
  'failed writes',
  'failed syncs',
  'nodes ended by a disk error',
  'disks full',
  'writes to a full disk',
  'directory changes lost',
  'disks damaged',
  'damage refused at start',
  'damage that did no harm',
  'starts with a recovering log',
  'damage found while running',
  'disks restored from a copy',
  'torn tails cut',
  'log segments begun',
  'log reads',
  'compactions',
  'snapshots taken',
  'snapshot transfers begun',
  'snapshot transfers done',
  'snapshot transfers failed',
  'snapshot connections broken',
  'snapshot transfers gone on with',
  'snapshot chunks damaged',
  'snapshots installed',
  'starts from a snapshot',
  'second-generation snapshots',
  'writes acknowledged',
  'writes of unknown outcome',
  'writes turned away',
  'reads answered',
  'redirects followed',
  'named writes sent again',
  'named writes not run twice',
  'transactions done',
  'transactions given up for a watched key',
  'keys expired before a client',
  'pipelines',
  'generated commands answered',
  'generated commands answered with an error',
  'generated transactions done',
  'strings changed',
  'bitmaps changed',
  'HyperLogLogs changed',
  'lists changed',
  'hashes changed',
  'sets changed',
  'sorted sets changed',
  'places changed',
  'streams changed',
  'Bloom filters changed',
  'keys of any type handled',
  'settings changed',
  'messages published',
  'scripts and functions run',
  'keys expired in the log',
  'fields expired in the log',
  'keys evicted',
  'elements put into queues',
  'commands that may wait',
  'clients served by a queue',
  'waits that timed out',
  'waits ended by a lost leader',
  'clients that left while they waited',
  'digests compared',
  'digests compared after a start from a snapshot',
  'digests compared after an installation',
  'digests compared after a replay',
  'portraits compared',
  'snapshots read and written again',
  'histories found linearizable',
] as const;

export type NodeScenario = (typeof NODE_SCENARIOS)[number];

export class NodeCoverage {
  readonly #counts = new Map<NodeScenario, number>(NODE_SCENARIOS.map((scenario) => [scenario, 0]));

  count(scenario: NodeScenario, by = 1): void {
    this.#counts.set(scenario, this.of(scenario) + by);
  }

  of(scenario: NodeScenario): number {
    return this.#counts.get(scenario) ?? 0;
  }

  add(other: NodeCoverage): void {
    for (const scenario of NODE_SCENARIOS) this.count(scenario, other.of(scenario));
  }

  missing(): NodeScenario[] {
    return NODE_SCENARIOS.filter((scenario) => this.of(scenario) === 0);
  }
}

/** By the group of commands that a command belongs to, what a write of it changes. */
const CHANGES: Readonly<Record<string, NodeScenario>> = {
  string: 'strings changed',
  bitmap: 'bitmaps changed',
  hyperloglog: 'HyperLogLogs changed',
  list: 'lists changed',
  hash: 'hashes changed',
  set: 'sets changed',
  'sorted-set': 'sorted sets changed',
  geo: 'places changed',
  stream: 'streams changed',
  bf: 'Bloom filters changed',
  generic: 'keys of any type handled',
  server: 'settings changed',
  pubsub: 'messages published',
  scripting: 'scripts and functions run',
};

/** `null`: of a kind that is not counted. */
export function scenarioOf(group: string): NodeScenario | null {
  return CHANGES[group] ?? null;
}
