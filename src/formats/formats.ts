/** All formats by their names. */
import { binaryEncoder, logEncoder, readBinary, readLog, readSnapshot, snapshotEncoder } from './entries.ts';
import type { Encoder, Format, ReadCommand, Reading } from './format.ts';
import type { Input } from './input.ts';
import { jsonEncoder, readJson } from './json.ts';
import { rdbEncoder, readRdb } from './rdb.ts';
import { readResp, respEncoder } from './resp.ts';

/** The commands of a file, to its end. */
export async function* readFormat(
  format: Format,
  input: Input,
  reading: Reading,
): AsyncGenerator<ReadCommand> {
  switch (format) {
    case 'json':
      return yield* readJson(input);
    case 'binary':
      return yield* readBinary(input);
    case 'kvsp':
      return yield* readSnapshot(input);
    case 'kvlg':
      return yield* readLog(input);
    case 'rdb':
      yield* readRdb(input, reading);
      if (!(await input.atEnd())) input.wrong('the end of the file', 'more bytes');
      return;
    case 'resp':
      return yield* readResp(input, reading);
    default:
      format satisfies never;
  }
}

/** `now`: ms since 1970; most formats say when they were written. */
export function encoderOf(format: Format, now: number): Encoder {
  switch (format) {
    case 'json':
      return jsonEncoder(now);
    case 'binary':
      return binaryEncoder(now);
    case 'kvsp':
      return snapshotEncoder(now);
    case 'kvlg':
      return logEncoder(now);
    case 'rdb':
      return rdbEncoder(now);
    case 'resp':
      return respEncoder();
    default:
      return format satisfies never;
  }
}
