/** kvorum as a library: the same store, commands and files as a cluster's node, without a network. */
export { Batch, type BatchResult } from './batch.ts';
export { Counter, Hash, List, MemberSet, type Scored, SortedSet } from './collections.ts';
export type { SnapshotCompression } from './compression.ts';
export { CommandError, StoreError, type StoreErrorCode } from './errors.ts';
export type { Format } from '../formats/format.ts';
export type { Eviction, Persistence, StoreOptions, Sync } from './options.ts';
export type { RangeOptions } from './range.ts';
export {
  type Argument,
  type ExecuteOptions,
  open,
  type SetOptions,
  type SnapshotInfo,
  Store,
  type StoredEntry,
  type StoreStats,
} from './store.ts';
export type { Bytes } from './text.ts';
export { Transaction } from './transaction.ts';
export type { Value } from './value-reply.ts';
export type { Change, Target, WatchOptions } from './watch.ts';
