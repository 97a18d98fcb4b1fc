/** Histories of an object that really is atomic, from a seed, and a checker too simple to be wrong. */
import type { Call, Operation, Reply } from '../../linearizability/history.ts';
import { keyOf, run, type Value } from '../../linearizability/models.ts';
import type { Random } from '../../sim/random.ts';

export interface Shape {
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  /** The share of operations of unknown outcome. */
  readonly unknown: number;
  /** The share of operations that are transactions over two of all keys. */
  readonly transactions: number;
}

/** How long an operation takes at most, ms; the moment at which it takes effect lies anywhere within. */
const DURATION_MS = 20;

/** What an atomic object answers to clients that overlap: linearizable, since every effect has its moment. */
export function atomicHistory(random: Random, shape: Shape): Operation[] {
  const free = Array.from({ length: shape.clients }, () => 0);
  const planned = Array.from({ length: shape.operations }, (_, at) => {
    const client = random.below(shape.clients);
    const invoked = Math.floor(free[client]! + random.next() * 4);
    const returned = Math.floor(invoked + random.next() * DURATION_MS);
    free[client] = returned + 1;
    const known = !random.chance(shape.unknown);
    const late = random.chance(0.5) ? random.next() * 10 * DURATION_MS : Infinity;
    const effect = known ? invoked + random.next() * (returned - invoked) : invoked + late;
    return { client: `c${client}`, invoked, returned, known, effect, calls: calls(random, shape, `v${at}`) };
  });
  const values = new Map<string, Value>();
  return planned
    .sort((a, b) => a.effect - b.effect)
    .map(({ client, invoked, returned, known, effect, calls: wanted }) => {
      const replies = effect === Infinity ? [] : execute(values, wanted);
      return { client, invoked, calls: wanted, outcome: known ? { returned, replies } : null };
    });
}

function calls(random: Random, shape: Shape, token: string): Call[] {
  const count = random.chance(shape.transactions) ? 2 : 1;
  return Array.from({ length: count }, (): Call => {
    const at = random.below(shape.keys);
    return random.pick(KINDS[at % KINDS.length]!(`k${at}`, `${token};`));
  });
}

/** What may be asked of a key; every kind of key has its own. */
const KINDS: readonly ((key: string, token: string) => readonly Call[])[] = [
  (key, token) => [
    ['GET', key],
    ['GET', key],
    ['SET', key, token],
    ['SET', key, token, 'NX'],
    ['SET', key, token, 'XX'],
    ['SET', key, token, 'GET'],
    ['DEL', key],
  ],
  (key) => [
    ['GET', key],
    ['INCRBY', key, '1'],
    ['INCRBY', key, '2'],
  ],
  (key, token) => [
    ['GET', key],
    ['APPEND', key, token],
    ['SET', key, token],
  ],
  (key, token) => [
    ['LRANGE', key, '0', '-1'],
    ['RPUSH', key, token],
    ['LPOP', key],
  ],
];

/** Changes one answer or one interval, so that the history may or may not be linearizable any more. */
export function mutated(random: Random, history: readonly Operation[]): Operation[] {
  const chosen = random.below(history.length);
  return history.map((operation, at) => {
    const { invoked, outcome } = operation;
    if (at !== chosen) return operation;
    if (outcome === null) return { ...operation, invoked: invoked + random.below(4 * DURATION_MS) };
    if (random.chance(0.4)) {
      const by = random.below(4 * DURATION_MS);
      return {
        ...operation,
        invoked: invoked + by,
        outcome: { ...outcome, returned: outcome.returned + by },
      };
    }
    // An answer that another operation got to the same number of calls, or the same number and one.
    const others = history.flatMap((other) => (other.outcome?.replies ? [other.outcome.replies] : []));
    const replies = random.pick(others.filter(({ length }) => length === operation.calls.length));
    const more = replies.map((reply) =>
      typeof reply === 'number' && random.chance(0.5) ? reply + 1 : reply,
    );
    return { ...operation, outcome: { ...outcome, replies: more } };
  });
}

/** Forgets some answers: what is left allows more. */
export function withIgnoredAnswers(random: Random, history: readonly Operation[]): Operation[] {
  return history.map((operation) => {
    const { outcome } = operation;
    return outcome === null || random.chance(0.5)
      ? operation
      : { ...operation, outcome: { ...outcome, replies: null } };
  });
}

/** Tries every order of every choice of unknown outcomes. For a handful of operations. */
export function bruteForce(
  left: readonly Operation[],
  values: ReadonlyMap<string, Value> = new Map(),
): boolean {
  if (left.every(({ outcome }) => outcome === null)) return true;
  return left.some((next) => {
    const tooLate = left.some(({ outcome }) => outcome !== null && outcome.returned < next.invoked);
    if (tooLate) return false;
    const after = new Map(values);
    const replies = execute(after, next.calls);
    const got = next.outcome?.replies ?? null;
    if (got !== null && JSON.stringify(got) !== JSON.stringify(replies)) return false;
    return bruteForce(
      left.filter((other) => other !== next),
      after,
    );
  });
}

function execute(values: Map<string, Value>, wanted: readonly Call[]): Reply[] {
  return wanted.map((call) => {
    const { value, reply } = run(values.get(keyOf(call)) ?? null, call);
    values.set(keyOf(call), value);
    return reply;
  });
}
