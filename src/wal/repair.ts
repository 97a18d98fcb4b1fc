/**
 * What a start writes to a log before it goes on: an unsound end is cut away, and put aside first for whoever wants to
 * look; a mark that a crash has prevented is written.
 */
import { join } from 'node:path';
import type { ReplayedLog } from './replay.ts';
import { clearSlotsAfter, writeIdentifier, type Ring } from './segment.ts';
import { readExactly, writeZeros, type Storage, type StorageFile } from './storage.ts';

/** Files of cut bytes that are kept of each kind; the oldest go first. */
const COPIES_MAX = 8;

/**
 * Overwrites everything behind the sound log with zeros, then forgets the identifiers that speak of it; in this order,
 * because they are the evidence as long as the bytes are there. A crash at any point leaves an end that is judged the
 * same and cut again. Answers the ring that is left, and what was done, in words.
 */
export async function cutEnd(
  storage: Storage,
  directory: string,
  file: StorageFile,
  { end, ring, tail }: ReplayedLog,
  kind: 'torn' | 'lost',
): Promise<{ ring: Ring; done: string }> {
  const { offset, usedEnd, path } = end;
  let kept = '';
  if (usedEnd > offset) {
    const bytes = await readExactly(file, offset, usedEnd);
    kept = await keepCopy(storage, directory, `${kind}-${digits(tail.batch + 1)}-at-${offset}`, bytes);
    await writeZeros(file, offset, usedEnd);
  }
  const left = await clearSlotsAfter(file, ring, tail.batch);
  const where = kept === '' ? '' : `; kept as ${kept}`;
  return { ring: left, done: `${path}: cut ${usedEnd - offset} bytes at offset ${offset}${where}` };
}

/**
 * Marks segments as complete that a crash left without the mark, after the next one had its name: without it nobody would
 * notice if that one disappeared.
 */
export async function sealEarlier(
  storage: Storage,
  directory: string,
  { segments }: ReplayedLog,
): Promise<void> {
  for (const { name, sequence, ring, state } of segments.slice(0, -1)) {
    if (state.sealed) continue;
    const file = await storage.open(join(directory, name), 'update');
    try {
      await writeIdentifier(file, sequence, ring.next, { ...state, sealed: true });
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

/** Writes a copy, durably, under a name that no earlier copy has. */
async function keepCopy(storage: Storage, directory: string, stem: string, bytes: Buffer): Promise<string> {
  const kind = stem.slice(0, stem.indexOf('-') + 1);
  const names = (await storage.list(directory))
    .filter((name) => name.startsWith(kind) && name.endsWith('.copy'))
    .sort();
  for (const name of names.slice(0, Math.max(0, names.length + 1 - COPIES_MAX)))
    await storage.remove(join(directory, name));
  let name = `${stem}.copy`;
  for (let count = 2; names.includes(name); count += 1) name = `${stem}-${count}.copy`;
  const copy = await storage.open(join(directory, name), 'create');
  try {
    await copy.write([bytes], 0);
    await copy.sync();
  } finally {
    await copy.close();
  }
  await storage.syncDirectory(directory);
  return name;
}

function digits(value: number): string {
  return String(value).padStart(16, '0');
}
