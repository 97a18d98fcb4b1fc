/**
 * Decides whether a history is linearizable.
 *
 * The search is that of Wing & Gong (1993): build an order from its beginning; next may come every operation that no
 * other one left has returned before it was sent; where the specification gives another answer than the client got, go
 * back. Lowe (2017) and Horn & Kroening (2015) made it fast: remember the configurations that led nowhere (which
 * operations are placed, in which state the object is), and search parts that share no keys on their own. Added here:
 *
 * - **Lanes.** Operations with an answer are laid out in as few lanes as possible so that no two in a lane overlap, as
 *   those of one client do. Within a lane the order is given, so one position per lane says which are placed, however
 *   long the history is; and only the head of a lane can come next.
 * - **A read that may come next and fits comes next.** It is in nobody's way, there or later. So is any other operation
 *   whose answer says that it changed nothing. (One that merely happens to change nothing *now* may be needed later.)
 * - **The operation that must return first** has to be placed before anything that is sent later. Until then only those
 *   matter that share keys with it, directly or through others; how the rest are interleaved makes no difference (the
 *   partial-order reduction of model checkers).
 * - **Unknown outcomes** need never be placed. A configuration is therefore at least as good as another one with the
 *   same lanes and state that has placed more of them, and only the better one is searched. For the same reason one
 *   must make a difference to what comes right after it. Of several that are equal, the first sent is placed first.
 *
 * The search keeps its own stack, and gives up, undecided, after a number of configurations.
 *
 * ```
 *  lane 0  ├ SET x 1 ┤    ├──── GET x ────┤        placed: SET x 1, SET x 2 = positions [1, 1]
 *  lane 1       ├ SET x 2 ┤      ├ DEL x ┤         next:   GET x, DEL x, or the unknown INCRBY
 *  unknown            ├ INCRBY n 1 ─ ─ ─ ─ ─
 * ```
 */
import type { Call, Operation, Reply } from './history.ts';
import { changedNothing, keyOf, run, type Value } from './models.ts';

/** Configurations that are looked at for one part of the history before the search gives up. */
export const CONFIGURATIONS_MAX = 1_000_000;

/** Operations that share keys, and what is known about them. */
export interface Stuck {
  readonly operations: readonly Operation[];
  /** The longest order found that agrees with all answers: a linearization of as many operations as possible. */
  readonly order: readonly Operation[];
  /** The values after it. */
  readonly values: ReadonlyMap<string, Value>;
  /** Has an answer, must come next at the latest, and nothing makes it fit. */
  readonly unplaced: Operation;
}

export type Verdict = { /** How many the search looked at. */ readonly configurations: number } & (
  | { readonly verdict: 'linearizable' }
  | ({ readonly verdict: 'violated' } & Stuck)
  /** The search gave up; `stuck` says where it was. */
  | ({ readonly verdict: 'undecided' } & Stuck)
);

export function check(
  history: readonly Operation[],
  configurationsMax: number = CONFIGURATIONS_MAX,
): Verdict {
  let configurations = 0;
  let undecided: Verdict | null = null;
  for (const operations of parts(history)) {
    const search = new Search(operations, configurationsMax);
    const verdict = search.run();
    configurations += search.configurations;
    if (verdict === 'violated') return { verdict, configurations, ...search.stuck() };
    if (verdict === 'undecided') undecided ??= { verdict, configurations, ...search.stuck() };
  }
  return undecided ?? { verdict: 'linearizable', configurations };
}

/** Splits a history into parts that share no keys; each is linearizable exactly if the whole is. */
export function parts(history: readonly Operation[]): Operation[][] {
  const parents = new Map<string, string>();
  const rootOf = (key: string): string => {
    let root = key;
    for (let up = parents.get(root); up !== undefined; up = parents.get(root)) root = up;
    if (root !== key) parents.set(key, root);
    return root;
  };
  const firstKey = ({ calls }: Operation): string => {
    if (calls[0] === undefined) throw new Error('an operation without calls');
    return keyOf(calls[0]);
  };
  for (const operation of history) {
    const root = rootOf(firstKey(operation));
    for (const call of operation.calls) {
      const other = rootOf(keyOf(call));
      if (other !== rootOf(root)) parents.set(other, rootOf(root));
    }
  }
  return [...Map.groupBy(history, (operation) => rootOf(firstKey(operation))).values()];
}

/** An operation made ready for the search. */
interface Candidate {
  readonly operation: Operation;
  readonly invoked: number;
  /** Infinity for an unknown outcome. */
  readonly returned: number;
  readonly calls: readonly { readonly slot: number; readonly call: Call }[];
  readonly replies: readonly Reply[] | null;
  /** Its answer says that it changed nothing. */
  readonly readOnly: boolean;
  /** The lane that it is in, or which of the unknown outcomes it is; the other is -1. */
  lane: number;
  unknown: number;
}

