/** A cache in memory: so many entries, the least recently used one goes, and nothing stays longer than its time. */
import { open } from 'kvorum';

await using cache = await open({
  maxEntries: 3,
  eviction: 'lru',
  defaultTtl: 60_000,
  onEvict: (key) => console.log(`no room for ${key}`),
});

/** What takes long, and what is therefore kept. */
async function lookUp(city: string): Promise<string> {
  const known = cache.get(city);
  if (known !== undefined) return known;
  const weather = `${city}: ${city.length * 3} °C`;
  await cache.set(city, weather);
  return weather;
}

for (const city of ['Rome', 'Oslo', 'Lima', 'Rome', 'Bern', 'Rome', 'Oslo']) console.log(await lookUp(city));
const { hits, misses, evicted } = cache.stats();
console.log(`${hits} hits, ${misses} misses, ${evicted} evicted`);
