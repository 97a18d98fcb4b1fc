/**
 * `kvorum import`: a file's commands, into a cluster or a directory.
 *
 * Only a file that was read to its end and is whole is run, batch by batch, each in one step (`src/embedded/source.ts`). So damage leaves the
 * target as it was; what can stop half-way is the target alone, and then it is said how far it came.
 */
import { StoreError } from '../../embedded/errors.ts';
import {
  type Batch,
  batchesOf,
  listOf,
  sourceOf,
  type Taking,
  totalOf,
  type Whole,
  wholeOf,
} from '../../embedded/source.ts';
import { type Format, quoted } from '../../formats/format.ts';
import { CommandError } from '../command-error.ts';
import { ReplyError } from './node-link.ts';
import { Progress } from './progress.ts';
import { inAWord } from './system-error.ts';
import type { Target } from './target.ts';

export interface ImportOptions extends Taking {
  readonly format: Format | null;
}

/** `connect`: called when the file is known to be whole. */
export async function importFile(
  file: string,
  options: ImportOptions,
  connect: () => Promise<Target>,
): Promise<void> {
  const whole = await check(file, options);
  const target = await connect();
  let run = 0;
  try {
    const progress = new Progress('importing', totalOf(whole));
    try {
      for await (const batch of batchesOf(whole, (bytes) => progress.advance(bytes, 0))) {
        await runBatch(target, batch, run);
        run += batch.commands.length;
        progress.advance(0, batch.commands.length);
      }
    } finally {
      progress.end();
    }
  } catch (thrown) {
    const error = inAWord(thrown);
    if (!(error instanceof CommandError)) throw error;
    throw new CommandError(`${error.message}; ${run} commands were run before it, and are not undone`, {
      cause: error,
    });
  } finally {
    await target.close();
  }
  const { format, skipped, leftOut } = whole;
  console.log(
    `${file} (${format}): ${run} commands were run${skipped > 0 ? `, ${skipped} of other databases were not` : ''}`,
  );
  if (leftOut.count > 0) console.log(`left out: ${listOf(leftOut)}`);
}

async function check(file: string, options: ImportOptions): Promise<Whole> {
  try {
    const source = await sourceOf(file, options.format);
    const progress = new Progress('checking', totalOf(source));
    const advance = (bytes: number, commands: number): void => progress.advance(bytes, commands);
    const whole = await wholeOf(source, options, advance).finally(() => progress.end());
    if (whole.torn > 0)
      console.error(
        `${whole.parts.at(-1)?.file}: the last ${whole.torn} bytes are cut off in the middle, and left out`,
      );
    return whole;
  } catch (error) {
    if (error instanceof StoreError)
      throw new CommandError(`${error.message}; nothing was imported`, { cause: error });
    throw inAWord(error);
  }
}

async function runBatch(target: Target, { file, commands }: Batch, before: number): Promise<void> {
  const replies = await target.run(commands.map(({ args }) => args));
  if (replies === null) return;
  // The command that has spoilt the step; what is refused as a whole has none.
  const spoilt = replies.findIndex((reply) => reply instanceof ReplyError && reply.code !== 'EXECABORT');
  const at = spoilt === -1 ? replies.findIndex((reply) => reply instanceof ReplyError) : spoilt;
  const reply = replies[at];
  const command = commands[at];
  if (!(reply instanceof ReplyError) || command === undefined) return;
  const { args, offset } = command;
  const name = `${args[0]}${args[1] === undefined ? '' : ` ${quoted(args[1])}`}`;
  const others = replies.filter((other) => !(other instanceof ReplyError)).length;
  throw new CommandError(
    `${file} at byte ${offset}: ${name} was refused: ${Buffer.from(reply.text, 'latin1').toString()}; of the ${commands.length} commands from number ${before + 1} on, which are one step, ${others} were run`,
  );
}
