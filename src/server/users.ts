/**
 * The users as a node knows them: the replicated ones (`src/store/acl`), made ready to be asked for every command.
 *
 * `default` is there from the beginning, and until somebody changes it by ACL SETUSER it is what this node was started with: it
 * may do everything, and needs the password of the configuration, or none. The first change takes that password into the log;
 * from then on the log says what `default` needs, on all nodes.
 *
 * Rights are checked on the node that a client is connected to, before its request goes anywhere: what nodes pass on to each
 * other was checked by its sender. A change of users holds on a node as soon as it has applied it.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Catalogue } from '../store/acl/catalogue.ts';
import type { Denial } from '../store/acl/rights.ts';
import { Rights, sortDenialText } from '../store/acl/rights.ts';
import {
  BAD_USER_NAME,
  DEFAULT_USER,
  hasSpaces,
  mergeSelectors,
  ruleError,
  type RuleProblem,
  rulesInside,
  Selector,
  UserRules,
} from '../store/acl/rules.ts';
import type { Call, CommandSpec } from '../store/command.ts';
import { runsScripts } from '../store/commands/on-behalf.ts';
import { onBehalf } from '../store/table.ts';
import { refusedCall } from './commands/transaction.ts';
import { initialPassword } from '../store/commands/users.ts';
import type { Engine } from './engine.ts';

/** A user, the same object for as long as it exists. */
export class User {
  readonly name: string;
  /** Whether its requests have to be checked. */
  restricted = true;
  #rules: UserRules;
  #rights: Rights;

  constructor(name: string, rules: UserRules, rights: Rights) {
    this.name = name;
    this.#rules = rules;
    this.#rights = rights;
    this.restricted = !rights.unlimited;
  }

  get rules(): UserRules {
    return this.#rules;
  }

  get rights(): Rights {
    return this.#rights;
  }

  change(rules: UserRules, rights: Rights): void {
    this.#rules = rules;
    this.#rights = rights;
    this.restricted = !rights.unlimited;
  }

  /** Whether this password, or any, lets one be this user. */
  admits(password: string): boolean {
    const { enabled, nopass, passwords } = this.#rules;
    if (!enabled) return false;
    if (nopass) return true;
    const given = Buffer.from(hashOf(password));
    let right = false;
    // All of them, and each in full, so that the answer takes as long for every guess.
    for (const hash of passwords) right = timingSafeEqual(given, Buffer.from(hash)) || right;
    return right;
  }
}

/** What wants to know of changes; called in the middle of a command, and must not touch the store. */
export interface UsersWatcher {
  deleted(user: User): void;
  changed(user: User): void;
}

const NOBODY: ReadonlyMap<string, string> = new Map();

export class Users {
  readonly catalogue: Catalogue;
  /** The one that a connection is before it says otherwise. */
  readonly default: User;
  readonly #passwordHash: string | null;
  readonly #users = new Map<string, User>();
  #engine: Pick<Engine, 'users'> | null = null;
  #watcher: UsersWatcher | null = null;

