/**
 * Which library has which function. What is replicated is the code of libraries; what they register follows from it and is
 * found out again by each node when it is asked for: after a restart, a snapshot or a change.
 */
import type { Meta } from '../meta.ts';
import { engine } from './engine.ts';
import type { RegisteredFunction } from './host.ts';
import { readLibrary } from './shebang.ts';

export interface Library {
  readonly name: string;
  /** As it was loaded. */
  readonly text: string;
  /** What is compiled. */
  readonly code: string;
  readonly functions: readonly RegisteredFunction[];
}

export interface FoundFunction {
  readonly library: Library;
  readonly found: RegisteredFunction;
}

export interface FunctionIndex {
  /** In the order in which they came. */
  readonly libraries: ReadonlyMap<string, Library>;
  /** By name in lower case: Redis finds them in any. */
  readonly functions: ReadonlyMap<string, FoundFunction>;
}

const indexes = new WeakMap<Meta, { readonly changes: number; readonly index: FunctionIndex }>();

export function functionIndex(meta: Meta): FunctionIndex {
  const changes = meta.changes('libraries');
  const known = indexes.get(meta);
  if (known?.changes === changes) return known.index;
  const libraries = new Map<string, Library>();
  for (const text of meta.entries('libraries').values()) {
    // It was loaded before, with the same outcome.
    const library = loadLibrary(text);
    if (typeof library !== 'string') libraries.set(library.name, library);
  }
  const index = { libraries, functions: functionsOf(libraries.values()) };
  indexes.set(meta, { changes, index });
  return index;
}

/** The functions of libraries; of two with the same name the first. */
export function functionsOf(libraries: Iterable<Library>): Map<string, FoundFunction> {
  const functions = new Map<string, FoundFunction>();
  for (const library of libraries) {
    for (const found of library.functions) {
      const name = found.name.toLowerCase();
      if (!functions.has(name)) functions.set(name, { library, found });
    }
  }
  return functions;
}

/**
 * Takes a library's text apart and has its functions registered; or the error. `refuses`: an error that comes from the name,
 * before the code is run.
 */
export function loadLibrary(
  text: string,
  refuses: (name: string) => string | null = () => null,
): Library | string {
  const read = readLibrary(text);
  if (typeof read === 'string') return read;
  const refused = refuses(read.name);
  if (refused !== null) return refused;
  const loaded = engine.library(read.code);
  if (loaded.kind === 'failed') return `ERR ${loaded.error}`;
  if (loaded.functions.length === 0) return 'ERR No functions registered';
  return { name: read.name, text, code: read.code, functions: loaded.functions };
}
