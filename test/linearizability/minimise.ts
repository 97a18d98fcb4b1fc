/**
 * Makes a history that is not linearizable small enough for a person, by steps that can't make a linearizable one fail.
 * Simply leaving out whatever can be left out would end at a read of a value whose write was left out: a contradiction
 * that the cluster never made. Instead:
 *
 * 1. **Leave out keys**: the calls on the others are linearizable on their own.
 * 2. **Cut it short.** What a linearizable history holds up to some moment is linearizable: operations sent later go,
 *    answers that came later count as not come. The earliest moment at which it fails is found by bisection.
 * 3. **Leave out reads**, which nobody else can see.
 * 4. **Ignore answers**: an operation whose answer doesn't matter was executed with whatever answer.
 * 5. **Leave out what nobody saw**: writes whose answer doesn't matter and whose value no other answer contains, on keys
 *    that have only been read and overwritten.
 *
 * What is left is then shown with all its answers and times.
 */
import { check, returnedAt } from './checker.ts';
import type { Call, Operation } from './history.ts';
import { isRead, keyOf } from './models.ts';

/** One trial may look at so many configurations; one that doesn't decide by then counts as linearizable. */
const CONFIGURATIONS_PER_TRIAL = 20_000;
/** All trials together: some seconds. Then the history stays as small as it is. */
const CONFIGURATIONS_MAX = 300_000;
/** The operations of a history that is not linearizable that show it: a history that is not linearizable either. */
export function minimise(history: readonly Operation[]): Operation[] {
  return new Minimiser(history).run();
}

class Minimiser {
  #operations: readonly Operation[];
  /** What each weakened operation was. */
  readonly #originals = new Map<Operation, Operation>();
  #configurations = 0;

  constructor(operations: readonly Operation[]) {
    this.#operations = operations;
  }

  run(): Operation[] {
    this.#leaveOutKeys();
    this.#cut();
    for (let before = Infinity; this.#operations.length < before; ) {
      before = this.#operations.length;
      this.#leaveOutReads();
      this.#ignoreAnswers();
      this.#leaveOutUnseen();
    }
    // With all that is known about them: more answers, fewer orders, so it still fails.
    return this.#operations.map((operation) => this.#originals.get(operation) ?? operation);
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
      .map((operation) =>
        returnedAt(operation) <= moment
          ? operation
          : this.#remember({ ...operation, outcome: null }, operation),
      );
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

  #ignoreAnswers(): void {
    const ignored = (operation: Operation): Operation => {
      const { outcome } = operation;
      return this.#remember({ ...operation, outcome: outcome && { ...outcome, replies: null } }, operation);
    };
    this.#inChunks(
      this.#operations.filter(({ outcome }) => outcome !== null && outcome.replies !== null),
      (some) => this.#operations.map((operation) => (some.has(operation) ? ignored(operation) : operation)),
    );
  }

  #leaveOutUnseen(): void {
    this.#inChunks(unseen(this.#operations), (some) =>
      this.#operations.filter((operation) => !some.has(operation)),
    );
  }

  #remember(weaker: Operation, stronger: Operation): Operation {
    this.#originals.set(weaker, this.#originals.get(stronger) ?? stronger);
    return weaker;
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
    const replies = kept.map((at) => outcome?.replies?.[at] ?? null);
    return [
      {
        ...operation,
        calls: kept.map((at) => calls[at]!),
        outcome: outcome && { ...outcome, replies: outcome.replies && replies },
      },
    ];
  });
}

/** Operations that can't have made any answer possible: without them a linearizable history is still linearizable. */
export function unseen(operations: readonly Operation[]): Operation[] {
  const answers = JSON.stringify(operations.map(({ outcome }) => outcome?.replies));
  const isNew = (value: string): boolean => !answers.includes(JSON.stringify(value).slice(1, -1));
  return operations.filter(({ calls, outcome }) => {
    if (outcome !== null && outcome.replies !== null) return false;
    return calls.every((call) => isRead(call) || isUnseen(call, operations, isNew));
  });
}

/**
 * All answers that matter to its key are those of GET and of SET without conditions. From where the call took effect,
 * if it did, its trace is there until the next overwriting, whatever else happens:
 *
 * - a value that it wrote or appended, which no answer contains: nobody looked until then;
 * - the absence of the key, which no answer tells: nobody looked either.
 *
 * `isNew`: whether no answer contains a value.
 */
function isUnseen(call: Call, operations: readonly Operation[], isNew: (value: string) => boolean): boolean {
  const [command, key, value = ''] = call;
  const writes = writesValue(call);
  if (writes ? value === '' || !isNew(value) : command !== 'DEL') return false;
  return operations.every(({ calls, outcome }) =>
    calls.every((other, at) => {
      if (keyOf(other) !== key || other === call) return true;
      const reply = outcome?.replies?.[at];
      if (reply !== undefined) {
        const plain = other[0] === 'GET' || (other[0] === 'SET' && other.length === 3);
        return plain && (writes || reply !== null);
      }
      if (writesValue(other) && other[2] !== '' && isNew(other[2] ?? '')) return true;
      return writes ? keepsOrOverwrites(other) : overwritesOrReads(other);
    }),
  );
}

function writesValue(call: Call): boolean {
  return call[0] === 'SET' || call[0] === 'APPEND';
}

/** Whether a value is either still part of what a call leaves, or what it leaves is the same as without the value. */
function keepsOrOverwrites(call: Call): boolean {
  return ['GET', 'APPEND', 'DEL'].includes(call[0]) || (call[0] === 'SET' && !call.includes('XX', 3));
}

/** Whether what a call leaves never depends on whether there was a key. */
function overwritesOrReads(call: Call): boolean {
  const conditional = call.includes('NX', 3) || call.includes('XX', 3);
  return ['GET', 'DEL'].includes(call[0]) || (call[0] === 'SET' && !conditional);
}
