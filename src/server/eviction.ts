/**
 * Which keys go when keys and values take more than `maxmemory`. The leader chooses, by how it has seen the keys used, and
 * the log carries the names: on every node the same keys go at the same moment.
 *
 * As Redis does, it looks at a few keys picked at random (`maxmemory-samples`) and takes the one that the policy would
 * miss least. Keys go with the entries that make room necessary, so memory can pass the limit by what one or two entries
 * hold. Where nothing may go, commands that need memory are refused.
 */
import { Random } from '../store/random.ts';
import { EVICTION_POLICIES, type EvictionPolicy } from '../store/settings.ts';
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
    return this.#excess() > 0 && this.#mayEvict();
  }

  /** Whether commands that need memory are refused. */
  get full(): boolean {
    return this.#excess() > 0 && !this.#mayEvict();
  }

  /** The keys that go next; none while there is room. */
  choose(): string[] {
    let excess = this.#excess();
    if (excess <= 0 || !this.#mayEvict()) return [];
    const policy = this.#policy();
    const samples = Number(this.#store.meta.get('settings', 'maxmemory-samples') ?? 5);
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

  /** Bytes beyond the limit. */
  #excess(): number {
    const limit = Number(this.#store.meta.get('settings', 'maxmemory') ?? 0);
    return limit === 0 ? 0 : this.#store.bytes - limit;
  }

  #mayEvict(): boolean {
    const policy = this.#policy();
    if (policy === 'noeviction') return false;
    return policy.startsWith('allkeys') ? this.#store.size > 0 : this.#store.expiring > 0;
  }

  #policy(): EvictionPolicy {
    const name = this.#store.meta.get('settings', 'maxmemory-policy');
    return EVICTION_POLICIES.find((policy) => policy === name) ?? 'noeviction';
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
