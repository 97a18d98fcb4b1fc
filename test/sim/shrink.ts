/**
 * From a run that fails to a short one that breaks the same invariant: what is not needed is left out, half the list at
 * a time, then quarters, down to single actions (Zeller's delta debugging), and what is left is made simpler. A run with
 * one action less may take another course, so that a candidate gets a few chances with other delays before it is
 * dismissed.
 */
import type { NodeId } from '../../src/raft/types.ts';
import { type Action, nodeAt, nodesOf, type TimedAction } from './actions.ts';
import { CALM, type ClusterOptions } from './cluster.ts';
import type { Invariant } from './failure.ts';
import { FAIR_WEATHER } from './network.ts';
import { type Recording, replay, type RunResult } from './simulation.ts';

/** Steps of nodes in all runs together at most: about twenty seconds. */
const STEPS_MAX = 15_000_000;
/** Steps that one candidate is worth, in runs with other delays each, and the most runs. */
const STEPS_PER_CANDIDATE = 15_000;
const CHANCES_MAX = 50;
/** A candidate runs on for so long after the time at which the best one failed, in election timeouts. */
const PATIENCE_ELECTIONS = 5;
/** Silences are shortened to this, in election timeouts. */
const SILENCES = [0.05, 0.5, 2];

export interface Shrunk {
  readonly recording: Recording;
  readonly result: RunResult;
  /** Runs that it took. */
  readonly runs: number;
}

/** Shrinks a recording whose replay breaks `invariant`. */
export function shrink(recording: Recording, invariant: Invariant): Shrunk {
  return new Shrinker(recording, invariant).shrink();
}

class Shrinker {
  private best: Recording;
  private result: RunResult;
  private runs = 0;
  private steps = 0;
  private readonly invariant: Invariant;

  constructor(recording: Recording, invariant: Invariant) {
    this.invariant = invariant;
    this.best = recording;
    this.result = replay(recording, null);
    if (this.result.failure?.invariant !== invariant)
      throw new Error(`the recording does not break ${invariant}, there is nothing to shrink`);
  }

  shrink(): Shrunk {
    this.cutEnd();
    let before: number;
    do {
      before = this.best.actions.length;
      this.dropKinds();
      this.dropActions();
      this.dropNodes();
      this.shortenSilences();
      this.simplify();
    } while (this.best.actions.length < before);
    this.cutEnd();
    return { recording: this.best, result: this.result, runs: this.runs };
  }

  /** Whether the candidate fails in the same way; then it is the new best. */
  private accepts(candidate: Recording): boolean {
    const { options } = candidate;
    let steps = 0;
    for (let chance = 0; chance < CHANCES_MAX && steps < STEPS_PER_CANDIDATE; chance += 1) {
      if (this.steps > STEPS_MAX) return false;
      const varied = { ...candidate, options: { ...options, seed: options.seed + chance } };
      const result = replay(varied, null, this.deadline());
      this.runs += 1;
      this.steps += result.steps;
      steps += result.steps;
      if (result.failure?.invariant !== this.invariant) continue;
      this.best = varied;
      this.result = result;
      return true;
    }
    return false;
  }

  /** When a candidate that has not failed is given up, in ms; what shows only in the end must be run to the end. */
  private deadline(): number {
    const { virtualMs } = this.result;
    if (this.invariant === 'LV' || this.invariant === 'AV') return Number.POSITIVE_INFINITY;
    return virtualMs + PATIENCE_ELECTIONS * this.best.options.electionMs;
  }

  private withActions(actions: readonly TimedAction[]): Recording {
    return { ...this.best, actions };
  }

  private withOptions(options: Partial<ClusterOptions>): Recording {
    return { ...this.best, options: { ...this.best.options, ...options } };
  }

  /** What comes after the failure did not cause it. */
  private cutEnd(): void {
    const { virtualMs } = this.result;
    const actions = this.best.actions.filter(({ at }) => at <= virtualMs);
    if (actions.length < this.best.actions.length) this.accepts(this.withActions(actions));
  }

  /** All actions of one kind at once: most kinds have nothing to do with it. */
  private dropKinds(): void {
    for (const kind of new Set(this.best.actions.map(({ action }) => action.type)))
      this.accepts(this.withActions(this.best.actions.filter(({ action }) => action.type !== kind)));
  }