/** The number of each key's value. The same array only if no value differs. */
type State = readonly number[];

/** A way on from a configuration. */
interface Move {
  readonly candidate: Candidate;
  readonly after: State;
}

interface Frame {
  /** What led here; `null` at the bottom. */
  readonly move: Move | null;
  readonly state: State;
  /** Unknown outcomes placed so far, ascending. */
  readonly unknowns: readonly number[];
  readonly moves: readonly Move[];
  tried: number;
}

class Search {
  configurations = 0;
  readonly #operations: readonly Operation[];
  readonly #configurationsMax: number;
  readonly #keys: readonly string[];
  readonly #lanes: readonly (readonly Candidate[])[];
  /** By the time when they were sent. */
  readonly #unknowns: readonly Candidate[];
  /** For each of the unknowns the equal one sent before it, or -1. */
  readonly #twins: readonly number[];
  readonly #longestReads: readonly (string | null)[];
  readonly #values = new Values();
  /** How many of each lane are placed. */
  readonly #positions: number[];
  readonly #stack: Frame[] = [];
  #placed = 0;
  /** Configurations searched, by lanes and state: the sets of unknown outcomes placed, none a subset of another. */
  readonly #seen = new Map<string, (readonly number[])[]>();
  #deepest = -1;
  #deepestOrder: readonly Operation[] = [];
  #deepestState: State = [];

