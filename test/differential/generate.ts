/**
 * Random command sequences from a seed: few keys, so that commands meet each other's traces, and arguments from the
 * edges. What Redis answers to them is compared with what the store answers.
 *
 * Two rules keep the answers independent of how fast the sequence runs. Deadlines are at least a minute apart from
 * each other and far away, or so near that the pause behind them is longer. And no key is watched while commands run
 * that create and remove it in one stroke (see README.md).
 */

export type Step =
  | { readonly kind: 'command'; readonly connection: 0 | 1; readonly args: readonly string[] }
  /** Longer than any short deadline; afterwards the expired keys are removed. */
  | { readonly kind: 'pause' };

/** A deadline that passes during a pause, both in ms. */
const SHORT_TTL_MS = 15;
export const PAUSE_MS = 45;

/** Every key that a sequence may use. */
export const KEYS: readonly string[] = ['a', 'b', 'c', 'd', '', 'h[a-z]*o', '\x00\xff\r\n', 'key:1', 'hello'];

const INTEGERS = [
  '0',
  '1',
  '-1',
  '5',
  '10',
  '-7',
  '255',
  '300',
  '-0',
  '+5',
  ' 5',
  '5 ',
  '007',
  '',
  'abc',
  '1.5',
  '1e3',
  '0x10',
  '9223372036854775807',
  '-9223372036854775808',
  '9223372036854775808',
  '-9223372036854775809',

  '9223372036854775806',
  '-9223372036854775807',
  '9007199254740991',
  '9007199254740992',
  '9007199254740993',
  '-9007199254740991',
  '-9007199254740993',
  '4611686018427387904',
  '99999999999999999999',
  '2147483648',
];
const FLOATS = [
  '0',
  '0.1',
  '0.2',
  '0.3',
  '1.5',
  '-2.75',
  '1e3',
  '1E-3',
  '.5',
  '5.',
  '.',
  '3.0e3',
  '-0',
  '-0.0',
  '+7.25',

  'inf',
  '-inf',
  'INFINITY',
  'nan',
  '0x1p3',
  '0x.8',
  '1e',
  '',
  ' 1',
  '1 ',
  'abc',
  '1e400',
  '1e-400',
  '1e5000',

  '1e-20',
  '1e17',
  '123456789.123',
  '12345678901234567890.5',
  '3.14159265358979',
  '99999999999999999',
  '1e60',
];
const VALUES = [
  '',
  'x',
  'hello world',
  '\x00\x01\xfe\xff',
  'v'.repeat(60),
  '12',
  '-3',
  '10.5',
  'line\r\nbreak',
];
const PATTERNS = [
  '*',
  '?',
  'a',
  '[a-c]',
  '[^a]',
  'h*o',
  'h?llo',
  'h[a-e]llo',
  'h\\[*',
  'key:*',
  '*:[0-9]',
  '[c-a]',
  '[a',
  '[]a]',
  '',
  '\\',
  '*\\',
  '[\\a]',
  'h[^a-d]*',
  '**',
  '*l*l*',
  '\x00*',
  '[a-]',
  '[^',
  'hell[n-p]',
];
const TYPES = ['string', 'STRING', 'list', 'nonsense'];
/** Far beyond every relative deadline: 2100-01-01. */
const FAR_SECONDS = 4_102_444_800;

/** Commands for a sequence; the same seed gives the same. */
export function generate(seed: number, length: number): Step[] {
  const generator = new Generator(seed);
  const steps: Step[] = [];
  while (steps.length < length) steps.push(...generator.next());
  return steps;
}

