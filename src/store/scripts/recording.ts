/**
 * Replies as a list of words, between a command and the script that called it, and between a script and its client. What
 * a reply turns into may fail in the middle (a script has memory for part of it), so it is complete before it is used: a
 * command has done all it does, and a client gets all or an error.
 */
import type { ReplyWriter } from '../reply.ts';

export const WORD = {
  simple: 0,
  error: 1,
  integer: 2,
  bulk: 3,
  null: 4,
  double: 5,
  boolean: 6,
  nullArray: 7,
  array: 8,
  map: 9,
  set: 10,
  pairs: 11,
  pair: 12,
  names: 13,
  named: 14,
  verbatim: 15,
  bigNumber: 16,
} as const;
export type Word = (typeof WORD)[keyof typeof WORD];
type WordValue = string | number | bigint | boolean | null;

export class Recording implements ReplyWriter {
  readonly words: Word[] = [];
  /** What belongs to each word: a text, a number, a length; the format of a verbatim text comes before the text. */
  readonly values: WordValue[] = [];
  /** The digits of the few doubles that have others than their shortest ones, by their places among the words. */
  readonly digits: Map<number, string> = new Map();
  /** Bytes of all texts. */
  bytes = 0;

  clear(): void {
    this.words.length = 0;
    this.values.length = 0;
    this.digits.clear();
    this.bytes = 0;
  }

  ok(): void {
    this.#text(WORD.simple, 'OK');
  }
  simple(text: string): void {
    this.#text(WORD.simple, text);
  }
  error(text: string): void {
    this.#text(WORD.error, text);
  }
  integer(value: number | bigint): void {
    this.#word(WORD.integer, value);
  }
  bulk(value: string | null): void {
    if (value === null) this.#word(WORD.null, null);
    else this.#text(WORD.bulk, value);
  }
  double(value: number, text?: string): void {
    this.#word(WORD.double, value);
    if (text !== undefined) this.digits.set(this.words.length - 1, text);
  }
  boolean(value: boolean): void {
    this.#word(WORD.boolean, value);
  }
  nullArray(): void {
    this.#word(WORD.nullArray, null);
  }
  array(length: number): void {
    this.#word(WORD.array, length);
  }
  map(pairs: number): void {
    this.#word(WORD.map, pairs);
  }
  set(length: number): void {
    this.#word(WORD.set, length);
  }
  pairs(length: number): void {
    this.#word(WORD.pairs, length);
  }
  pair(): void {
    this.#word(WORD.pair, null);
  }
  names(length: number): void {
    this.#word(WORD.names, length);
  }
  named(): void {
    this.#word(WORD.named, null);
  }
  verbatim(format: string, text: string): void {
    this.#text(WORD.verbatim, `${format}:${text}`);
  }
  bigNumber(digits: string): void {
    this.#text(WORD.bigNumber, digits);
  }

  /** Opens an aggregate whose length comes later; answers where to put it. */
  open(word: typeof WORD.array | typeof WORD.map | typeof WORD.set): number {
    this.#word(word, 0);
    return this.words.length - 1;
  }

  close(at: number, length: number): void {
    this.values[at] = length;
  }

  /** Writes everything again. */
  replay(reply: ReplyWriter): void {
    for (const [at, word] of this.words.entries()) {
      if (word === WORD.double) reply.double(Number(this.values[at]), this.digits.get(at));
      else replayWord(word, this.values[at] ?? null, reply);
    }
  }

  #word(word: Word, value: WordValue): void {
    this.words.push(word);
    this.values.push(value);
  }

  #text(word: Word, text: string): void {
    this.bytes += text.length;
    this.#word(word, text);
  }
}

function replayWord(word: Exclude<Word, typeof WORD.double>, value: WordValue, reply: ReplyWriter): void {
  switch (word) {
    case WORD.simple:
      if (value === 'OK') return reply.ok();
      return reply.simple(String(value));
    case WORD.error:
      return reply.error(String(value));
    case WORD.integer:
      return reply.integer(typeof value === 'bigint' ? value : Number(value));
    case WORD.bulk:
      return reply.bulk(String(value));
    case WORD.null:
      return reply.bulk(null);
    case WORD.boolean:
      return reply.boolean(value === true);
    case WORD.nullArray:
      return reply.nullArray();
    case WORD.array:
      return reply.array(Number(value));
    case WORD.map:
      return reply.map(Number(value));
    case WORD.set:
      return reply.set(Number(value));
    case WORD.pairs:
      return reply.pairs(Number(value));
    case WORD.pair:
      return reply.pair();
    case WORD.names:
      return reply.names(Number(value));
    case WORD.named:
      return reply.named();
    case WORD.verbatim: {
      const text = String(value);
      return reply.verbatim(text.slice(0, 3), text.slice(4));
    }
    case WORD.bigNumber:
      return reply.bigNumber(String(value));
  }
}
