/** Plays all golden scripts of the simulator and names the first that does not go as recorded; exit code 1 then. */
import { readdirSync, readFileSync } from 'node:fs';
import { playScript } from '../sim/script.ts';

const FOLDER = new URL('../sim/scripts/', import.meta.url);

/** What went otherwise, in one line; `null`: nothing. */
function difference(text: string): string | null {
  try {
    const played = playScript(text).text;
    if (played === text) return null;
    const lines = text.split('\n');
    const at = played.split('\n').findIndex((line, number) => line !== lines[number]);
    return `line ${at + 1}, "${(lines[at] ?? '').trim()}", is different`;
  } catch (error) {
    return String(error).split('\n')[0] ?? '';
  }
}

for (const name of readdirSync(FOLDER).sort()) {
  const found = difference(readFileSync(new URL(name, FOLDER), 'utf8'));
  if (found === null) continue;
  console.log(`script ${name}: ${found}`);
  process.exitCode = 1;
  break;
}
