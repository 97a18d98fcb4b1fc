/**
 * `kvorum import`: a file's commands, into a cluster.
 *
 * The file is read twice. The first time nothing is run: every byte is looked at, checksums are compared, values are decoded. Only
 * a file that is whole is run then, batch by batch, each in one step. So damage leaves the target as it was; what
 * can stop half-way is the target alone, and then it is said how far it came.
 */
import type { Format, ReadCommand, Reading } from '../../formats/format.ts';
import { quoted } from '../../formats/format.ts';
import { readFormat } from '../../formats/formats.ts';
import { DamagedFile } from '../../formats/input.ts';
import { CommandError } from '../command-error.ts';
import { ReplyError } from './node-link.ts';
import { Progress } from './progress.ts';
import { inputOf, type Part, type Source, sourceOf } from './source.ts';
import type { Target } from './target.ts';

/** One step of the target holds no more: neither many nor large ones hold others up. */
const BATCH_COMMANDS_MAX = 500;
const BATCH_BYTES_MAX: number = 1024 * 1024;
/** Of what was left out, so many are named. */
const NAMED_MAX = 10;

export interface ImportOptions {
  readonly format: Format | null;
  /** Which of a file's databases; null: the only one that has keys. */
  readonly database: number | 'all' | null;
  /** Goes on without what can't be taken over. */
  readonly lossy: boolean;
  /** What a crash has cut off at the end of a log is left out. */
  readonly tornEnd: boolean;
}

/** `connect`: called when the file is known to be whole. */
export async function importFile(
  file: string,
  options: ImportOptions,
  connect: () => Promise<Target>,
): Promise<void> {
  const source = await sourceOf(file, options.format);
  const checked = await check(source, options);
  const target = await connect();
  let run = 0;
  try {
    const progress = new Progress('importing', totalOf(checked.parts));
    try {
      for await (const batch of batchesOf(checked, options)) {
        await runBatch(target, batch, run);
        run += batch.length;
        progress.advance(0, batch.length);
      }
    } finally {
      progress.end();
    }
  } catch (error) {
    if (!(error instanceof CommandError) && !(error instanceof DamagedFile)) throw error;
    throw new CommandError(`${error.message}; ${run} commands were run before it, and are not undone`, {
      cause: error,
    });
  } finally {
    await target.close();
  }
  console.log(
    `${file} (${source.format}): ${run} commands were run${checked.skipped > 0 ? `, ${checked.skipped} of other databases were not` : ''}`,
  );
  if (checked.leftOut.count > 0)
    console.log(`left out: ${checked.leftOut.named.join('; ')}${more(checked.leftOut)}`);
}

interface LeftOut {
  readonly named: string[];
  count: number;
}

function more({ named, count }: LeftOut): string {
  return count > named.length ? `; and ${count - named.length} more` : '';
}

/** A file that is whole, and what of it is taken. */
interface Checked {
  readonly format: Format;
  readonly parts: readonly Part[];
  readonly database: number | 'all';
  readonly leftOut: LeftOut;
  /** Commands for other databases. */
  readonly skipped: number;
}

async function check({ format, parts }: Source, options: ImportOptions): Promise<Checked> {
  const databases = new Map<number, number>();
  const leftOut: LeftOut = { named: [], count: 0 };
  const whole: Part[] = [];
  const progress = new Progress('checking', totalOf(parts));
  try {
    for (const part of parts) {
      // Only the last one can have been written to when a crash came.
      const tornEnd = options.tornEnd && part === parts.at(-1) && (format === 'resp' || format === 'kvlg');
      whole.push(
        await checkPart(format, part, { tornEnd, lossy: options.lossy, leftOut, databases, progress }),
      );
    }
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error;
    const log = (format === 'resp' || format === 'kvlg') && error.file === parts.at(-1)?.file;
    const remedy =
      log && error.wholeTo !== null && !options.tornEnd
        ? `; everything before byte ${error.wholeTo} is whole: --torn-end takes that`
        : '';
    throw new CommandError(`${error.message}; nothing was imported${remedy}`, { cause: error });
  } finally {
    progress.end();
  }
  const database = options.database ?? onlyOf(databases);
  const skipped = [...databases]
    .filter(([number]) => database !== 'all' && number !== database)
    .reduce((sum, [, count]) => sum + count, 0);
  return { format, parts: whole, database, leftOut, skipped };
}

