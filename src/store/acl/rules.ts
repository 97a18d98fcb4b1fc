/**
 * A user as ACL SETUSER makes it: flags, hashes of passwords, and selectors, each with the keys, channels and commands that it
 * opens. The first selector is the user's own; the others stand in parentheses.
 *
 * What is kept, in the log and in snapshots, is the shortest list of rules that makes the user again. Rules about commands are
 * kept as they were given, and not as the commands that they come to: a release with more commands understands them in its
 * way, and no node has to know all commands to apply the log. Only that which a later rule makes meaningless is dropped.
 *
 * What a rule says of commands is therefore not looked at here: `rights.ts` does, and the node that a client talks to refuses
 * what names no command before it gets into the log. It turns clear passwords into hashes, too.
 */
import { splitWords } from '../split-words.ts';

/** What is wrong with a rule. */
export type RuleProblem =
  | 'syntax'
  | 'unknown'
  | 'firstArgument'
  | 'allKeys'
  | 'allChannels'
  | 'noSuchPassword'
  | 'hash';

const PROBLEMS: Readonly<Record<RuleProblem, string>> = {
  syntax: 'Syntax error',
  unknown: 'Unknown command or category name in ACL',
  firstArgument: 'Allowing first-arg of a subcommand is not supported',
  allKeys:
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns",
  allChannels:
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels",
  noSuchPassword: 'The password you are trying to remove from the user does not exist',
  hash: 'The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters',
};

export const BAD_USER_NAME = "ERR Usernames can't contain spaces or null characters";
export const DEFAULT_USER = 'default';

export function ruleError(rule: string, problem: RuleProblem): string {
  // Redis repeats it as a string of C.
  const [text = ''] = rule.split('\0', 1);
  return `ERR Error in ACL SETUSER modifier '${text}': ${PROBLEMS[problem]}`;
}

/** What C takes for white space, and the end of its strings. */
export function hasSpaces(text: string): boolean {
  return /[ \t\n\v\f\r\0]/.test(text);
}

/** What may be done with the keys of a pattern: bits. */
export const READ = 1;
export const WRITE = 2;
const BOTH: number = READ | WRITE;

export class Selector {
  /** Patterns, and what may be done with the keys that match; null: anything with all. */
  keys: Map<string, number> | null = new Map();
  /** Patterns; null: all. */
  channels: Set<string> | null = new Set();
  /** `+get`, `-@slow`, `+select|0`, `+@all`, …, by what they are about; a later one overrules those before it. */
  readonly commands: Map<string, string> = new Map();

  /** Takes one rule; what is wrong with it otherwise, and nothing is changed. */
  add(rule: string): RuleProblem | null {
    const word = rule.toLowerCase();
    switch (word) {
      case 'allkeys':
      case '~*':
        this.keys = null;
        return null;
      case 'resetkeys':
        this.keys = new Map();
        return null;
      case 'allchannels':
      case '&*':
        this.channels = null;
        return null;
      case 'resetchannels':
        this.channels = new Set();
        return null;
      case 'allcommands':
      case '+@all':
        this.commands.clear();
        this.commands.set('@all', '+@all');
        return null;
      case 'nocommands':
      case '-@all':
        this.commands.clear();
        return null;
      default:
    }
    switch (word[0]) {
      case '~':
      case '%':
        return this.#addKeys(rule);
      case '&':
        return this.#addChannels(rule.slice(1));
      case '+':
      case '-':
        this.#addCommand(rule);
        return null;
      default:
        return 'syntax';
    }
  }

  #addKeys(rule: string): RuleProblem | null {
    if (this.keys === null) return 'allKeys';
    const found = /^(?:~|%(R|W|RW|WR)(?:~|$))(.*)$/is.exec(rule);
    if (found === null) return 'syntax';
    const [, letters = 'rw', pattern = ''] = found;
    if (hasSpaces(pattern)) return 'syntax';
    const permissions = (/r/i.test(letters) ? READ : 0) | (/w/i.test(letters) ? WRITE : 0);
    this.keys.set(pattern, (this.keys.get(pattern) ?? 0) | permissions);
    return null;
  }

  #addChannels(pattern: string): RuleProblem | null {
    if (this.channels === null) return 'allChannels';
    if (hasSpaces(pattern)) return 'syntax';
    this.channels.add(pattern);
    return null;
  }

  /** Behind the others, in place of those that it leaves no meaning. */
  #addCommand(rule: string): void {
    const about = rule.slice(1).toLowerCase();
    this.commands.delete(about);
    if (/^[^@|]*$/.test(about))
      for (const other of this.commands.keys())
        if (other.startsWith(`${about}|`)) this.commands.delete(other);
    const [name = '', ...rest] = rule.slice(1).split('|');
    // What is behind a name may be an argument, which is kept as it is written.
    this.commands.set(about, [`${rule.slice(0, 1)}${name.toLowerCase()}`, ...rest].join('|'));
  }

  /** The rules that make it. */
  rules(): string[] {
    // A pattern that matches everything is not the same as none: others may be added to it.
    const keys =
      this.keys === null ? ['~*'] : this.keyRules().map((rule) => (rule === '~*' ? '%RW~*' : rule));
    return [...keys, ...this.channelRules(), ...this.commands.values()];
  }

  /** One for each pattern of keys, as they are shown. */
  keyRules(): string[] {
    return Array.from(this.keys ?? [['*', BOTH] as const], ([pattern, permissions]) => {
      if (permissions === BOTH) return `~${pattern}`;
      return `${permissions === READ ? '%R' : '%W'}~${pattern}`;
    });
  }

  channelRules(): string[] {
    return Array.from(this.channels ?? ['*'], (pattern) => `&${pattern}`);
  }
}

