/** The classes of all collections. A new data type is a class in `types/` and a line here. */
import type { Collection, CollectionClass, CollectionType } from './collection.ts';
import { Hash } from './types/hash.ts';
import { Bytes } from './types/bytes.ts';
import { BloomFilter } from './types/bloom.ts';
import { List } from './types/list.ts';
import { SortedSet } from './types/sorted-set.ts';
import { Packed } from './types/packed.ts';
import { MemberSet } from './types/set.ts';
import { Stream } from './types/stream.ts';

/** TYPE's own word for it is `string`, which is taken. */
const PACKED = 'packed';

const CLASSES: Readonly<Partial<Record<CollectionType | typeof PACKED, CollectionClass<Collection>>>> = {
  string: Bytes,
  [PACKED]: Packed,
  'MBbloom--': BloomFilter,
  list: List,
  hash: Hash,
  zset: SortedSet,
  set: MemberSet,
  stream: Stream,
};

/** What a snapshot calls its class. */
export function nameOf(collection: Collection): string {
  return collection instanceof Packed ? PACKED : collection.type;
}

/** An empty collection of the class that {@link nameOf} names so; undefined where there is none. */
export function newCollection(name: string): Collection | undefined {
  const Class = Object.hasOwn(CLASSES, name) ? CLASSES[name as keyof typeof CLASSES] : undefined;
  return Class === undefined ? undefined : new Class();
}