  private dropActions(): void {
    for (let size = Math.ceil(this.best.actions.length / 2); size >= 1; size = Math.floor(size / 2)) {
      // From the beginning: most of what came long before has nothing to do with it.
      for (let at = 0; at < this.best.actions.length; ) {
        const { actions } = this.best;
        const rest = [...actions.slice(0, at), ...actions.slice(at + size)];
        if (!this.accepts(this.withActions(rest))) at += size;
      }
      // The runs to come are shorter by it.
      this.shortenSilences();
    }
  }

  private dropNodes(): void {
    while (this.best.options.learners > 0 && this.dropNode(this.best.options.voters, { learners: 0 }));
    for (let at = this.best.options.voters - 1; at >= 0 && this.best.options.voters > 1; at -= 1) {
      if (this.best.options.learners === 0) this.dropNode(at, { voters: this.best.options.voters - 1 });
    }
  }

  /** Leaves out the node at `position`; the last one takes its name. */
  private dropNode(position: number, options: Partial<ClusterOptions>): boolean {
    const { voters, learners } = this.best.options;
    const [gone, last] = [nodeAt(position), nodeAt(voters + learners - 1)];
    const actions = this.best.actions.flatMap(({ at, action }) => {
      const left = without(action, gone);
      return left === null ? [] : [{ at, action: renamed(left, last, gone) }];
    });
    return this.accepts({ ...this.withOptions(options), actions });
  }

  /** A pause between two actions, and the one before the first, may have been longer than it takes. */
  private shortenSilences(): void {
    const { electionMs } = this.best.options;
    for (let at = 0; at < this.best.actions.length; at += 1) {
      for (const elections of SILENCES) {
        const { actions } = this.best;
        const saved = gapBefore(actions, at) - elections * electionMs;
        if (saved <= 1) continue;
        const moved = actions.map((one, position) =>
          position < at ? one : { at: one.at - saved, action: one.action },
        );
        const { peaceAt } = this.best;
        if (this.accepts({ ...this.withActions(moved), peaceAt: peaceAt - saved })) break;
      }
    }
  }

  private simplify(): void {
    const plain: Partial<ClusterOptions>[] = [
      { limits: {} },
      { snapshotEntries: 0 },
      { snapshotTail: 0 },
      { heartbeatMs: CALM.heartbeatMs, electionMs: CALM.electionMs, tickMs: CALM.tickMs },
    ];
    for (const options of plain) {
      const changes = Object.entries(options).some(
        ([name, value]) =>
          JSON.stringify(this.best.options[name as keyof ClusterOptions]) !== JSON.stringify(value),
      );
      if (changes) this.accepts(this.withOptions(options));
    }
    for (let at = 0; at < this.best.actions.length; at += 1) {
      const { actions } = this.best;
      const one = actions[at];
      const simpler = one === undefined ? null : simplerThan(one.action);
      if (one === undefined || simpler === null) continue;
      this.accepts(
        this.withActions([
          ...actions.slice(0, at),
          { at: one.at, action: simpler },
          ...actions.slice(at + 1),
        ]),
      );
    }
  }
}

function gapBefore(actions: readonly TimedAction[], at: number): number {
  return (actions[at]?.at ?? 0) - (actions[at - 1]?.at ?? 0);
}

/** The action where the node does not exist; `null`: nothing is left of it. */
function without(action: Action, node: NodeId): Action | null {
  if (action.type !== 'cut') return nodesOf(action).includes(node) ? null : action;
  const from = action.from.filter((id) => id !== node);
  const to = action.to.filter((id) => id !== node);
  return from.length === 0 || to.length === 0 ? null : { type: 'cut', from, to };
}

function renamed(action: Action, from: NodeId, to: NodeId): Action {
  return JSON.parse(JSON.stringify(action), (_key, value: unknown) =>
    value === from ? to : value,
  ) as Action;
}

function simplerThan(action: Action): Action | null {
  switch (action.type) {
    case 'write':
      return action.bytes === 0 ? null : { ...action, bytes: 0 };
    case 'weather': {
      const { minDelayMs, maxDelayMs } = action.weather;
      const weather = { ...FAIR_WEATHER, minDelayMs, maxDelayMs };
      return JSON.stringify(weather) === JSON.stringify(action.weather) ? null : { ...action, weather };
    }
    default:
      return null;
  }
}
