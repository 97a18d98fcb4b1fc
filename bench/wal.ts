/**
 * What an append costs beyond the disk: batches per second of the log against the bare write and fdatasync of the same
 * bytes into a preallocated file, one at a time. Run with `node bench/wal.ts [directory] [seconds per case]`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asIndex, asTerm, type Entry, EntryType } from '../src/raft/types.ts';
import { nodeStorage } from '../src/wal/node-storage.ts';
import { writeZeros } from '../src/wal/storage.ts';
import { type FsyncMode, Wal } from '../src/wal/wal.ts';

const SIZES = [1024, 64 * 1024];
const FILE_BYTES = 16 * 1024 * 1024;
const parent = process.argv[2] ?? tmpdir();
const caseMs = Number(process.argv[3] ?? 3) * 1000;

interface Result {
  readonly perSecond: number;
  /** Microseconds. */
  readonly median: number;
  readonly p99: number;
}

/** Runs `once` over and over. */
async function measure(once: () => Promise<void>): Promise<Result> {
  for (let count = 0; count < 50; count += 1) await once();
  const times: number[] = [];
  const startedAt = performance.now();
  for (let at = startedAt; at < startedAt + caseMs; ) {
    await once();
    const now = performance.now();
    times.push((now - at) * 1000);
    at = now;
  }
  const seconds = (performance.now() - startedAt) / 1000;
  times.sort((a, b) => a - b);
  const quantile = (share: number): number => Math.round(times[Math.floor(times.length * share)] ?? 0);
  return { perSecond: Math.round(times.length / seconds), median: quantile(0.5), p99: quantile(0.99) };
}

/** Sequential writes and syncs, back to the start when the file is full. */
async function bare(directory: string, size: number): Promise<Result> {
  const file = await nodeStorage.open(join(directory, 'bare'), 'create');
  await writeZeros(file, 0, FILE_BYTES);
  const bytes = Buffer.alloc(size, 1);
  let at = 0;
  const result = await measure(async () => {
    if (at + size > FILE_BYTES) at = 0;
    await file.write([bytes], at);
    await file.sync();
    at += size;
  });
  await file.close();
  return result;
}

/** Appends of one entry each, new segments included. */
async function log(directory: string, size: number, fsync: FsyncMode): Promise<Result> {
  const { wal } = await Wal.open({
    directory: join(directory, `log-${size}-${fsync}`),
    fsync,
    identity: { clusterId: 'bench', nodeId: 'n1', group: 'main' },
    bootstrap: { hardState: { term: asTerm(1), vote: null, recovering: false }, entries: [] },
  });
  const payload = Buffer.alloc(size, 1);
  const result = await measure(() => {
    const index = asIndex(wal.lastIndex + 1);
    const entry: Entry = { index, term: asTerm(1), type: EntryType.batch, payload };
    return wal.append({ hardState: null, entries: [entry], commit: asIndex(index - 1) });
  });
  await wal.close();
  return result;
}

const directory = mkdtempSync(join(parent, 'kvorum-bench-wal-'));
try {
  for (const size of SIZES) {
    const base = await bare(directory, size);
    const rows: [string, Result][] = [['bare write + fdatasync', base]];
    for (const fsync of ['always', 'interval', 'never'] as const) {
      rows.push([`log, fsync ${fsync}`, await log(directory, size, fsync)]);
    }
    console.log(`${size / 1024} KB batches`);
    for (const [name, { perSecond, median, p99 }] of rows) {
      const ratio = (perSecond / base.perSecond).toFixed(2);
      console.log(
        `  ${name.padEnd(24)} ${String(perSecond).padStart(7)}/s  median ${median} µs  p99 ${p99} µs  ${ratio}×`,
      );
    }
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
