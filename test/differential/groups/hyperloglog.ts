/** HyperLogLogs, also damaged ones. */
import type { Value } from '../compare.ts';
import type { Group, Source } from '../group.ts';

function elements(source: Source): string[] {
  const kind = source.below(10);
  // Many at once make it dense, a few thousand at a time.
  if (kind === 0) {
    const [from, count] = [source.below(50_000), source.below(1500)];
    return Array.from({ length: count }, (_, at) => `element ${from + at}`);
  }
  if (kind < 3) return Array.from({ length: source.below(60) }, () => String(source.below(3000)));
  if (kind < 4) return [];
  return source.some(() => (source.chance(0.3) ? source.value() : source.member()));
}

const DENSE = [
  '\x42\x10\x84'.repeat(4096),
  '\0'.repeat(12_288),
  '\xff'.repeat(12_288),
  '\xff'.repeat(12_287),
];
const SPARSE = [
  '\x7f\xff',
  '\x7f\xfe\x80',
  // Too many registers, or none.
  '\x7f\xff\x00',
  '',
  // Four times 4096 zeros, a value in the middle, long runs of zeros that could be short ones, equal neighbours.
  '\x4f\xff'.repeat(4),
  '\x4f\xff\x4f\xff\x84\x4f\xfe\x4f\xff',
  `${'\x40\x00'.repeat(300)}\x7e\xd3`,
  '\x84\x84\x84\x84\x84\x7f\xfa',
  '\x87\x84\x7f\xfa',
  '\x83\x83\x83\x7f\xf3',
  '\x3f'.repeat(256),
];

/** Too few registers: one element meets the damage, another does not. */
const HALF_RIGHT = ['\x7f\xfe', '\x00'.repeat(20)];

/**
 * What looks like a sketch; its registers may or may not be right. Not half right where many elements are added at once: an
 * addition that meets damage on its way leaves in Redis what it did before.
 */
function forged(source: Source, key: string): string {
  const sparse = OWN.includes(key) ? SPARSE : [...SPARSE, ...HALF_RIGHT];
  const [encoding, registers] = source.pick([
    ['\0', DENSE],
    ['\x01', sparse],
    ['\x01', sparse],
    ['\x02', sparse],
  ] as const);
  const cardinality = source.pick([`${'\0'.repeat(7)}\x80`, `\x07${'\0'.repeat(7)}`, '\xff'.repeat(8)]);
  return `HYLL${encoding}\0\0\0${cardinality}${source.pick(registers)}`;
}

/**
 * Keys that no other group has. Only they are counted alone, as PFCOUNT of a single key writes the cardinality into the value
 * in Redis; they are shown but for that number, all other keys byte for byte. And only they get many elements at once: where
 * another command has damaged a sketch, an addition leaves in Redis what it did before it met the damage.
 */
const OWN = ['sketch 1', 'sketch 2', 'sketch 3'];

function addition(source: Source): string[] {
  if (source.chance(0.6)) return ['PFADD', source.pick(OWN), ...elements(source)];
  return ['PFADD', source.key(), ...(source.chance(0.1) ? [] : [source.member()])];
}

function anyKey(source: Source): string {
  return source.chance(0.5) ? source.pick(OWN) : source.key();
}

function sameRegisters(expected: Value, actual: Value, [, key = '']: readonly string[]): boolean {
  if (!OWN.includes(key) || expected.type !== '$' || actual.type !== '$') return false;
  const registers = (text: string): string => `${text.slice(0, 8)} ${text.slice(16)}`;
  return registers(expected.text) === registers(actual.text);
}

export const group: Group = {
  name: 'hyperloglog',
  commands: [
    addition,
    addition,
    addition,
    (source) => ['PFCOUNT', source.pick(OWN)],
    (source) => ['PFCOUNT', anyKey(source), anyKey(source), ...source.some(() => anyKey(source))],
    (source) => ['PFMERGE', anyKey(source), ...source.some(() => anyKey(source))],
    (source) => ['PFMERGE', anyKey(source)],
    (source) => {
      const key = anyKey(source);
      return ['SET', key, forged(source, key)];
    },
    (source) => ['GET', anyKey(source)],
    (source) => ['GET', anyKey(source)],
    (source) => ['STRLEN', anyKey(source)],
    (source) => ['DEL', anyKey(source)],
    (source) => ['SETRANGE', anyKey(source), source.pick(['0', '1', '4', '5']), source.pick(['H', '\x02'])],
  ],
  compare: { get: sameRegisters },
};
