/**
 * Holds the layer table of ARCHITECTURE.md against the imports in `src/`: each folder may import only what the
 * table grants it, and the pure folders may not reach the outside world at all.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';

interface Layer {
  /** Folders of `src/` whose modules this layer may import. */
  readonly imports: readonly string[];
  /** Modules of other layers that this layer may import for their types only. */
  readonly typesOf: readonly string[];
  /** Packages and Node built-ins it may import; `undefined` means any. */
  readonly packages?: readonly string[];
}

/** The layer table. `zlib` and `crypto` in the store are checksums and hashes: pure functions of their input. */
export const LAYERS: Readonly<Record<string, Layer>> = {
  raft: { imports: [], typesOf: [], packages: [] },
  store: { imports: [], typesOf: [], packages: ['node:zlib', 'node:crypto'] },
  formats: { imports: ['store'], typesOf: [], packages: ['node:buffer'] },
  wal: { imports: [], typesOf: ['raft'] },
  transport: { imports: [], typesOf: ['raft'] },
  server: { imports: ['raft', 'store', 'wal', 'transport'], typesOf: [] },
  embedded: { imports: ['store', 'wal', 'formats'], typesOf: ['raft'] },
  cli: { imports: ['server', 'embedded', 'wal', 'formats'], typesOf: [] },
};

/** What single files may import besides. The Lua interpreter is a file of a package: code, which is read as imports are. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  'store/scripts/interpreter.ts': ['node:fs', 'node:module'],
};

/** Globals that would make a pure layer depend on the world outside it. */
const IMPURE =
  /\b(?:Date\.now|new Date\(|Math\.random|setTimeout|setInterval|setImmediate|process\.|performance\.|fetch\(|crypto\.|random(?:Bytes|UUID|Int|Fill)|async |await |Promise\b)/;
const PURE_LAYERS = ['raft', 'store'];

/** The vocabulary of the log: its types, the constructors of its branded numbers, the encoding of a configuration. */
const SHARED_MODULES = ['raft/types.ts', 'raft/configuration.ts'];

/** Every breach of the table in the sources under `root`, one line each. */
export function breaches(root: string): string[] {
  const found: string[] = [];
  for (const file of sources(root)) {
    const path = relative(root, file).split(sep).join('/');
    const folder = path.includes('/') ? path.slice(0, path.indexOf('/')) : '';
    const layer = LAYERS[folder];
    if (layer === undefined) {
      found.push(`${path}: the folder "${folder}" is not in the layer table; add it there first`);
      continue;
    }
    const text = readFileSync(file, 'utf8');
    for (const { specifier, typeOnly } of importsOf(text)) {
      if (!specifier.startsWith('.')) {
        const excepted = EXCEPTIONS[path]?.includes(specifier) === true;
        if (layer.packages !== undefined && !layer.packages.includes(specifier) && !excepted) {
          found.push(
            `${path}: imports "${specifier}"; ${folder} may import ${layer.packages.join(', ') || 'no package'}`,
          );
        }
        continue;
      }
      const target = relative(root, resolve(dirname(file), specifier))
        .split(sep)
        .join('/');
      const targetFolder = target.slice(0, Math.max(0, target.indexOf('/')));
      if (targetFolder === folder || layer.imports.includes(targetFolder)) continue;
      const typesAllowed =
        layer.typesOf.includes(targetFolder) && (typeOnly || SHARED_MODULES.includes(target));
      if (!typesAllowed)
        found.push(`${path}: imports "${target}", which the layer table does not grant to ${folder}`);
    }
    if (PURE_LAYERS.includes(folder)) {
      withoutComments(text)
        .split('\n')
        .forEach((line, at) => {
          const impure = IMPURE.exec(line);
          if (impure !== null) found.push(`${path}:${at + 1}: "${impure[0]}" in a pure layer`);
        });
    }
  }
  return found;
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

function* importsOf(text: string): Generator<{ specifier: string; typeOnly: boolean }> {
  const statement =
    /^\s*(?:import|export)\s+(type\s)?[^'"]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]/gm;
  for (const match of text.matchAll(statement)) {
    const specifier = match[2] ?? match[3] ?? match[4];
    if (specifier !== undefined) yield { specifier, typeOnly: match[1] !== undefined };
  }
}

/** Blanks out comments, keeping the line count. Good enough for sources that the formatter has laid out. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, (comment) =>
    comment.replaceAll(/[^\n]/g, ' '),
  );
}

if (import.meta.main) {
  const found = breaches(resolve(import.meta.dirname, '../src'));
  for (const line of found) console.error(line);
  if (found.length > 0) process.exitCode = 1;
  else console.log('imports: the layer table holds');
}