  constructor(operations: readonly Operation[], configurationsMax: number) {
    this.#operations = operations;
    this.#configurationsMax = configurationsMax;
    const slots = new Map<string, number>();
    for (const { calls } of operations) {
      for (const call of calls) {
        const key = keyOf(call);
        if (!slots.has(key)) slots.set(key, slots.size);
      }
    }
    this.#keys = [...slots.keys()];
    const candidates = operations
      .map((operation) => prepare(operation, slots))
      .sort((a, b) => a.invoked - b.invoked);
    this.#lanes = lanesOf(candidates.filter(({ operation }) => operation.outcome !== null));
    this.#unknowns = candidates.filter(({ operation }) => operation.outcome === null);
    for (const [at, candidate] of this.#unknowns.entries()) candidate.unknown = at;
    this.#twins = twinsOf(this.#unknowns);
    this.#longestReads = longestReads(operations, this.#keys);
    this.#positions = this.#lanes.map(() => 0);
  }

  run(): Verdict['verdict'] {
    const known = this.#lanes.reduce((sum, lane) => sum + lane.length, 0);
    this.#push(
      null,
      this.#keys.map(() => Values.ABSENT),
      [],
    );
    for (let frame = this.#stack.at(-1); frame !== undefined; frame = this.#stack.at(-1)) {
      if (this.#placed === known) return 'linearizable';
      const move = frame.moves[frame.tried];
      if (move === undefined) this.#pop(frame);
      else {
        frame.tried += 1;
        if (this.configurations >= this.#configurationsMax) {
          this.#noteDepth(frame);
          return 'undecided';
        }
        this.#go(frame, move);
      }
    }
    return 'violated';
  }

  stuck(): Stuck {
    const placed = new Set(this.#deepestOrder);
    const left = this.#operations.filter(({ outcome }) => outcome !== null).filter((one) => !placed.has(one));
    const first = left.reduce((a, b) => (returnedAt(b) < returnedAt(a) ? b : a));
    const values = this.#deepestState.map((number) => this.#values.valueOf(number));
    return {
      operations: this.#operations,
      order: this.#deepestOrder,
      values: new Map(this.#keys.map((key, slot) => [key, values[slot] ?? null])),
      unplaced: first,
    };
  }

  #go(from: Frame, move: Move): void {
    const { unknown } = move.candidate;
    const unknowns = unknown < 0 ? from.unknowns : withNumber(from.unknowns, unknown);
    this.#advance(move, 1);
    // Where there is one way only, what it leads to is remembered at its end.
    if (from.moves.length > 1 && this.#wasSeen(move.after, unknowns)) this.#advance(move, -1);
    else this.#push(move, move.after, unknowns);
  }

  #push(move: Move | null, state: State, unknowns: readonly number[]): void {
    this.configurations += 1;
    const isUnknown = move !== null && move.candidate.unknown >= 0;
    const without = isUnknown ? (this.#stack.at(-1)?.state ?? null) : null;
    this.#stack.push({ move, state, unknowns, moves: this.#movesFrom(state, unknowns, without), tried: 0 });
  }

  #pop(frame: Frame): void {
    this.#noteDepth(frame);
    this.#stack.pop();
    if (frame.move !== null) this.#advance(frame.move, -1);
  }

  #advance({ candidate: { lane } }: Move, by: 1 | -1): void {
    if (lane < 0) return;
    this.#positions[lane] = (this.#positions[lane] ?? 0) + by;
    this.#placed += by;
  }

  /** The order is copied only where the search turns back, deeper than before. */
  #noteDepth({ state }: Frame): void {
    if (this.#placed <= this.#deepest) return;
    this.#deepest = this.#placed;
    this.#deepestOrder = this.#stack.flatMap(({ move }) => (move === null ? [] : [move.candidate.operation]));
    this.#deepestState = state;
  }

  /**
   * What may come next and gives the right answer; what must return first is tried first, unknown outcomes last.
   * `without`: the state before an unknown outcome was placed, if that was the last move.
   */
  #movesFrom(state: State, unknowns: readonly number[], without: State | null): Move[] {
    const heads = this.#heads();
    const [first] = heads;
    if (first === undefined) return [];
    const moves: Move[] = [];
    for (const candidate of heads) {
      const after = this.#execute(state, candidate);
      if (after === null) continue;
      if (candidate.readOnly) return [{ candidate, after }];
      if (!this.#wasUseless(without, candidate, after)) moves.push({ candidate, after });
    }
    const open = this.#openUnknowns(first.returned, unknowns);
    for (const candidate of open) {
      const twin = this.#twins[candidate.unknown] ?? -1;
      if (twin >= 0 && !unknowns.includes(twin)) continue;
      const after = this.#execute(state, candidate);
      if (after === null || after === state || this.#isOffTrack(candidate, after)) continue;
      if (!this.#wasUseless(without, candidate, after)) moves.push({ candidate, after });
    }
    if (moves.length <= 1 || this.#keys.length === 1) return moves;
    const entangled = entangledWith(first, [...heads, ...open]);
    return moves.filter(({ candidate }) => entangled.has(candidate));
  }

  /** The heads of lanes that nothing left returned before, by when they returned. */
  #heads(): Candidate[] {
    const heads: Candidate[] = [];
    let latest = Infinity;
    for (const [at, lane] of this.#lanes.entries()) {
      const head = lane[this.#positions[at] ?? 0];
      if (head === undefined) continue;
      heads.push(head);
      latest = Math.min(latest, head.returned);
    }
    return heads.filter(({ invoked }) => invoked <= latest).sort((a, b) => a.returned - b.returned);
  }

  /** Unknown outcomes not placed yet that were sent by `latest`. */
  #openUnknowns(latest: number, unknowns: readonly number[]): Candidate[] {
    return this.#unknowns.filter(({ invoked, unknown }) => invoked <= latest && !unknowns.includes(unknown));
  }

  /** Whether a candidate leads to the same state if the unknown outcome placed just before it is left out. */
  #wasUseless(without: State | null, candidate: Candidate, after: State): boolean {
    const other = without === null ? null : this.#execute(without, candidate);
    return other !== null && other.every((number, slot) => number === after[slot]);
  }

  /** Whether an operation of unknown outcome makes a value that can't be there any more: see {@link longestReads}. */
  #isOffTrack({ calls }: Candidate, after: State): boolean {
    return calls.some(({ slot }) => {
      const longest = this.#longestReads[slot] ?? null;
      const value = this.#values.valueOf(after[slot] ?? Values.ABSENT);
      if (longest === null || typeof value !== 'string') return false;
      return !longest.startsWith(value) && !value.startsWith(longest);
    });
  }

  /** The state after an operation; `state` itself if nothing changes; `null` if the client got another answer. */
  #execute(state: State, { calls, replies }: Candidate): State | null {
    let after: number[] | null = null;
    for (let at = 0; at < calls.length; at += 1) {
      const { slot, call } = calls[at]!;
      const before = (after ?? state)[slot] ?? Values.ABSENT;
      const old = this.#values.valueOf(before);
      const { value, reply } = run(old, call);
      if (replies !== null && !sameReply(reply, replies[at] ?? null)) return null;
      if (value === old) continue;
      after ??= [...state];
      after[slot] = this.#values.numberOf(value);
    }
    return after === null || after.every((number, slot) => number === state[slot]) ? state : after;
  }

