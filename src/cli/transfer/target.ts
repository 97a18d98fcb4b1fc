/** What an import fills. */
import type { Reply } from './node-link.ts';

export interface Target {
  /** Runs commands in order, in one step where the target can do that. Null where nobody knows what they answered. */
  run(commands: readonly (readonly string[])[]): Promise<readonly Reply[] | null>;
  /** Everything that was run is as durable as the target makes it. */
  close(): Promise<void>;
}