  /** `password`: what `default` needs at first; null for none. */
  constructor(password: string | null, catalogue: Catalogue) {
    this.catalogue = catalogue;
    this.#passwordHash = password === null ? null : hashOf(password);
    const rules = UserRules.initialDefault(this.#passwordHash);
    this.default = new User(DEFAULT_USER, rules, new Rights(catalogue, rules));
    this.#users.set(DEFAULT_USER, this.default);
  }

  /** Follows the users of this node's store from now on. */
  attach(engine: Pick<Engine, 'users' | 'events'>): void {
    this.#engine = engine;
    this.#loadAll();
    engine.events.watch({
      metaChanged: (table, name) => {
        if (table !== 'users') return;
        if (name === null) this.#loadAll();
        else this.#load(name);
      },
      restored: () => this.#loadAll(),
    });
  }

  /** One; told of every change. */
  watch(watcher: UsersWatcher): void {
    this.#watcher = watcher;
  }

  /** Whether one is `default` without a password. */
  get open(): boolean {
    const { enabled, nopass } = this.default.rules;
    return enabled && nopass;
  }

  /** Whether the log has another password for `default` than this node was started with. */
  get overruled(): boolean {
    const { nopass, passwords } = this.default.rules;
    return this.#passwordHash !== null && (nopass || !passwords.has(this.#passwordHash));
  }

  get(name: string): User | undefined {
    return this.#users.get(name);
  }

  /** By their names, in order. */
  all(): User[] {
    return [...this.#users.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** The user, where the password is right. */
  authenticate(name: string, password: string): User | null {
    const user = this.#users.get(name);
    return user?.admits(password) === true ? user : null;
  }

  /**
   * Who the header `authorization` of an HTTP request shows: `Bearer <password>` for `default`, or `Basic` with any user; without
   * one `default`, where it needs no password.
   */
  shownBy(authorization: string | undefined): User | null {
    if (authorization === undefined) return this.open ? this.default : null;
    const [scheme = '', credentials = ''] = authorization.split(' ', 2);
    switch (scheme.toLowerCase()) {
      case 'bearer':
        return this.authenticate(DEFAULT_USER, credentials);
      case 'basic': {
        const text = Buffer.from(credentials, 'base64').toString('latin1');
        const colon = text.indexOf(':');
        if (colon === -1) return null;
        // curl -u :password leaves the user out.
        return this.authenticate(text.slice(0, colon) || DEFAULT_USER, text.slice(colon + 1));
      }
      default:
        return this.open ? this.default : null;
    }
  }

  /**
   * An ACL SETUSER as it goes into the log, with hashes in place of passwords; or the error, where this node sees that it will
   * fail. What fails for a change that comes in between is told by the log.
   */
  prepare(args: readonly string[]): readonly string[] | string {
    const name = args[2] ?? '';
    if (hasSpaces(name)) return BAD_USER_NAME;
    const merged = mergeSelectors(args.slice(3));
    if (typeof merged === 'string') return merged;
    const kept = this.#engine?.users.get(name);
    const isInitial = kept === undefined && name === DEFAULT_USER;
    const rules =
      kept !== undefined
        ? UserRules.decode(kept)
        : isInitial
          ? UserRules.initialDefault(this.#passwordHash)
          : new UserRules();
    const prepared: string[] = [];
    for (const rule of merged) {
      const hashed = withHash(rule);
      const problem = this.#unknownIn(rule) ?? rules.add(hashed);
      if (problem !== null) return ruleError(rule, problem);
      if (hashed !== '') prepared.push(hashed);
    }
    const initial = name === DEFAULT_USER ? [initialPassword(this.#passwordHash)] : [];
    return ['ACL', 'SETUSER', name, ...initial, ...prepared];
  }

  /** What a rule names and what is not there, in or out of parentheses. */
  #unknownIn(rule: string): RuleProblem | null {
    if (/^[+-]/.test(rule)) return this.catalogue.problemOf(rule);
    if (!rule.startsWith('(') || !rule.endsWith(')')) return null;
    const selector = new Selector();
    for (const inner of rulesInside(rule)) {
      const problem = (/^[+-]/.test(inner) ? this.catalogue.problemOf(inner) : null) ?? selector.add(inner);
      if (problem !== null) return problem;
    }
    return null;
  }

  #loadAll(): void {
    const kept = this.#engine?.users ?? NOBODY;
    for (const name of new Set([...this.#users.keys(), ...kept.keys()])) this.#load(name);
  }

  #load(name: string): void {
    const kept = this.#engine?.users.get(name);
    const known = this.#users.get(name);
    if (kept === undefined && name !== DEFAULT_USER) {
      this.#users.delete(name);
      if (known !== undefined) this.#watcher?.deleted(known);
      return;
    }
    const rules = kept === undefined ? UserRules.initialDefault(this.#passwordHash) : UserRules.decode(kept);
    const rights = new Rights(this.catalogue, rules);
    if (known === undefined) this.#users.set(name, new User(name, rules, rights));
    else {
      known.change(rules, rights);
      this.#watcher?.changed(known);
    }
  }
}

/**
 * A request that the user may make, as it goes to the log or to the store: scripts go with the name of a user who may not do
 * everything, and a SORT that would tell of other keys is replaced by its error.
 */
export function onBehalfOf(user: User, call: Call): Call {
  if (!user.restricted) return call;
  const { command, args } = call;
  const option = user.rights.deniedOptionOfSort(command, args);
  if (option !== null) return refusedCall(sortDenialText(option));
  if (!runsScripts(command)) return call;
  const outer = command.write ? onBehalf.writing : onBehalf.reading;
  return { command: outer, args: [outer.name, user.name, ...args] };
}

/** Why the user may not run the request, in words. */
export function denialText(command: CommandSpec, { reason }: Denial): string {
  switch (reason) {
    case 'command':
      return `NOPERM this user has no permissions to run the '${command.name}' command`;
    case 'key':
      return 'NOPERM this user has no permissions to access one of the keys used as arguments';
    case 'channel':
      return 'NOPERM this user has no permissions to access one of the channels used as arguments';
  }
}

/** The same of a request that was allowed when it was queued. */
export function lateDenialText({ reason }: Denial): string {
  const why = {
    command: 'no permission to execute the command or subcommand',
    key: 'no permission to touch the specified keys',
    channel: 'no permission to access one of the channels used as arguments',
  }[reason];
  return `NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: ${why}`;
}

function hashOf(password: string): string {
  return createHash('sha256').update(password, 'latin1').digest('hex');
}

/** `>password` and `<password` as `#hash` and `!hash`. */
function withHash(rule: string): string {
  if (rule.startsWith('>')) return `#${hashOf(rule.slice(1))}`;
  return rule.startsWith('<') ? `!${hashOf(rule.slice(1))}` : rule;
}
