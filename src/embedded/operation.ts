/** A write of a batch or a transaction. */
import { type Bytes, toStored } from './text.ts';

/** In the store's bytes. */
export interface Operation {
  readonly key: string;
  /** Null: the key is removed. */
  readonly value: string | null;
  readonly ttl: number | undefined;
  /** Whether key and value are known to be nothing but ASCII. */
  readonly plain: boolean;
}

/** A write that sets a key, as its caller has it. */
export function putOperation(key: Bytes, value: Bytes, ttl: number | undefined): Operation {
  const storedKey = toStored(key);
  const storedValue = toStored(value);
  return { key: storedKey, value: storedValue, ttl, plain: storedKey === key && storedValue === value };
}

/** A write that removes a key. */
export function deleteOperation(key: Bytes): Operation {
  return { key: toStored(key), value: null, ttl: undefined, plain: false };
}
