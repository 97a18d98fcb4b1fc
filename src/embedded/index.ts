/** kvorum as a library: the same store, commands and files as a cluster's node, without a network. In the order of docs/api.md. */
// For TypeScript programs that have Node's types installed and do not name them.
/// <reference types="node" preserve="true" />
export { open, Store } from './store.ts';
export type { StoreOptions, Persistence, Sync, Eviction } from './options.ts';
export type { Compression } from './compression.ts';
export type { Bytes } from './text.ts';
export type { SetOptions, StoredEntry, StoreStats } from './store.ts';
export type { RangeOptions } from './range.ts';
export { Batch, type BatchResult } from './batch.ts';
export { Transaction } from './transaction.ts';
export { List, Hash, MemberSet, SortedSet, type Scored, Counter } from './collections.ts';
export type { Argument, ExecuteOptions } from './store.ts';
export type { Value } from './value-reply.ts';
export type { Change, Target, WatchOptions } from './watch.ts';
export type { SnapshotInfo } from './store.ts';
export type { Format } from '../formats/format.ts';
export { StoreError, type StoreErrorCode, CommandError } from './errors.ts';
