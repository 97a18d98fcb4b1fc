/**
 * How many connections a process can have, by the number of files that it may have open. Every connection is one:
 * without a bound they could take the last, the log could not open its next segment, and the node would have to stop.
 */
import { readFileSync } from 'node:fs';

/** For the log, snapshots, the other nodes and HTTP; half of what there is where that is less. */
const RESERVED_FILES = 256;

/** How many files this process may have open. Node has raised that to the hard limit when it started. */
export function openFilesMax(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const count = /^Max open files +(\d+)/m.exec(limits)?.[1];
    return count === undefined ? Infinity : Number(count);
  } catch {
    // Elsewhere than on Linux nobody says.
    return Infinity;
  }
}

/** As many clients as wanted, or as there are files for. */
export function clientsMax(wanted: number, filesMax: number): number {
  return Math.min(wanted, filesMax - Math.min(RESERVED_FILES, Math.floor(filesMax / 2)));
}

/** How many connections the HTTP port takes, those of the other nodes among them; the rest is for the log. */
export function httpConnectionsMax(clients: number, filesMax: number): number {
  return Math.floor((filesMax - clients) / 3);
}
