/**
 * Which keys go when keys and values take more than `maxmemory`. The leader chooses, by how it has seen the keys used, and
 * the log carries the names: on every node the same keys go at the same moment.
 *
 * As Redis does, it looks at a few keys picked at random (`maxmemory-samples`) and takes the one that the policy would
 * miss least. Keys go with the entries that make room necessary, so memory can pass the limit by what one or two entries
 * hold. Where nothing may go, commands that need memory are refused.
 */
import { evictionPolicy, excessBytes, isFull, mayEvict } from '../store/memory.ts';
import { Random } from '../store/random.ts';
import type { EvictionPolicy } from '../store/settings.ts';
import type { KeyUse, Store } from '../store/store.ts';

/** Keys that go with one entry. */
const KEYS_MAX = 1000;
/** Looks in a row that brought nothing new before what was found is enough. */
const VAIN_LOOKS_MAX = 16;

export class Eviction {
  readonly #store: Store;
  readonly #random = new Random();

  constructor(store: Store) {
    this.#store = store;
    this.#random.seed(1, 1);
  }

  /** Whether keys have to go, and may. */
  get due(): boolean {
    return excessBytes(this.#store, this.#store.meta) > 0 && mayEvict(this.#store, this.#store.meta);
  }

  /** Whether commands that need memory are refused. */
  get full(): boolean {
    return isFull(this.#store, this.#store.meta);
  }

  /** The keys that go next; none while there is room. */
  choose(): string[] {
    const { meta } = this.#store;
    let excess = excessBytes(this.#store, meta);
    if (excess <= 0 || !mayEvict(this.#store, meta)) return [];
    const policy = evictionPolicy(meta);
    const samples = Number(meta.get('settings', 'maxmemory-samples') ?? 5);
    const chosen = new Set<string>();
    for (let vain = 0; excess > 0 && chosen.size < KEYS_MAX && vain < VAIN_LOOKS_MAX; ) {
      const found = this.#store.sampleKeys(policy.startsWith('volatile') ? 'expiring' : 'all', samples, () =>
        this.#random.next(),
      );
      let worst: KeyUse | undefined;
      for (const use of found)
        if (!chosen.has(use.key) && (worst === undefined || regret(policy, use) < regret(policy, worst)))
          worst = use;
      if (worst === undefined) vain += 1;
      else {
        vain = 0;
        chosen.add(worst.key);
        excess -= worst.bytes;
      }
    }
    return [...chosen];
  }
}

/** The less, the sooner the key goes. */
function regret(policy: EvictionPolicy, { idleSeconds, frequency, expiresAt }: KeyUse): number {
  switch (policy) {
    case 'volatile-lru':
    case 'allkeys-lru':
      return -idleSeconds;
    case 'volatile-lfu':
    case 'allkeys-lfu':
      return frequency;
    case 'volatile-ttl':
      return expiresAt;
    case 'volatile-random':
    case 'allkeys-random':
    case 'noeviction':
      return 0;
  }
}
