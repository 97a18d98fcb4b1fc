/**
 * MONITOR: connections that see every command that this node takes, as it takes it. Passwords are not shown, nor are
 * administrative commands, as in Redis.
 *
 * What a monitor does not fetch is bounded as messages are: one that is too slow is closed.
 */
import type { CommandSpec } from '../store/command.ts';
import { quoted } from './resp/quoted.ts';
import { isSecret } from './secrets.ts';
import type { Subscriber } from './subscriptions.ts';

export class Monitors {
  readonly #monitors = new Set<Pick<Subscriber, 'push'>>();

  /** To be asked first: nearly always there are none. */
  get none(): boolean {
    return this.#monitors.size === 0;
  }

  add(monitor: Pick<Subscriber, 'push'>): void {
    this.#monitors.add(monitor);
  }

  delete(monitor: Pick<Subscriber, 'push'>): void {
    this.#monitors.delete(monitor);
  }

  has(monitor: Pick<Subscriber, 'push'>): boolean {
    return this.#monitors.has(monitor);
  }

  /** `now`: ms since 1970. `from`: the address of the client, or where the command came from. */
  show({ flags }: Pick<CommandSpec, 'flags'>, args: readonly string[], from: string, now: number): void {
    // What Redis flags to be skipped (EXEC, scripts) it shows in another place.
    if (flags.includes('admin')) return;
    const words = args.map((arg, at) => quoted(isSecret(args, at) ? '(redacted)' : arg));
    const line = `+${(now / 1000).toFixed(6)} [0 ${from}] ${words.join(' ')}\r\n`;
    for (const monitor of this.#monitors) monitor.push({ resp2: line, resp3: line });
  }
}