/** The only database with keys. */
function onlyOf(databases: ReadonlyMap<number, number>): number {
  const numbers = [...databases.keys()].toSorted((a, b) => a - b);
  const [first = 0] = numbers;
  if (numbers.length < 2 && first === 0) return first;
  const list = numbers.map((number) => `${number} (${databases.get(number)} commands)`).join(', ');
  throw new CommandError(
    `the file has data in the databases ${list}, and kvorum has one database: choose with --db <number>, or take all with --db all, where of keys of the same name the last one stays; nothing was imported`,
  );
}

interface PartCheck {
  readonly tornEnd: boolean;
  readonly lossy: boolean;
  readonly leftOut: LeftOut;
  readonly databases: Map<number, number>;
  readonly progress: Progress;
}

/** Reads a part to its end; what of it is whole. */
async function checkPart(format: Format, part: Part, how: PartCheck): Promise<Part> {
  const { leftOut, lossy, progress } = how;
  let end = part.end;
  for (;;) {
    const found = new Map<number, number>();
    const before = { named: leftOut.named.length, count: leftOut.count };
    const reading: Reading = {
      check: true,
      leaveOut: (what, offset) => {
        if (!lossy)
          throw new CommandError(
            `${part.file} at byte ${offset}: ${what}, can't be taken over; --lossy goes on without it; nothing was imported`,
          );
        leftOut.count++;
        if (leftOut.named.length < NAMED_MAX) leftOut.named.push(what);
      },
    };
    try {
      for await (const { database } of readFormat(format, inputOf({ ...part, end }, progress), reading)) {
        found.set(database, (found.get(database) ?? 0) + 1);
        progress.advance(0, 1);
      }
    } catch (error) {
      const { wholeTo } = error instanceof DamagedFile ? error : { wholeTo: null };
      if (!how.tornEnd || wholeTo === null || wholeTo >= end) throw error;
      console.error(
        `${part.file}: the last ${part.end - wholeTo} bytes are cut off in the middle, and left out`,
      );
      end = wholeTo;
      leftOut.named.length = before.named;
      leftOut.count = before.count;
      continue;
    }
    for (const [database, count] of found)
      how.databases.set(database, (how.databases.get(database) ?? 0) + count);
    return { ...part, end };
  }
}

function totalOf(parts: readonly Part[]): number {
  return parts.reduce((sum, { end }) => sum + end, 0);
}

interface Placed extends ReadCommand {
  readonly file: string;
}

async function* batchesOf(checked: Checked, { lossy }: ImportOptions): AsyncGenerator<readonly Placed[]> {
  let batch: Placed[] = [];
  let bytes = 0;
  const progress = new Progress('', 0);
  for (const part of checked.parts) {
    const reading: Reading = {
      check: false,
      leaveOut: (what) => {
        if (!lossy) throw new CommandError(`${part.file} has changed since it was checked: ${what}`);
      },
    };
    for await (const command of readFormat(checked.format, inputOf(part, progress), reading)) {
      if (checked.database !== 'all' && command.database !== checked.database) continue;
      const size = command.args.reduce((sum, arg) => sum + arg.length, 0);
      if (batch.length > 0 && (batch.length === BATCH_COMMANDS_MAX || bytes + size > BATCH_BYTES_MAX)) {
        yield batch;
        batch = [];
        bytes = 0;
      }
      batch.push({ ...command, file: part.file });
      bytes += size;
    }
  }
  if (batch.length > 0) yield batch;
}

async function runBatch(target: Target, batch: readonly Placed[], before: number): Promise<void> {
  const replies = await target.run(batch.map(({ args }) => args));
  if (replies === null) return;
  const at = replies.findIndex((reply) => reply instanceof ReplyError && reply.code !== 'EXECABORT');
  const reply = replies[at];
  const command = batch[at];
  if (!(reply instanceof ReplyError) || command === undefined) return;
  const { args, file, offset } = command;
  const name = `${args[0]}${args[1] === undefined ? '' : ` ${quoted(args[1])}`}`;
  const others = replies.filter((other) => !(other instanceof ReplyError)).length;
  throw new CommandError(
    `${file} at byte ${offset}: ${name} was refused: ${reply.text}; of the ${batch.length} commands from number ${before + 1} on, which are one step, ${others} were run`,
  );
}
