/**
 * What clients may see, checked as they see it. Every write carries something unique, and each family of keys is used
 * in a way that leaves one order of its writes to be seen: then real time alone decides whether an answer is allowed,
 * and each check costs next to nothing.
 *
 * - **lists** (`l…`): APPEND of a token. Its reply tells its place; every read must be a beginning of one and the same
 *   list, no shorter than what anybody had been told before the read began.
 * - **pairs** (`p…`): two lists that only transactions append to, both in one: they are never seen to differ.
 * - **counters** (`c…`): INCRBY 1, or WATCH, GET, MULTI SET EXEC. No number is given twice, none after a higher one was seen.
 * - **registers** (`r…`): SET of a token. No read answers what had been overwritten before it began.
 * - **fleeting** (`f…`): SET with a deadline, DEL, PEXPIRE. What was once seen as gone is never seen again, whatever the clocks
 *   of the machines say.
 *
 * Times are virtual and the simulator handles answers in their order, so "before it began" is simply what is known when
 * the request is sent.
 */
import type { Reply } from '../../../src/store/testing/harness.ts';
import { check } from '../failure.ts';

/** Characters of a token. */
export const TOKEN_LENGTH = 8;

type Fate = 'open' | 'done' | 'refused';

interface Token {
  readonly text: string;
  fate: Fate;
  seen: boolean;
  /** When its write was sent and acknowledged. */
  invoked: number;
  returned: number;
  /** Fleeting: nobody who asks after this moment may see it any more. */
  goneAt: number;
}

interface List {
  /** The longest beginning that anybody knows, token by token; holes are places whose token nobody has told yet. */
  readonly known: string[];
  /** How long it is at least, in tokens. */
  length: number;
}

export class Oracle {
  readonly #tokens = new Map<string, Token>();
  readonly #lists = new Map<string, List>();
  readonly #counters = new Map<string, { floor: number; readonly given: Set<number> }>();
  /** The latest moment at which an acknowledged write of the register was sent. */
  readonly #overwritten = new Map<string, number>();
  /** Acknowledged and not known to be gone. */
  readonly #fleeting = new Map<string, Token[]>();
  #made = 0;

