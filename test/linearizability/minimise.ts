/**
 * Makes a history that is not linearizable small enough for a person, by steps that can't make a linearizable one fail.
 * Simply leaving out whatever can be left out would end at a read of a value whose write was left out: a contradiction
 * that the cluster never made. Instead:
 *
 * 1. **Leave out keys**: the calls on the others are linearizable on their own.
 * 2. **Cut it short.** What a linearizable history holds up to some moment is linearizable: operations sent later go,
 *    answers that came later count as not come. The earliest moment at which it fails is found by bisection.
 * 3. **Leave out reads**, which nobody else can see.
 * 4. **Forget answers.** An operation whose answer doesn't matter becomes one of unknown outcome, which allows more.
 * 5. **Leave out unseen writes**: those of unknown outcome whose value no answer contains, on keys that have only been
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
/** All trials together: some seconds. Then the history stays as small as it is. */
const CONFIGURATIONS_MAX = 300_000;
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
  #configurations = 0;

  constructor(operations: readonly Operation[]) {
    this.#operations = operations;
  }

  run(): Minimised {
    this.#leaveOutKeys();
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

  /** One key is enough for most; a transaction that was not atomic takes several. */
  #leaveOutKeys(): void {
    const keys = new Set(this.#operations.flatMap(({ calls }) => calls.map(keyOf)));
    for (const key of keys) {
      const alone = callsOn(this.#operations, (other) => other === key);
      if (this.#fails(alone)) {
        this.#operations = alone;
        return;
      }
    }
    for (const key of keys) {
      const others = callsOn(this.#operations, (other) => other !== key);
      if (this.#fails(others)) this.#operations = others;
    }
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
    if (this.#configurations > CONFIGURATIONS_MAX) return false;
    const { verdict, configurations } = check(operations, CONFIGURATIONS_PER_TRIAL);
    this.#configurations += configurations;
    return verdict === 'violated';
  }
}

/** The calls on the keys wanted, with their answers. */
function callsOn(operations: readonly Operation[], wanted: (key: string) => boolean): Operation[] {
  return operations.flatMap((operation) => {
    const { calls, outcome } = operation;
    const kept = calls.flatMap((call, at) => (wanted(keyOf(call)) ? [at] : []));
    if (kept.length === 0) return [];
    if (kept.length === calls.length) return [operation];
    const replies = kept.map((at) => outcome?.replies[at] ?? null);
    return [
      {
        ...operation,
        calls: kept.map((at) => calls[at]!),
        outcome: outcome === null ? null : { ...outcome, replies },
      },
    ];
  });
}

/** Without the unknown outcomes that no answer depends on. */
export function withoutUnseen(operations: readonly Operation[]): Operation[] {
  return operations.filter((operation) => !isUnseen(operation, operations));
}

/**
 * Whether an operation of unknown outcome can't have mattered to any answer. All that has an answer reads its key or
 * overwrites it, so from where it took effect, if it did, its trace is there until the next overwriting:
 *
 * - a value that it wrote, which no answer contains: nobody looked until then;
 * - the absence of the key, which no answer tells: nobody looked either, and what came first then was a plain write,
 *   since there is nothing here whose effect depends on whether there is a key.
 */
function isUnseen({ calls, outcome }: Operation, operations: readonly Operation[]): boolean {
  const [call] = calls;
  if (outcome !== null || call === undefined || calls.length > 1) return false;
  const [command, key, value = ''] = call;
  const isWrite = (command === 'SET' || command === 'APPEND') && value !== '';
  if (!isWrite && command !== 'DEL') return false;
  return operations.every((other) =>
    other.calls.every((one, at) => {
      if (keyOf(one) !== key) return true;
      const plain = one[0] === 'GET' || (one[0] === 'SET' && one.length === 3);
      if (other.outcome === null) return isWrite ? !one.includes('XX', 3) : plain || one[0] === 'DEL';
      const reply = other.outcome.replies[at] ?? null;
      return plain && (isWrite ? !String(reply).includes(value) : reply !== null);
    }),
  );
}
