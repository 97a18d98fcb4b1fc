/** Pages of the docs that are made from the code. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Writes `docs/<name>`; with `--check` on the command line fails, with exit code 1, where the page says something else. */
export function writeOrCheck(name: string, text: string): void {
  const file = join(import.meta.dirname, '../docs', name);
  if (!process.argv.includes('--check')) writeFileSync(file, text);
  else if (readFileSync(file, 'utf8') !== text) {
    console.error(`docs/${name} is stale: run npm run docs and commit the result`);
    process.exitCode = 1;
  } else console.log(`docs: ${name} is up to date`);
}
