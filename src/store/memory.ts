/** `maxmemory`, as replicated settings and the log's own count of bytes have it: the same on every node. */
import type { Meta } from './meta.ts';
import { EVICTION_POLICIES, type EvictionPolicy } from './settings.ts';

/** What is asked of a keyspace, or of the store around it. */
interface Held {
  readonly bytes: number;
  readonly size: number;
  readonly expiring: number;
}

export function evictionPolicy(meta: Meta): EvictionPolicy {
  const name = meta.get('settings', 'maxmemory-policy');
  return EVICTION_POLICIES.find((policy) => policy === name) ?? 'noeviction';
}

/** Bytes beyond the limit. */
export function excessBytes({ bytes }: Held, meta: Meta): number {
  const limit = Number(meta.get('settings', 'maxmemory') ?? 0);
  return limit === 0 ? 0 : bytes - limit;
}

/** Whether there is a key that may go. */
export function mayEvict({ size, expiring }: Held, meta: Meta): boolean {
  const policy = evictionPolicy(meta);
  if (policy === 'noeviction') return false;
  return policy.startsWith('allkeys') ? size > 0 : expiring > 0;
}

/** Whether commands that need memory are refused. */
export function isFull(held: Held, meta: Meta): boolean {
  return excessBytes(held, meta) > 0 && !mayEvict(held, meta);
}
