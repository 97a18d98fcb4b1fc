/**
 * A full disk, and how a node gets over it without help.
 *
 * Two lines of defence. Long before the end, a look at the free space once a second makes the core turn writes away,
 * with an error that says so, while reads go on: what is left is for what is under way and for a snapshot, which is
 * taken at once where it lets go of a part of the log. Where another program eats the rest between two looks, the log
 * finds no room for its next segment and has written nothing; the same write is then made again until it succeeds. To the
 * core that is a slow disk: a leader steps down, a follower does not acknowledge. No write was promised, so none is
 * lost, and nobody has to restart anything when there is space again.
 */
import type { Logger } from 'pino';
import { type Wal, WalError } from '../wal/wal.ts';
import type { Clock } from './clock.ts';

/** Below so many free segments (16 MiB each) the disk counts as full: one prepared, one written, a snapshot beside. */
export const DISK_LOW_SEGMENTS = 4;
const LOOK_EVERY_MS = 1000;
/** How long after a write that found no room the same one is made again. */
const RETRY_AFTER_MS = 500;

export interface DiskSpaceOptions {
  readonly wal: Pick<Wal, 'freeBytes' | 'segmentBytes'>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `low` has changed. */
  readonly onChange: () => void;
}

export class DiskSpace {
  readonly #options: DiskSpaceOptions;
  readonly #lowBytes: number;
  /** By the last look. */
  #little = false;
  #freeBytes = Infinity;
  #outage = false;
  #looking = false;
  #stopped = false;
  /** Bytes that were written to the log since the last look. */
  #unseenBytes = 0;
  /** Why the last look failed; said once and not every second. */
  #problem = '';
  #endLooks = (): void => undefined;
  /** Ends the pause before the next attempt. */
  #wake = (): void => undefined;

  constructor(options: DiskSpaceOptions) {
    this.#options = options;
    this.#lowBytes = DISK_LOW_SEGMENTS * options.wal.segmentBytes;
  }

  /** Space is running out: no writes should be taken. */
  get low(): boolean {
    return this.#little || this.#outage;
  }

  /** What the last look found, while space is running out. */
  get freeBytesWhileLow(): number | null {
    return this.low ? this.#freeBytes : null;
  }

  /** A write waits for space. */
  get outage(): boolean {
    return this.#outage;
  }

  /** Begins to watch. */
  start(): void {
    void this.#look();
    this.#endLooks = this.#options.clock.every(LOOK_EVERY_MS, () => void this.#look());
  }

  /** Ends the watch; a write that waits for space is given up, as it would be if the process ended. */
  stop(): void {
    this.#stopped = true;
    this.#endLooks();
    this.#wake();
  }

  async #look(): Promise<void> {
    if (this.#looking || this.#stopped) return;
    this.#looking = true;
    this.#unseenBytes = 0;
    try {
      const free = await this.#options.wal.freeBytes();
      this.#freeBytes = free;
      this.#problem = '';
      const little = free < this.#lowBytes;
      if (little !== this.#little) this.#tell(little, free);
      this.#set({ little, outage: this.#outage });
    } catch (error) {
      // Not to know is no reason to refuse anything: the writes themselves will tell.
      this.#set({ little: false, outage: this.#outage });
      const problem = String(error);
      if (problem !== this.#problem)
        this.#options.logger.warn(`the free space of the data directory can't be read: ${problem}`);
      this.#problem = problem;
    } finally {
      this.#looking = false;
    }
  }

  #set({ little, outage }: { little: boolean; outage: boolean }): void {
    const before = this.low;
    this.#little = little;
    this.#outage = outage;
    if (this.low !== before && !this.#stopped) this.#options.onChange();
  }

  #tell(little: boolean, freeBytes: number): void {
    const { logger } = this.#options;
    const figures = { freeBytes, neededBytes: this.#lowBytes };
    if (little)
      logger.error(figures, 'the disk is almost full: writes are refused until there is space again');
    else logger.info(figures, 'there is space on the disk again: writes are accepted');
  }

  /**
   * Makes the write, again and again while the log finds no room for it and has written nothing. `bytes`: how large it
   * is, about; a fast disk can take all that is left within a second.
   */
  async write(write: () => Promise<void>, bytes: number = 0): Promise<void> {
    const { logger } = this.#options;
    while (!this.#stopped) {
      try {
        await write();
        this.#unseenBytes += bytes;
        if (this.#unseenBytes >= this.#options.wal.segmentBytes) void this.#look();
        if (this.#outage) logger.info('the log has room again and goes on');
        this.#set({ little: this.#little, outage: false });
        return;
      } catch (error) {
        if (!(error instanceof WalError) || !error.retryable) throw error;
        if (!this.#outage) logger.error(`the log waits for space on the disk: ${error.message}`);
        this.#set({ little: this.#little, outage: true });
        await this.#pause();
      }
    }
  }

  #pause(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(RETRY_AFTER_MS, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
