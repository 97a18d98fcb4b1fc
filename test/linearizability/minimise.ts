/**
 * Makes a history that is not linearizable small enough for a person, by steps that can't make a linearizable one fail.
 * Simply leaving out whatever can be left out would end at a read of a value whose write was left out: a contradiction
 * that the cluster never made. Instead:
 *
 * 1. **Cut it short.** What a linearizable history holds up to some moment is linearizable: operations sent later go,
 *    answers that came later count as not come. The earliest moment at which it fails is found by bisection.
 * 2. **Leave out reads**, which nobody else can see.
 * 3. **Forget answers.** An operation whose answer doesn't matter becomes one of unknown outcome, which allows more.
 * 4. **Leave out unseen writes**: those of unknown outcome whose value no answer contains, on keys that have only been
 *    read and overwritten.
 */
import { check, returnedAt } from './checker.ts';
import type { Operation } from './history.ts';
import { isRead, keyOf } from './models.ts';

export interface Minimised {
  /** Still not linearizable. */
  readonly operations: readonly Operation[];
  /** Those among them whose answer came later or doesn't matter: they stand there as of unknown outcome. */
  readonly forgotten: readonly Operation[];
}

/** One trial may look at so many configurations; one that doesn't decide by then counts as linearizable. */
const CONFIGURATIONS_PER_TRIAL = 20_000;
const TRIALS_MAX = 3000;
/** So few operations are shown with all their answers, even those that don't matter. */
const WITH_ANSWERS_MAX = 12;

/** `history` is not linearizable. */
export function minimise(history: readonly Operation[]): Minimised {
  return new Minimiser(history).run();
}

class Minimiser {
  #operations: readonly Operation[];
  /** The operation as it was, for each whose answer was forgotten. */
  readonly #forgotten = new Map<Operation, Operation>();
  #trials = 0;

  constructor(operations: readonly Operation[]) {
    this.#operations = operations;
  }

  run(): Minimised {
    this.#cut();
    for (let before = Infinity; this.#operations.length < before; ) {
      before = this.#operations.length;
      this.#leaveOutReads();
      this.#forgetAnswers();
      this.#leaveOutUnseen();
    }
    if (this.#operations.length <= WITH_ANSWERS_MAX) {
      // More answers, fewer orders: it still fails.
      return { operations: this.#operations.map((one) => this.#forgotten.get(one) ?? one), forgotten: [] };
    }
    return {
      operations: this.#operations,
      forgotten: this.#operations.filter((operation) => this.#forgotten.has(operation)),
    };
  }

  #cut(): void {
    const moments = this.#operations
      .map(returnedAt)
      .filter(Number.isFinite)
      .sort((a, b) => a - b);
    let low = 0;
    let high = moments.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#fails(this.#until(moments[middle]!))) high = middle;
      else low = middle + 1;
    }
    const shorter = this.#until(moments[low] ?? 0);
    if (this.#fails(shorter)) this.#operations = shorter;
  }

  /** What was known at a moment. */
  #until(moment: number): Operation[] {
    return this.#operations
      .filter(({ invoked }) => invoked <= moment)
      .map((operation) => (returnedAt(operation) <= moment ? operation : this.#forget(operation)));
  }

  #leaveOutReads(): void {
    this.#inChunks(
      this.#operations.filter(({ calls }) => calls.every(isRead)),
      (some) => this.#operations.filter((operation) => !some.has(operation)),
    );
  }

  #forgetAnswers(): void {
    this.#inChunks(
      this.#operations.filter(({ outcome }) => outcome !== null),
      (some) =>
        this.#operations.map((operation) => (some.has(operation) ? this.#forget(operation) : operation)),
    );
  }

  #forget(operation: Operation): Operation {
    if (operation.outcome === null) return operation;
    const forgotten = { ...operation, outcome: null };
    this.#forgotten.set(forgotten, operation);
    return forgotten;
  }

  #leaveOutUnseen(): void {
    this.#operations = withoutUnseen(this.#operations);
  }

  /** Takes as many of `operations` as it can through `change`: in halves, then quarters, …, then one by one. */
  #inChunks(
    operations: readonly Operation[],
    change: (some: ReadonlySet<Operation>) => readonly Operation[],
  ): void {
    let left = operations;
    for (let size = left.length; size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      const kept: Operation[] = [];
      for (let at = 0; at < left.length; at += size) {
        const some = left.slice(at, at + size);
        const changed = change(new Set(some));
        if (this.#fails(changed)) this.#operations = changed;
        else kept.push(...some);
      }
      left = kept;
    }
  }

  #fails(operations: readonly Operation[]): boolean {
    this.#trials += 1;
    return this.#trials <= TRIALS_MAX && check(operations, CONFIGURATIONS_PER_TRIAL).verdict === 'violated';
  }
}

/** Without the unknown outcomes that no answer depends on. */
export function withoutUnseen(operations: readonly Operation[]): Operation[] {
  return operations.filter((operation) => !isUnseen(operation, operations));
}

/**
 * Whether an operation of unknown outcome can't have mattered to any answer: it writes a value that no answer contains,
 * and whatever has an answer reads or overwrites its key. Where it took effect, nobody looked before the next overwrite.
 */
function isUnseen({ calls, outcome }: Operation, operations: readonly Operation[]): boolean {
  const [call] = calls;
  if (outcome !== null || call === undefined || calls.length > 1) return false;
  const [command, key, value] = call;
  const writes = (command === 'SET' && call.length === 3) || command === 'APPEND';
  if (!writes || value === undefined || value === '') return false;
  return operations.every((other) => {
    if (other.outcome === null) return true;
    const onKey = other.calls.filter((one) => keyOf(one) === key);
    return (
      onKey.every((one) => one[0] === 'GET' || (one[0] === 'SET' && one.length === 3)) &&
      !JSON.stringify(other.outcome.replies).includes(JSON.stringify(value).slice(1, -1))
    );
  });
}