class Generator {
  #state: number;
  #deadlines: number;

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e37_79b1) | 0;
    this.#deadlines = this.#below(5000);
  }

  next(): Step[] {
    const dice = this.#below(100);
    if (dice < 3) return this.#shortLived();
    if (dice < 7) return this.#transaction();
    if (dice < 11) return this.#watched();
    if (dice < 13) return [run(['EXISTS', ...KEYS]), run(['DBSIZE'])];
    return [run(this.#disfigured(this.#command()))];
  }

  // --- Scenarios -------------------------------------------------------------------------------------------------

  #shortLived(): Step[] {
    const key = this.#key();
    const ttl = String(SHORT_TTL_MS);
    const set = this.#pick([
      ['SET', key, this.#value(), 'PX', ttl],
      ['PSETEX', key, ttl, this.#value()],
      ['GETEX', key, 'PX', ttl],
      ['PEXPIRE', key, ttl],
    ]);
    const after = [run(['PTTL', key]), run(this.#command(key)), run(['GET', key])];
    return [run(['SET', key, this.#value()]), run(set), { kind: 'pause' }, ...after];
  }

  #transaction(): Step[] {
    const calls = Array.from({ length: this.#below(5) }, () => run(this.#command()));
    const end = this.#below(6) === 0 ? ['DISCARD'] : ['EXEC'];
    return [run(['MULTI']), ...calls, run(end)];
  }

  /** The second connection may or may not change what the first one watches. */
  #watched(): Step[] {
    const key = this.#key();
    const other = this.#key();
    const before = this.#pick([
      ['DEL', key],
      ['SET', key, '5'],
      ['SET', key, '5', 'EX', this.#seconds()],
    ]);
    const change = this.#pick<readonly string[]>([
      ['SET', key, '6'],
      ['SET', other, '6'],
      ['INCR', key],
      ['APPEND', key, ''],
      ['DEL', key],
      ['EXPIRE', key, this.#seconds()],
      ['EXPIREAT', key, '1'],
      ['PERSIST', key],
      ['GETEX', key],
      ['GETEX', key, 'PERSIST'],
      ['SETRANGE', key, '0', ''],
      ['RENAME', key, other],
      ['RENAME', other, key],
      ['COPY', other, key, 'REPLACE'],
      ['FLUSHALL'],
      ['GET', key],
      ['SET', key, '7', 'NX'],
    ]);
    const unwatch = this.#below(8) === 0 ? [run(['UNWATCH'])] : [];
    const calls = [run(['MULTI']), run(['GET', key]), run(['SET', key, this.#value()]), run(['EXEC'])];
    return [run(before), run(['WATCH', key, other]), run(change, 1), ...unwatch, ...calls];
  }

  // --- Commands --------------------------------------------------------------------------------------------------

  #command(key: string = this.#key()): string[] {
    const value = this.#value();
    const commands: readonly (() => string[])[] = [
      () => ['GET', key],
      () => ['SET', key, value, ...this.#setOptions()],
      () => ['SET', key, value, ...this.#setOptions()],
      () => ['SET', key, this.#integer()],
      () => ['SET', key, this.#pick(FLOATS)],
      () => ['SETNX', key, value],
      () => ['SETEX', key, this.#amount(), value],
      () => ['PSETEX', key, this.#amount('000'), value],
      () => ['GETSET', key, value],
      () => ['GETDEL', key],
      () => ['GETEX', key, ...this.#getExOptions()],
      () => ['MGET', ...this.#some(() => this.#key())],
      () => [
        'MSET',
        ...this.#some(
          () => this.#key(),
          () => this.#value(),
        ),
      ],
      () => [
        'MSETNX',
        ...this.#some(
          () => this.#key(),
          () => this.#value(),
        ),
      ],
      () => ['APPEND', key, value],
      () => ['STRLEN', key],
      () => ['GETRANGE', key, this.#integer(), this.#integer()],
      () => ['GETRANGE', key, String(this.#below(12) - 6), String(this.#below(12) - 6)],
      () => ['SUBSTR', key, String(this.#below(8)), String(this.#below(12) - 4)],
      () => ['SETRANGE', key, String(this.#below(40)), value],
      () => ['SETRANGE', key, this.#pick(['-1', '536870912', '9223372036854775807', 'x', '007']), value],
      () => ['INCR', key],
      () => ['DECR', key],
      () => ['INCRBY', key, this.#integer()],
      () => ['DECRBY', key, this.#integer()],
      () => ['INCRBYFLOAT', key, this.#float()],
      () => ['INCRBYFLOAT', key, this.#float()],
      () => ['DEL', ...this.#some(() => this.#key())],
      () => ['UNLINK', ...this.#some(() => this.#key())],
      () => ['EXISTS', ...this.#some(() => this.#key())],
      () => ['TOUCH', ...this.#some(() => this.#key())],
      () => ['TYPE', key],
      () => ['KEYS', this.#pick(PATTERNS)],
      () => [
        'SCAN',
        this.#pick(['0', '0', '0', '', '-0', 'x', '1x', ' 0', '99999999999999999999']),
        ...this.#scanOptions(),
      ],
      () => ['RENAME', key, this.#key()],
      () => ['RENAMENX', key, this.#key()],
      () => ['COPY', key, this.#key(), ...this.#copyOptions()],
      () => ['RANDOMKEY'],
      () => ['EXPIRE', key, this.#amount(), ...this.#conditions()],
      () => ['PEXPIRE', key, this.#amount('000'), ...this.#conditions()],
      () => ['EXPIREAT', key, this.#absolute(), ...this.#conditions()],
      () => ['PEXPIREAT', key, this.#absolute('000'), ...this.#conditions()],
      () => [this.#pick(['TTL', 'PTTL', 'EXPIRETIME', 'PEXPIRETIME']), key],
      () => [this.#pick(['TTL', 'PTTL', 'EXPIRETIME', 'PEXPIRETIME']), key],
      () => ['PERSIST', key],
      () => (this.#below(4) > 0 ? ['GET', key] : this.#flush()),
    ];
    return this.#pick(commands)();
  }

  #flush(): string[] {
    const name = this.#pick(['FLUSHALL', 'FLUSHDB']);
    return [name, ...this.#pick([[], ['ASYNC'], ['sync'], ['now'], ['SYNC', 'ASYNC']])];
  }

  /** Now and then the name in another case, or an argument too many or too few. */
  #disfigured(args: string[]): string[] {
    const dice = this.#below(40);
    if (dice === 0) return args.slice(0, -1).length === 0 ? args : args.slice(0, -1);
    if (dice === 1) return [...args, this.#value()];
    if (dice < 8) return [(args[0] ?? '').toLowerCase(), ...args.slice(1)];
    return args;
  }

  #setOptions(): string[] {
    return this.#options([
      () => ['NX'],
      () => ['XX'],
      () => ['GET'],
      () => ['KEEPTTL'],
      () => ['EX', this.#amount()],
      () => ['PX', this.#amount('000')],
      () => ['EXAT', this.#absolute()],
      () => ['PXAT', this.#absolute('000')],
      () => [this.#pick(['EX', 'PERSIST', 'nonsense', ''])],
    ]);
  }

  #getExOptions(): string[] {
    return this.#options([
      () => ['PERSIST'],
      () => ['EX', this.#amount()],
      () => ['PX', this.#amount('000')],
      () => ['EXAT', this.#absolute()],
      () => ['PXAT', this.#absolute('000')],
      () => [this.#pick(['PX', 'KEEPTTL', 'NX', ''])],
    ]);
  }

  /** One step shows all keys, so that the cursor is 0 whoever numbers the steps. */
  #scanOptions(): string[] {
    const count = this.#pick(['1000', '1000', '1000', '1000', '0', '-1', 'x', '9223372036854775808']);
    const more = this.#options([
      () => ['MATCH', this.#pick(PATTERNS)],
      () => ['TYPE', this.#pick(TYPES)],
      () => [this.#pick(['MATCH', 'nonsense'])],
    ]);
    return this.#below(2) === 0 ? ['COUNT', count, ...more] : [...more, 'count', count];
  }

  #copyOptions(): string[] {
    return this.#options([
      () => ['REPLACE'],
      () => ['DB', this.#pick(['0', '0', '1', '-1', 'x', '99999999999', '9223372036854775808'])],
      () => [this.#pick(['DB', 'nonsense'])],
    ]);
  }

  #conditions(): string[] {
    return this.#options([
      () => ['NX'],
      () => ['XX'],
      () => ['GT'],
      () => ['LT'],
      () => [this.#pick(['no', ''])],
    ]);
  }

  /** None, one or several of the options, in any order and case. */
  #options(makers: readonly (() => string[])[]): string[] {
    const chosen: string[] = [];
    for (let left = this.#pick([0, 0, 1, 1, 1, 2, 2, 3]); left > 0; left--) {
      const [name = '', ...rest] = this.#pick(makers)();
      chosen.push(this.#below(3) === 0 ? name.toLowerCase() : name, ...rest);
    }
    return chosen;
  }

  // --- Arguments -------------------------------------------------------------------------------------------------

  #key(): string {
    return this.#pick(KEYS);
  }

  #value(): string {
    return this.#pick(VALUES);
  }

  #integer(): string {
    return this.#below(3) === 0 ? String(this.#below(2000) - 1000) : this.#pick(INTEGERS);
  }

  #float(): string {
    if (this.#below(2) === 0) return this.#pick(FLOATS);
    const digits = this.#below(1_000_000) / 10 ** this.#below(8);
    return (this.#below(2) === 0 ? -digits : digits).toFixed(this.#below(9));
  }

  /** Seconds that no other deadline of the sequence comes near. */
  #seconds(): string {
    this.#deadlines++;
    return String(10_000 + 60 * ((this.#deadlines * 7919) % 10_007));
  }

  #amount(scale = ''): string {
    if (this.#below(4) > 0) return this.#seconds() + scale;
    return this.#pick([
      '0',
      '-1',
      'abc',
      '',
      '1.5',
      '9223372036854775807',
      '9223372036854775808',
      '-9223372036854775808',
    ]);
  }

  #absolute(scale = ''): string {
    if (this.#below(4) > 0) return String(FAR_SECONDS + Number(this.#seconds())) + scale;
    return this.#pick(['0', '-1', '1', '1000000000', 'abc', '9223372036854775808', '-9223372036854775808']);
  }

  #some(...makers: readonly (() => string)[]): string[] {
    return Array.from({ length: 1 + this.#below(3) }, () => makers.map((make) => make())).flat();
  }

  #pick<T>(from: readonly T[]): T {
    return from[this.#below(from.length)] as T;
  }

  /** A whole number in [0, bound): xorshift32 over a Weyl sequence. */
  #below(bound: number): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * bound) | 0;
  }
}

function run(args: readonly string[], connection: 0 | 1 = 0): Step {
  return { kind: 'command', connection, args };
}
