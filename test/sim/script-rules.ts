/** What a script has ordered to happen to messages. */
import type { Message, NodeId } from '../../src/raft/types.ts';
import type { Intercept, Network } from './network.ts';
import type { Words } from './script-words.ts';

/** Between two messages that are released. */
const RELEASE_MS = 0.01;

interface Rule {
  readonly order: 'drop' | 'hold' | { readonly delayMs: number };
  readonly type: string;
  /** Only appends that carry this entry. */
  readonly entry: string | null;
  readonly from: readonly NodeId[] | null;
  readonly to: readonly NodeId[] | null;
  readonly once: boolean;
  /** Messages that pass first, per link. */
  readonly after: number;
  readonly passed: Map<string, number>;
}

interface Held {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: Message;
}

export class MessageRules {
  /** While it is being elected, nobody else campaigns. */
  candidate: NodeId | null = null;
  private rules: Rule[] = [];
  private held: Held[] = [];

  /** `drop`, `hold` or `delay`, and what; `ids` reads the names of nodes. */
  add(verb: 'drop' | 'hold' | 'delay', words: Words, ids: () => readonly NodeId[]): void {
    const once = words.take('next');
    const type = words.next('a type of message');
    const entry = words.take('with') ? words.next('an entry') : null;
    const from = words.take('from') ? ids() : null;
    const to = words.take('to') ? ids() : null;
    const after = words.take('after') ? words.number('a number of messages') : 0;
    const order = verb === 'delay' && words.take('by') ? { delayMs: words.duration() } : verb;
    if (order === 'delay') throw new Error('by how much? delay append by 3s');
    this.rules.push({ order, type, entry, from, to, once, after, passed: new Map() });
  }

  clear(): void {
    this.rules = [];
  }

  /** The say of the rules about a message. */
  readonly intercept: Intercept = (from, to, message) => {
    if (this.candidate !== null && message.type === 'preVoteRequest' && from !== this.candidate)
      return 'drop';
    const rule = this.rules.find((one) => isMeant(one, from, to, message) && isDue(one, from, to));
    if (rule === undefined) return undefined;
    if (rule.once) this.rules.splice(this.rules.indexOf(rule), 1);
    if (rule.order === 'hold') this.held.push({ from, to, message });
    return rule.order;
  };

  /** What was held goes its way, in its old order or the other one; nothing more is held. */
  release(network: Network, reversed: boolean, times: number): void {
    const held = reversed ? this.held.reverse() : this.held;
    this.held = [];
    this.rules = this.rules.filter(({ order }) => order !== 'hold');
    for (let time = 0; time < times; time += 1) {
      for (const [at, { from, to, message }] of held.entries())
        network.carry(from, to, message, RELEASE_MS * (1 + time * held.length + at));
    }
  }
}

function isMeant(rule: Rule, from: NodeId, to: NodeId, message: Message): boolean {
  return (
    rule.type === message.type &&
    (rule.from === null || rule.from.includes(from)) &&
    (rule.to === null || rule.to.includes(to)) &&
    (rule.entry === null ||
      (message.type === 'append' &&
        message.entries.some(({ index, term }) => `${index}@${term}` === rule.entry)))
  );
}

/** Counts those that pass before the rule begins. */
function isDue(rule: Rule, from: NodeId, to: NodeId): boolean {
  const link = `${from}>${to}`;
  const passed = rule.passed.get(link) ?? 0;
  if (passed >= rule.after) return true;
  rule.passed.set(link, passed + 1);
  return false;
}
