/**
 * Preloaded with `--import`: applies the mutation named by the environment to the sources as they are loaded. Nothing
 * is written to disk.
 */
import { registerHooks } from 'node:module';
import { MUTATIONS, type Mutation } from './mutations.ts';

/** Names the mutation for {@link hook.ts}; passed on to workers and child processes. */
export const MUTATION_VARIABLE = 'KVORUM_TEST_MUTATION';

const name = process.env[MUTATION_VARIABLE];
if (name !== undefined) install(mutationNamed(name));

function mutationNamed(name: string): Mutation {
  const mutation = MUTATIONS.find((one) => one.name === name);
  if (mutation === undefined) throw new Error(`${MUTATION_VARIABLE}=${name}: there is no such mutation`);
  return mutation;
}

function install({ name, file, find, replace }: Mutation): void {
  const target = new URL(`../../src/${file}`, import.meta.url).href;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (url !== target) return loaded;
      const source = sourceText(loaded.source);
      const parts = source.split(find);
      if (parts.length !== 2)
        throw new Error(`${name}: its text stands ${parts.length - 1} times in ${file}`);
      return { ...loaded, source: parts.join(replace) };
    },
  });
}

function sourceText(source: unknown): string {
  return typeof source === 'string' ? source : Buffer.from(source as Uint8Array).toString();
}
