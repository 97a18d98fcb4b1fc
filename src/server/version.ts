import { readFileSync } from 'node:fs';

/** This package's version. The file lies two folders up both from `src/server` and from `dist/server`. */
export const VERSION: string = readVersion();

function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { version: unknown }).version);
}
