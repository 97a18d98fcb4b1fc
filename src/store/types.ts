/** The classes of all collections. A new data type is a class in `types/` and a line here. */
import type { Collection, CollectionClass, CollectionType } from './collection.ts';
import { Hash } from './types/hash.ts';
import { Bytes } from './types/bytes.ts';
import { BloomFilter } from './types/bloom.ts';
import { List } from './types/list.ts';
import { SortedSet } from './types/sorted-set.ts';
import { MemberSet } from './types/set.ts';
import { Stream } from './types/stream.ts';

const CLASSES: Readonly<Partial<Record<CollectionType, CollectionClass<Collection>>>> = {
  string: Bytes,
  'MBbloom--': BloomFilter,
  list: List,
  hash: Hash,
  zset: SortedSet,
  set: MemberSet,
  stream: Stream,
};

/** An empty collection of the type that TYPE names so; undefined where there is none. */
export function newCollection(type: string): Collection | undefined {
  const Class = Object.hasOwn(CLASSES, type) ? CLASSES[type as CollectionType] : undefined;
  return Class === undefined ? undefined : new Class();
}