  /** Whether a configuration at least as good was searched before; remembers this one if not. */
  #wasSeen(state: State, unknowns: readonly number[]): boolean {
    const key = `${this.#positions.join()}|${state.join()}`;
    const seen = this.#seen.get(key);
    if (seen === undefined) {
      this.#seen.set(key, [unknowns]);
      return false;
    }
    if (seen.some((fewer) => isSubset(fewer, unknowns))) return true;
    this.#seen.set(key, [...seen.filter((more) => !isSubset(unknowns, more)), unknowns]);
    return false;
  }
}

/** Values by number, so that states are compared and remembered cheaply. */
class Values {
  static readonly ABSENT = 0;
  readonly #values: Value[] = [null];
  readonly #numbers = new Map<string, number>();

  valueOf(number: number): Value {
    return this.#values[number] ?? null;
  }

  numberOf(value: Value): number {
    if (value === null) return Values.ABSENT;
    const text = typeof value === 'string' ? `=${value}` : JSON.stringify(value);
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.#values.push(value) - 1;
    this.#numbers.set(text, number);
    return number;
  }
}

function prepare(operation: Operation, slots: ReadonlyMap<string, number>): Candidate {
  const { invoked, calls, outcome } = operation;
  if (
    outcome !== null &&
    (outcome.returned < invoked || (outcome.replies?.length ?? calls.length) !== calls.length)
  ) {
    throw new Error(`not an operation: ${JSON.stringify(operation)}`);
  }
  return {
    operation,
    invoked,
    returned: returnedAt(operation),
    calls: calls.map((call) => ({ slot: slots.get(keyOf(call)) ?? 0, call })),
    replies: outcome?.replies ?? null,
    readOnly: outcome !== null && calls.every((call, at) => changedNothing(call, outcome.replies?.[at])),
    lane: -1,
    unknown: -1,
  };
}

export function returnedAt({ outcome }: Operation): number {
  return outcome?.returned ?? Infinity;
}

/** Each goes to the first lane whose last operation returned before this one was sent. */
function lanesOf(candidates: readonly Candidate[]): Candidate[][] {
  const lanes: Candidate[][] = [];
  for (const candidate of candidates) {
    const free = lanes.findIndex((lane) => (lane.at(-1)?.returned ?? 0) < candidate.invoked);
    candidate.lane = free < 0 ? lanes.length : free;
    if (free < 0) lanes.push([candidate]);
    else lanes[free]?.push(candidate);
  }
  return lanes;
}

function twinsOf(unknowns: readonly Candidate[]): number[] {
  const last = new Map<string, number>();
  return unknowns.map(({ operation }, at) => {
    const text = JSON.stringify(operation.calls);
    const twin = last.get(text) ?? -1;
    last.set(text, at);
    return twin;
  });
}

/**
 * Those among `candidates` that share keys with the first, or with others that do. All others that may come before it
 * are in nobody's way whether they come before or after these: one order of the two is enough.
 */
function entangledWith(first: Candidate, candidates: readonly Candidate[]): Set<Candidate> {
  const entangled = new Set([first]);
  const slots = new Set(first.calls.map(({ slot }) => slot));
  for (let before = 0; before < entangled.size; ) {
    before = entangled.size;
    for (const candidate of candidates) {
      if (entangled.has(candidate) || !candidate.calls.some(({ slot }) => slots.has(slot))) continue;
      entangled.add(candidate);
      for (const { slot } of candidate.calls) slots.add(slot);
    }
  }
  return entangled;
}

/**
 * For each key that is only appended to, the longest value read: every other value that it has in a linearization is
 * the beginning of this one or goes on from it. `null` for other keys.
 */
function longestReads(operations: readonly Operation[], keys: readonly string[]): (string | null)[] {
  const longest = new Map<string, string | null>(keys.map((key) => [key, '']));
  for (const { calls, outcome } of operations) {
    for (const [at, call] of calls.entries()) {
      const key = keyOf(call);
      const before = longest.get(key) ?? null;
      const reply = call[0] === 'GET' ? (outcome?.replies?.[at] ?? '') : '';
      if ((call[0] !== 'GET' && call[0] !== 'APPEND') || typeof reply !== 'string') longest.set(key, null);
      else if (before !== null && reply.length > before.length) longest.set(key, reply);
    }
  }
  return keys.map((key) => longest.get(key) ?? null);
}

function sameReply(a: Reply, b: Reply): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  return a.length === b.length && a.every((element, at) => sameReply(element, b[at] ?? null));
}

function withNumber(numbers: readonly number[], number: number): number[] {
  return [...numbers, number].sort((a, b) => a - b);
}

/** Both ascending. */
function isSubset(few: readonly number[], many: readonly number[]): boolean {
  let at = 0;
  for (const number of many) if (few[at] === number) at += 1;
  return at === few.length;
}
