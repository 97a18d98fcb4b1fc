/** The rights of users whose scripts run, from the replicated users: the same on every node at the same place of the log. */
import type { CommandSpec } from '../command.ts';
import type { Meta } from '../meta.ts';
import { Catalogue } from './catalogue.ts';
import { Rights } from './rights.ts';
import { UserRules } from './rules.ts';

/** Users whose rights are kept ready; all are made anew when there are more. */
const READY_MAX = 1000;

export class ScriptRights {
  readonly #commands: () => Iterable<CommandSpec>;
  readonly #ready = new Map<string, { readonly kept: string | undefined; readonly rights: Rights }>();
  #catalogue: Catalogue | null = null;

  /** `commands`: all that scripts may call; asked for once, late. */
  constructor(commands: () => Iterable<CommandSpec>) {
    this.#commands = commands;
  }

  /** Of a user that is no more: none. */
  of(meta: Meta, user: string): Rights {
    const kept = meta.get('users', user);
    const ready = this.#ready.get(user);
    if (ready !== undefined && ready.kept === kept) return ready.rights;
    this.#catalogue ??= new Catalogue(this.#commands());
    const rules = kept === undefined ? new UserRules() : UserRules.decode(kept);
    const rights = new Rights(this.#catalogue, rules);
    if (this.#ready.size >= READY_MAX) this.#ready.clear();
    this.#ready.set(user, { kept, rights });
    return rights;
  }
}