export class UserRules {
  enabled = false;
  /** Any password will do. */
  nopass = false;
  /** Whether RESTORE looks closely at what it gets; it always does. */
  sanitizing: '' | 'sanitize-payload' | 'skip-sanitize-payload' = '';
  /** SHA-256, in hexadecimal digits. */
  readonly passwords: Set<string> = new Set();
  /** The user's own one, and one for each pair of parentheses. */
  selectors: readonly [Selector, ...Selector[]] = [new Selector()];

  /** What `default` may do while nobody has said otherwise. */
  static initialDefault(passwordHash: string | null): UserRules {
    const rules = new UserRules();
    for (const rule of ['on', '~*', '&*', '+@all', passwordHash === null ? 'nopass' : `#${passwordHash}`])
      rules.add(rule);
    return rules;
  }

  /** Takes one rule, parentheses and all; what is wrong with it otherwise, and nothing is changed. */
  add(rule: string): RuleProblem | null {
    switch (rule.toLowerCase()) {
      case '':
        return null;
      case 'on':
        this.enabled = true;
        return null;
      case 'off':
        this.enabled = false;
        return null;
      case 'sanitize-payload':
        this.sanitizing = 'sanitize-payload';
        return null;
      case 'skip-sanitize-payload':
        this.sanitizing = 'skip-sanitize-payload';
        return null;
      case 'nopass':
        this.nopass = true;
        this.passwords.clear();
        return null;
      case 'resetpass':
        this.nopass = false;
        this.passwords.clear();
        return null;
      case 'clearselectors':
        this.selectors = [this.selectors[0]];
        return null;
      case 'reset':
        this.enabled = false;
        this.nopass = false;
        this.passwords.clear();
        this.sanitizing = 'sanitize-payload';
        this.selectors = [new Selector()];
        return null;
      default:
    }
    if (rule.startsWith('#') || rule.startsWith('!')) return this.#changePasswords(rule);
    if (rule.startsWith('(') && rule.endsWith(')')) return this.#addSelector(rule);
    return this.selectors[0].add(rule);
  }

  #changePasswords(rule: string): RuleProblem | null {
    const hash = rule.slice(1);
    if (!/^[0-9a-f]{64}$/.test(hash)) return 'hash';
    if (rule.startsWith('!')) return this.passwords.delete(hash) ? null : 'noSuchPassword';
    this.passwords.add(hash);
    this.nopass = false;
    return null;
  }

  #addSelector(rule: string): RuleProblem | null {
    const selector = new Selector();
    for (const inner of rulesInside(rule)) {
      const problem = selector.add(inner);
      if (problem !== null) return problem;
    }
    this.selectors = [...this.selectors, selector];
    return null;
  }

  /** As ACL GETUSER shows them. */
  flags(): string[] {
    const flags = [this.enabled ? 'on' : 'off'];
    if (this.nopass) flags.push('nopass');
    if (this.sanitizing !== '') flags.push(this.sanitizing);
    return flags;
  }

  /** What is kept: the rules that make it, one list for each selector. */
  encode(): string {
    const [own, ...others] = this.selectors;
    const hashes = Array.from(this.passwords, (hash) => `#${hash}`);
    return JSON.stringify([
      [...this.flags(), ...hashes, ...own.rules()],
      ...others.map((selector) => selector.rules()),
    ]);
  }

  /** Throws where the text is none that `encode` has made. */
  static decode(text: string): UserRules {
    const rules = new UserRules();
    const [own, ...others] = JSON.parse(text) as string[][];
    for (const rule of own ?? []) check(rule, rules.add(rule));
    rules.selectors = [
      rules.selectors[0],
      ...others.map((list) => {
        const selector = new Selector();
        for (const rule of list) check(rule, selector.add(rule));
        return selector;
      }),
    ];
    return rules;
  }
}

function check(rule: string, problem: RuleProblem | null): void {
  if (problem !== null) throw new Error(`a user was kept with the rule '${rule}': ${PROBLEMS[problem]}`);
}

/** Rules as arguments of ACL SETUSER: a selector may be spread over several of them. Or the error. */
export function mergeSelectors(args: readonly string[]): string[] | string {
  const merged: string[] = [];
  let open: string | null = null;
  for (const arg of args) {
    if (arg.startsWith('(') && !arg.endsWith(')')) open = arg;
    else if (open === null) merged.push(arg);
    else {
      open += ` ${arg}`;
      if (arg.endsWith(')')) {
        merged.push(open);
        open = null;
      }
    }
  }
  if (open === null) return merged;
  const from = args.findLast((arg) => arg.startsWith('(') && !arg.endsWith(')')) ?? '';
  return `ERR Unmatched parenthesis in acl selector starting at '${from}'.`;
}

/** What stands in the parentheses of a selector; nothing where quotes do not match, as in Redis. */
export function rulesInside(rule: string): string[] {
  return splitWords(rule.slice(1, -1)) ?? [];
}
