/**
 * What those who wait for keys may get, checked as they get it. Producers put elements that nobody has put anywhere before
 * into a queue (a list, a sorted set, a stream with a group), and consumers take them out:
 *
 * - nobody gets what was turned away, or what somebody else got (EO);
 * - where a queue is in order, nobody gets an element after one that was put in later (LZ): of two that were put in one after
 *   the other the second may not have been taken before the first was asked for;
 * - in the end everything acknowledged was got or is there still, but for as many elements as there were takers who
 *   never heard what they got (DU): a connection that ends may have been served in that moment, and nobody else knows.
 *
 * Elements of a **ring** are only moved, from one list to another: all of them are there in the end, once.
 */
import { check } from '../failure.ts';

interface Element {
  readonly text: string;
  fate: 'open' | 'there' | 'refused' | 'taken';
  /** When its write was sent and acknowledged. */
  readonly invoked: number;
  returned: number;
}

interface Queue {
  readonly elements: Map<string, Element>;
  /** The latest moment at which an element was put in that was taken since. */
  takenUpTo: number;
  /** Takers that never heard what they got, if anything. */
  unheard: number;
}

export class Queues {
  readonly #queues = new Map<string, Queue>();
  /** Anybody's, so that a number says which came first. */
  #made = 0;

  /** Something new that is on its way into the queue. */
  element(name: string, now: number): string {
    this.#made += 1;
    const text = `e${this.#made}`;
    this.#queue(name).elements.set(text, { text, fate: 'open', invoked: now, returned: Infinity });
    return text;
  }

  /** Elements that are acknowledged and not taken. */
  held(name: string): number {
    let count = 0;
    for (const { fate } of this.#queue(name).elements.values()) if (fate === 'there') count += 1;
    return count;
  }

  /** How many were ever put in. */
  size(name: string): number {
    return this.#queue(name).elements.size;
  }

  put(name: string, texts: readonly string[], now: number): void {
    for (const text of texts) {
      const element = this.#element(name, text);
      element.returned = now;
      if (element.fate === 'open') element.fate = 'there';
    }
  }

  refused(name: string, texts: readonly string[]): void {
    for (const text of texts) {
      const element = this.#element(name, text);
      check(element.fate === 'open', 'UN', () => `${text} was turned away from ${name} and taken from it`);
      element.fate = 'refused';
    }
  }

  /** What a taker that asks now must be told with what it takes. */
  floor(name: string): number {
    return this.#queue(name).takenUpTo;
  }

  /** `floor`: as it was when the taker asked; `null` where the queue has no order. */
  taken(name: string, text: string, floor: number | null): void {
    const element = this.#element(name, text);
    check(element.fate !== 'refused', 'UN', () => `${text} was turned away from ${name} and taken from it`);
    check(element.fate !== 'taken', 'EO', () => `${text} was taken from ${name} twice`);
    check(
      floor === null || element.returned >= floor,
      'LZ',
      () => `${text} was taken from ${name} after one that was put in later`,
    );
    element.fate = 'taken';
    const queue = this.#queue(name);
    queue.takenUpTo = Math.max(queue.takenUpTo, element.invoked);
  }

  /** Somebody may have taken an element and never heard of it. */
  unheard(name: string): void {
    this.#queue(name).unheard += 1;
  }

  /** An element of a ring was seen on its way. */
  moved(name: string, text: string): void {
    const { fate } = this.#element(name, text);
    check(fate !== 'refused', 'UN', () => `${text} was turned away from ${name} and is in it`);
  }

  /** All that is still there, when everything is over. */
  settle(name: string, left: readonly string[]): void {
    const { elements, unheard } = this.#queue(name);
    const found = new Set(left);
    check(found.size === left.length, 'EO', () => `${name} holds an element twice: ${left.join(' ')}`);
    for (const text of left) {
      const { fate } = this.#element(name, text);
      check(fate !== 'refused', 'UN', () => `${text} was turned away from ${name} and is in it`);
      check(fate !== 'taken', 'EO', () => `${text} was taken from ${name} and is in it still`);
    }
    const lost = [...elements.values()].filter(({ text, fate }) => fate === 'there' && !found.has(text));
    check(
      lost.length <= unheard,
      'DU',
      () =>
        `${lost.map(({ text }) => text).join(' ')} of ${name}: nobody got them; ${unheard} takers never heard`,
    );
  }

  #element(name: string, text: string): Element {
    const element = this.#queue(name).elements.get(text);
    check(element !== undefined, 'LZ', () => `${name} held ${JSON.stringify(text)}, which nobody put there`);
    return element;
  }

  #queue(name: string): Queue {
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = { elements: new Map(), takenUpTo: -1, unheard: 0 };
      this.#queues.set(name, queue);
    }
    return queue;
  }
}
