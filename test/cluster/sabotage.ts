/** Builds of the project with one safety guard taken away: `dist` as the image holds it, and broken. */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { MUTATIONS } from '../mutation/mutations.ts';

const ROOT = resolve(import.meta.dirname, '../..');

export interface BrokenBuild {
  readonly dist: string;
  remove(): Promise<void>;
}

/** Builds a copy of the sources without the guard of this name (see test/mutation). Fails unless the guard is found. */
export async function buildWithout(guard: string): Promise<BrokenBuild> {
  const mutation = MUTATIONS.find(({ name }) => name === guard);
  if (mutation === undefined)
    throw new Error(`there is no guard named ${guard} in test/mutation/mutations.ts`);
  const directory = await mkdtemp(join(tmpdir(), `kvorum-without-${guard}-`));
  const copies = ['src', 'package.json', 'tsconfig.json', 'tsconfig.build.json'];
  await Promise.all(copies.map((name) => cp(join(ROOT, name), join(directory, name), { recursive: true })));
  await symlink(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  const file = join(directory, 'src', mutation.file);
  const parts = (await readFile(file, 'utf8')).split(mutation.find);
  if (parts.length !== 2)
    throw new Error(`the text of ${guard} stands ${parts.length - 1} times in ${mutation.file}`);
  await writeFile(file, parts.join(mutation.replace));
  const compiler = join(ROOT, 'node_modules/.bin/tsc');
  // A guard may leave behind what nothing uses any more: only that it runs matters here.
  await promisify(execFile)(compiler, ['-p', 'tsconfig.build.json', '--noCheck'], { cwd: directory });
  return {
    dist: join(directory, 'dist'),
    remove: () => rm(directory, { recursive: true }),
  };
}
