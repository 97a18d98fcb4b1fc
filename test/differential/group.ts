/** Groups of commands for the differential test: how random commands are made, and how their replies are compared. */
import type { Comparison } from './compare.ts';

/** Commands of one data type or concern. Each lives in a file of `groups/`. */
export interface Group {
  readonly name: string;
  /** Each makes one command; one that should come more often stands here more often. */
  readonly commands: readonly ((source: Source) => string[])[];
  /** Each makes several commands that belong together; now and then. */
  readonly scenes?: readonly ((source: Source) => string[][])[];
  /** By the command's name in lower case (`xinfo|stream` for a subcommand), where not byte by byte. */
  readonly compare?: Readonly<Record<string, Comparison>>;
  /** Sent before each sequence, so that both begin alike. */
  readonly before?: readonly (readonly string[])[];
  /** Nodes answer its commands by themselves, and so refuse them in a transaction. */
  readonly local?: true;
  /** What must come as it was made, with no argument added or left out. */
  readonly asMade?: (args: readonly string[]) => boolean;
}

/**
 * A command that begins with it is sent over a second connection, which is a new one in each sequence and when the server has
 * closed it.
 */
export const SECOND = '@second';

/** Shared by all groups, so that types meet on the same keys. */
export const KEYS: readonly string[] = ['a', 'b', 'c', 'd', 'e', 'f', '', 'h[a-z]*o', '\x00\xff\r\n'];

const INTEGERS = [
  '0',
  '1',
  '-1',
  '2',
  '5',
  '10',
  '-7',
  '100',
  '255',
  '-0',
  '+5',
  ' 5',
  '5 ',
  '007',
  '',
  'abc',
  '1.5',
  '1e3',
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
  '-9223372036854775809',
  '9007199254740991',
  '9007199254740993',
  '4294967296',
  '2147483648',
  '-2147483649',
  '18446744073709551616',
];
const FLOATS = [
  '0',
  '0.1',
  '-0.25',
  '1.5',
  '1e3',
  '.5',
  '5.',
  '-0',
  '+7.25',
  'inf',
  '-inf',
  '+inf',
  'nan',
  '0x10',
  '1e400',
  '',
  'abc',
  ' 1',
  '1 ',
  '3.14159265358979',
  '12345678901234567890.5',
  '1e-20',
  '(1',
  '9007199254740993',
  '1e17',
];
const VALUES = [
  '',
  'x',
  'hello world',
  '\x00\x01\xfe\xff',
  'v'.repeat(60),
  'w'.repeat(70),
  '12',
  '-3',
  '10.5',
  'line\r\nbreak',
];

/** Random arguments from a seed. */
export class Source {
  #state: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e37_79b1) | 0;
  }

  /** A whole number in [0, bound): xorshift32 over a Weyl sequence. */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * bound);
  }

  chance(probability: number): boolean {
    return this.below(1_000_000) < probability * 1_000_000;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  /** One to `max` times what `make` makes. */
  some(make: () => string | string[], max = 3): string[] {
    return Array.from({ length: 1 + this.below(max) }, make).flat();
  }

  /** None, one or several of the options, in any order and case. */
  options(makers: readonly (() => string[])[]): string[] {
    const chosen: string[] = [];
    for (let left = this.pick([0, 0, 1, 1, 2, 3]); left > 0; left--) {
      const [name = '', ...rest] = this.pick(makers)();
      chosen.push(this.chance(0.3) ? name.toLowerCase() : name, ...rest);
    }
    return chosen;
  }

  key(): string {
    return this.pick(KEYS);
  }

  /** Any bytes. */
  value(): string {
    return this.chance(0.2) ? this.member() : this.pick(VALUES);
  }

  /** One of few, so that they meet; half of them are small whole numbers. */
  member(): string {
    if (this.chance(0.4)) return String(this.below(12));
    return this.chance(0.1) ? this.pick(VALUES) : `m${this.below(10)}`;
  }

  /** Mostly what is no number of 64 bits, or one at the edge; see `small`. */
  integer(): string {
    return this.chance(0.5) ? this.small() : this.pick(INTEGERS);
  }

  /** A small whole number, below 0 as well. */
  small(): string {
    return String(this.below(14) - 5);
  }

  float(): string {
    if (this.chance(0.3)) return this.pick(FLOATS);
    const number = this.below(2000) / 4 - 250;
    return String(number);
  }
}

/** Their last argument is a time: with another one behind it they could wait for ever. */
const TIMED_LAST = /^b[lrz]pop/i;

/** A command of a group, now and then with its name in lower case or with an argument too many or too few. */
export function commandOf(group: Group, source: Source): string[] {
  const args = source.pick(group.commands)(source);
  if (group.asMade?.(args) === true) return args;
  const dice = source.below(60);
  if (dice === 0 && args.length > 1) return args.slice(0, -1);
  if (dice === 1) return [...args, TIMED_LAST.test(args[0] ?? '') ? 'x' : source.value()];
  if (dice < 8) return [(args[0] ?? '').toLowerCase(), ...args.slice(1)];
  return args;
}
