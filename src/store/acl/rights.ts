/**
 * What a user may do, made ready to be asked for every command. One selector has to allow a request as a whole: the command,
 * each key for what is done with it, and each channel.
 */
import type { CommandSpec } from '../command.ts';
import { matchesGlob } from '../glob.ts';
import { hasKeys, type KeyFlag, keyReferences, type KeyReference } from '../key-specs.ts';
import { Allowed } from './allowed.ts';
import type { Catalogue } from './catalogue.ts';
import { READ, type Selector, type UserRules, WRITE } from './rules.ts';

/** Why a request is turned away, and the argument that it fails for. */
export interface Denial {
  readonly reason: 'command' | 'key' | 'channel';
  readonly position: number;
}

/** Where commands name channels. */
const CHANNELS: ReadonlyMap<string, { readonly all: boolean; readonly pattern: boolean }> = new Map([
  ['publish', { all: false, pattern: false }],
  ['spublish', { all: false, pattern: false }],
  ['subscribe', { all: true, pattern: false }],
  ['ssubscribe', { all: true, pattern: false }],
  ['psubscribe', { all: true, pattern: true }],
]);

/** If selectors fail for different reasons, the last of these is told. */
const REASONS: readonly Denial['reason'][] = ['command', 'key', 'channel'];

class SelectorRights {
  readonly commands: Allowed;
  readonly #catalogue: Catalogue;
  readonly #keys: readonly (readonly [pattern: string, permissions: number])[] | null;
  readonly #channels: readonly string[] | null;

  constructor(catalogue: Catalogue, { keys, channels, commands }: Selector) {
    this.#catalogue = catalogue;
    this.commands = new Allowed(catalogue, commands.values());
    this.#keys = keys === null ? null : [...keys];
    this.#channels = channels === null ? null : [...channels];
  }

  /** Anything may be done. */
  get unlimited(): boolean {
    return this.#keys === null && this.#channels === null && this.commands.bits.every((bit) => bit === 1);
  }

  check(
    command: CommandSpec,
    args: readonly string[],
    references: () => readonly KeyReference[],
  ): Denial | null {
    if (!this.#allows(command, args)) return { reason: 'command', position: 0 };
    if (this.#keys !== null)
      for (const { position, flags } of references())
        if (!this.#opens(args[position] ?? '', flags)) return { reason: 'key', position };
    const channels = this.#channels === null ? undefined : CHANNELS.get(command.name);
    const end = channels === undefined ? 0 : channels.all ? args.length : 2;
    for (let position = 1; position < end; position++)
      if (!this.mayListen(args[position] ?? '', channels?.pattern === true))
        return { reason: 'channel', position };
    return null;
  }

  #allows({ name, flags }: CommandSpec, args: readonly string[]): boolean {
    const id = this.#catalogue.named(name)?.id;
    if (id === undefined) return false;
    if (this.commands.bits[id] === 1 || flags.includes('no_auth')) return true;
    const first = args[1]?.toLowerCase();
    const known = this.commands.firstArguments.get(id);
    return known !== undefined && known.some((argument) => argument.toLowerCase() === first);
  }

  #opens(key: string, flags: readonly KeyFlag[]): boolean {
    if (flags.includes('not_key')) return true;
    const needed = permissionsFor(flags);
    return (this.#keys ?? []).some(
      ([pattern, permissions]) => (permissions & needed) === needed && matchesGlob(pattern, key),
    );
  }

  /** Whether all keys may be read. */
  get readsAll(): boolean {
    return (
      this.#keys?.some(([pattern, permissions]) => pattern === '*' && (permissions & READ) !== 0) ?? true
    );
  }

  /** A pattern may be listened to if it is one of those given; a channel, if it matches one. */
  mayListen(channel: string, isPattern: boolean): boolean {
    if (this.#channels === null) return true;
    return isPattern
      ? this.#channels.includes(channel)
      : this.#channels.some((pattern) => matchesGlob(pattern, channel));
  }
}

function permissionsFor(flags: readonly KeyFlag[]): number {
  const writes = flags.includes('update') || flags.includes('insert') || flags.includes('delete');
  return (flags.includes('access') ? READ : 0) | (writes ? WRITE : 0);
}

export class Rights {
  readonly #selectors: readonly SelectorRights[];
  #described: readonly string[] | null = null;
  /** Anything may be done: nothing has to be checked. */
  readonly unlimited: boolean;

  constructor(catalogue: Catalogue, rules: UserRules) {
    this.#selectors = rules.selectors.map((selector) => new SelectorRights(catalogue, selector));
    this.unlimited = this.#selectors.some((selector) => selector.unlimited);
  }

  /** `null`: the request, whose arity is right, may be run. */
  check(command: CommandSpec, args: readonly string[]): Denial | null {
    let found: readonly KeyReference[] | null = null;
    const references = (): readonly KeyReference[] => {
      found ??= hasKeys(command) ? keyReferences(command, args) : [];
      return found;
    };
    let told: Denial = { reason: 'command', position: 0 };
    for (const selector of this.#selectors) {
      const denial = selector.check(command, args, references);
      if (denial === null) return null;
      const [reason, before] = [REASONS.indexOf(denial.reason), REASONS.indexOf(told.reason)];
      if (reason > before || (reason === before && denial.position > told.position)) told = denial;
    }
    return told;
  }

  /**
   * SORT reads keys that it does not name: the option that is turned away for it, unless all keys may be read. The request has
   * passed `check`.
   */
  deniedOptionOfSort(command: CommandSpec, args: readonly string[]): 'BY' | 'GET' | null {
    if (command.name !== 'sort' && command.name !== 'sort_ro') return null;
    const option = optionOfSort(args);
    if (option === null) return null;
    const references = (): readonly KeyReference[] => keyReferences(command, args);
    const readsAll = this.#selectors.some(
      (selector) => selector.readsAll && selector.check(command, args, references) === null,
    );
    return readsAll ? null : option;
  }

  /** Whether the channel, or the pattern, may still be listened to. */
  mayListen(channel: string, isPattern: boolean): boolean {
    return this.#selectors.some((selector) => selector.mayListen(channel, isPattern));
  }

  /** The rules about commands of each selector, as Redis shows them. */
  describeCommands(): readonly string[] {
    // Some hundred microseconds for a user, and ACL LIST asks for all of them.
    this.#described ??= this.#selectors.map(({ commands }) => commands.describe());
    return this.#described;
  }
}

export function sortDenialText(option: string): string {
  return `ERR ${option} option of SORT denied due to insufficient ACL permissions.`;
}

/** The first BY or GET of a SORT that leads to other keys; null behind a mistake, which the command tells. */
function optionOfSort(args: readonly string[]): 'BY' | 'GET' | null {
  for (let at = 2; at < args.length; at++) {
    switch ((args[at] ?? '').toLowerCase()) {
      case 'asc':
      case 'desc':
      case 'alpha':
        break;
      case 'limit':
        at += 2;
        break;
      case 'store':
        at += 1;
        break;
      case 'by':
        at += 1;
        if (args[at]?.includes('*') === true) return 'BY';
        break;
      case 'get':
        at += 1;
        return at < args.length ? 'GET' : null;
      default:
        return null;
    }
  }
  return null;
}
