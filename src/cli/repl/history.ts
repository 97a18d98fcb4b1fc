/**
 * The lines of earlier sessions, in a file that only its owner can read. Lines with passwords are never kept, nor commands of
 * several lines. A history that can't be read or written is no reason not to work: it is then that of this session alone.
 */
import { appendFileSync, chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/** Lines that are read; the file is cut to them when a session begins. */
export const HISTORY_LINES_MAX = 1000;
const LINE_CHARS_MAX = 10_000;
const OWNER_ONLY = 0o600;

export function historyFile(environment: NodeJS.ProcessEnv): string {
  const state = environment['XDG_STATE_HOME'] || join(homedir(), '.local', 'state');
  return join(state, 'kvorum', 'history');
}

/** The newest line first, as readline wants it. */
export function readHistory(file: string): string[] {
  try {
    const lines = readFileSync(file, 'utf8').split('\n');
    lines.pop();
    const kept = lines.slice(-HISTORY_LINES_MAX);
    if (kept.length < lines.length) {
      const next = `${file}.${process.pid}`;
      writeFileSync(next, kept.map((line) => `${line}\n`).join(''), { mode: OWNER_ONLY });
      renameSync(next, file);
    }
    return kept.reverse();
  } catch {
    return [];
  }
}

export function appendHistory(file: string, line: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    appendFileSync(file, `${line}\n`, { mode: OWNER_ONLY });
    // Somebody may have made it before with another mode.
    chmodSync(file, OWNER_ONLY);
  } catch {
    // See the head.
  }
}

/** Whether a line may be kept; `words`: what it says. */
export function mayBeKept(line: string, words: readonly string[]): boolean {
  if (line.trim() === '' || line.length > LINE_CHARS_MAX) return false;
  const [name = '', ...rest] = words.map((word) => word.toLowerCase());
  switch (name) {
    case 'auth':
    case 'migrate':
      return false;
    case 'hello':
      return !rest.includes('auth');
    case 'acl':
      return rest[0] !== 'setuser';
    case 'config':
      return rest[0] !== 'set' || !rest.some((word) => /pass|auth|secret/.test(word));
    default:
      return true;
  }
}