  /** Something that nobody has written before; `now`: when it is sent. */
  token(now = 0): string {
    this.#made += 1;
    const text = `${this.#made.toString(36).padStart(TOKEN_LENGTH - 1, '0')}.`;
    this.#tokens.set(text, {
      text,
      fate: 'open',
      seen: false,
      invoked: now,
      returned: Infinity,
      goneAt: Infinity,
    });
    return text;
  }

  /** The node said that the write with this token was not and will not be applied. */
  refused(token: string): void {
    const found = this.#token(token, 'a refusal');
    check(!found.seen, 'UN', () => `${token} was turned away and has been seen`);
    found.fate = 'refused';
  }

  /* ---- lists ---- */

  /** How many tokens a request that is sent now must see in the list. */
  listFloor(key: string): number {
    return this.#list(key).length;
  }

  appended(key: string, token: string, reply: Reply, floor: number): void {
    check(typeof reply === 'number', 'LZ', () => `APPEND ${key} answered ${show(reply)}`);
    const place = reply / TOKEN_LENGTH - 1;
    check(
      Number.isInteger(place) && place >= floor,
      'DU',
      () => `APPEND ${key} went to place ${place}; ${floor} tokens were there before it was sent`,
    );
    this.#token(token, key).fate = 'done';
    this.#place(key, place, token);
    this.#list(key).length = Math.max(this.#list(key).length, place + 1);
  }

  listRead(key: string, reply: Reply, floor: number): void {
    const value = this.#text(key, reply);
    const length = value.length / TOKEN_LENGTH;
    check(
      Number.isInteger(length) && length >= floor,
      'LZ',
      () => `GET ${key} answered ${length} tokens; ${floor} were seen before it was sent`,
    );
    for (let place = 0; place < length; place += 1) {
      this.#place(key, place, value.slice(place * TOKEN_LENGTH, (place + 1) * TOKEN_LENGTH));
    }
    this.#list(key).length = Math.max(this.#list(key).length, length);
  }

  /** The two lists of a pair, or the replies of a write to both. */
  pairRead(key: string, one: Reply, two: Reply): void {
    check(one === two, 'LZ', () => `the lists of ${key} differ: ${show(one)} and ${show(two)}`);
  }

  #place(key: string, place: number, token: string): void {
    const { known } = this.#list(key);
    const other = known[place];
    if (other === token) return;
    check(other === undefined, 'LZ', () => `place ${place} of ${key} holds ${token}, and held ${other}`);
    const found = this.#token(token, key);
    check(found.fate !== 'refused', 'UN', () => `${token} was turned away and is in ${key} at ${place}`);
    const elsewhere = known.indexOf(token);
    check(elsewhere < 0, 'EO', () => `${token} is in ${key} at ${elsewhere} and at ${place}`);
    known[place] = token;
    found.seen = true;
  }

  #list(key: string): List {
    let list = this.#lists.get(key);
    if (list === undefined) {
      list = { known: [], length: 0 };
      this.#lists.set(key, list);
    }
    return list;
  }

  /* ---- counters ---- */

  counterFloor(key: string): number {
    return this.#counter(key).floor;
  }

  /** A write made this number of it. */
  counted(key: string, reply: Reply, floor: number): void {
    check(
      typeof reply === 'number' && reply > floor,
      'DU',
      () => `${key} became ${show(reply)}; it was seen as ${floor} before`,
    );
    const counter = this.#counter(key);
    check(!counter.given.has(reply), 'EO', () => `two writes made ${key} ${reply}`);
    counter.given.add(reply);
    counter.floor = Math.max(counter.floor, reply);
  }

  counterRead(key: string, reply: Reply, floor: number): void {
    const value = Number(this.#text(key, reply) || '0');
    check(value >= floor, 'LZ', () => `GET ${key} answered ${value}; it was seen as ${floor} before`);
    this.#counter(key).floor = Math.max(this.#counter(key).floor, value);
  }

  #counter(key: string): { floor: number; readonly given: Set<number> } {
    let counter = this.#counters.get(key);
    if (counter === undefined) {
      counter = { floor: 0, given: new Set() };
      this.#counters.set(key, counter);
    }
    return counter;
  }

  /* ---- registers ---- */

  registerSet(key: string, token: string, now: number): void {
    const found = this.#token(token, key);
    found.fate = 'done';
    found.returned = now;
    this.#overwritten.set(key, Math.max(this.#overwritten.get(key) ?? -1, found.invoked));
  }

  /** What a read that is sent now may not answer any more: writes that had returned before this moment. */
  registerFloor(key: string): number {
    return this.#overwritten.get(key) ?? -1;
  }

  registerRead(key: string, reply: Reply, floor: number): void {
    if (reply === null) {
      check(floor < 0, 'DU', () => `GET ${key} answered nothing; a write was acknowledged before`);
      return;
    }
    const token = this.#seen(key, reply);
    check(
      token.returned >= floor,
      'LZ',
      () =>
        `GET ${key} answered ${token.text}, overwritten by a write sent at ${floor} and acknowledged before`,
    );
  }

  /* ---- fleeting ---- */

  fleetingSet(key: string, token: string, now: number): void {
    const found = this.#token(token, key);
    found.fate = 'done';
    found.returned = now;
    const tokens = this.#fleeting.get(key) ?? [];
    tokens.push(found);
    this.#fleeting.set(key, tokens);
  }

  /** Answers how many writes are now known to be gone for ever. */
  fleetingRead(key: string, reply: Reply, invoked: number, now: number): number {
    if (reply !== null) {
      const token = this.#seen(key, reply);
      check(
        invoked <= token.goneAt,
        'LZ',
        () => `GET ${key} answered ${token.text}, which had been seen to be gone before it was sent`,
      );
    }
    let gone = 0;
    const tokens = (this.#fleeting.get(key) ?? []).filter((token) => {
      if (token.text === reply || token.returned >= invoked) return true;
      token.goneAt = now;
      gone += 1;
      return false;
    });
    this.#fleeting.set(key, tokens);
    return gone;
  }

  /* ------------------------------------------------------------------------------------------------------------------ */

  #seen(key: string, reply: Reply): Token {
    const token = this.#token(this.#text(key, reply), key);
    check(token.fate !== 'refused', 'UN', () => `${token.text} was turned away and is in ${key}`);
    token.seen = true;
    return token;
  }

  #text(key: string, reply: Reply): string {
    if (reply === null) return '';
    check(typeof reply === 'string', 'LZ', () => `a read of ${key} answered ${show(reply)}`);
    return reply;
  }

  #token(text: string, where: string): Token {
    const token = this.#tokens.get(text);
    check(token !== undefined, 'LZ', () => `${where} holds ${JSON.stringify(text)}, which nobody wrote`);
    return token;
  }
}

function show(reply: Reply): string {
  return reply instanceof Error ? reply.message : (JSON.stringify(reply) ?? 'nothing');
}
