/** What happened in a run. A scenario that silently never occurs shows as a zero. */
export const SCENARIOS = [
  'pre-votes',
  'campaigns',
  'leaders elected',
  'leaders deposed',
  'votes granted',
  'messages sent',
  'messages lost',
  'messages doubled',
  'messages overtaken',
  'crashes',
  'crashes in a disk write',
  'crashes of all nodes',
  'restarts',
  'pauses',
  'disk stalls',
  'clock changes',
  'partitions, symmetric',
  'partitions, one-way',
  'partitions, bridge',
  'peers reported down',
  'disk writes',
  'log tails cut off',
  'writes proposed',
  'writes acknowledged',
  'writes turned away',
  'writes with unknown outcome',
  'reads on leaders',
  'reads on followers',
  'reads failed',
  'snapshots saved',
  'snapshots fetched',
  'snapshot fetches failed',
  'snapshots restored',
  'compactions',
  'log reads',
  'log reads of gone entries',
  'transfers begun',
  'transfers done',
  'nodes joined',
  'membership changes asked for',
  'membership changes done',
  'membership changes turned away',
  'membership changes with unknown outcome',
  'joint configurations begun',
  'joint configurations rolled back',
  'joint configurations finished by another leader',
  'learners promoted',
  'voters replaced',
  'addresses changed',
  'leaders removed',
  'removed nodes restarted',
  'messages of removed nodes refused',
  'messages of impostors refused',
  'directories emptied',
  'ends of logs lost',
  'old copies put back',
  'old copies noticed',
  'nodes recovered',
  'full disks',
  'writes turned away for a full disk',
  'quiet times',
] as const;

export type Scenario = (typeof SCENARIOS)[number];

export class Coverage {
  private readonly counts = new Map<Scenario, number>(SCENARIOS.map((scenario) => [scenario, 0]));

  count(scenario: Scenario): void {
    this.counts.set(scenario, this.of(scenario) + 1);
  }

  of(scenario: Scenario): number {
    return this.counts.get(scenario) ?? 0;
  }

  add(other: Coverage): void {
    for (const scenario of SCENARIOS) this.counts.set(scenario, this.of(scenario) + other.of(scenario));
  }

  missing(): Scenario[] {
    return SCENARIOS.filter((scenario) => this.of(scenario) === 0);
  }
}
