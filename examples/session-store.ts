/** Sessions of a web application: each lives on for as long as it is used, and survives a restart of the program. */
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open, type Store } from 'kvorum';

const HALF_AN_HOUR = 30 * 60 * 1000;

class Sessions {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async begin(user: string): Promise<string> {
    const id = randomUUID();
    await this.#store.set(`session:${id}`, JSON.stringify({ user }));
    return id;
  }

  /** Reading it keeps it alive. */
  userOf(id: string): string | undefined {
    const session = this.#store.get(`session:${id}`);
    return session === undefined ? undefined : (JSON.parse(session) as { user: string }).user;
  }

  end(id: string): Promise<boolean> {
    return this.#store.delete(`session:${id}`);
  }
}

const directory = await mkdtemp(join(tmpdir(), 'kvorum-example-'));
const options = { directory, defaultTtl: HALF_AN_HOUR, refreshTtlOnAccess: true };
let id: string;
{
  await using store = await open(options);
  id = await new Sessions(store).begin('alice');
}
{
  await using store = await open(options);
  const sessions = new Sessions(store);
  console.log(`after a restart: ${sessions.userOf(id)}`);
  await sessions.end(id);
  console.log(`after the end: ${sessions.userOf(id)}`);
}
await rm(directory, { recursive: true });
