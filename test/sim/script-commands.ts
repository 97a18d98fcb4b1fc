/**
 * The commands of golden scripts.
 *
 *   nodes 5 [learners 1] [OPTION=NUMBER …]   the cluster; options of the cluster and limits of the core, by their names
 *   elect n1                   it campaigns, and nobody else does, until it leads
 *   campaign n1 …              elections begin
 *   write n1 a [b c1..c9] [100 bytes]     clients' writes, by names that the output uses
 *   read n1 · transfer n1 [to n2]
 *   run 500ms | run 0..3ms     time passes; a range is drawn from the seed
 *   await leader | await leader other than n1 | await a b | await equal     time passes until it is so
 *   crash n1 … | crash n1 in disk write | restart n1 … | notice n1          the others notice that its process is gone
 *   wake n1 read | wake n1 write a     what a paused node finds in its queue when it wakes
 *   pause n1 6s · clock n1 x5 · disk n1 1..20ms · stall n1 500ms            of disk writes; a stall is of the next one
 *   cut n1 | n2 n3 · cut n1 > n2 · cut n1 | rest · heal
 *   weather delay 1..80ms [loss 0.1] [double 0.1] [slow 0.1 up to 4s] · weather fair
 *   join n4                    a new node comes up, with an empty log
 *   change n1 add n4 [promote] [replaces n2] | promote n4 [replaces n2] | remove n3 | url n3 http://n9
 *   lose tail n3 · wipe n3 · copy n3 · put back n3        of a node that is down (see damage.ts): the end of its log is
 *        unreadable, its directory gone; an operator copies the directory, and puts the copy in its place
 *   fill n1 5s                 its disk is full
 *   drop WHAT · hold WHAT · delay WHAT by 3s · pass all
 *        WHAT: [next] append [with 4@3] [from n1 …] [to n2 …] [after 1], by the type of message; the rule lasts until
 *        `pass all`, with `next` for one message, with `after 1` the first per link passes
 *   release [reversed] [twice]            what was held goes its way
 *   send n1 > n3 voteRequest term=2 …     a message as if n1 had sent it, past all obstacles
 *   state [n1 …] · log [n1 …] · disk state [n1 …]
 *   messages [TYPE …] [n1 …]             what the command before made the nodes send, but for heartbeats
 *   expect leader n1 | expect no leader | expect a b acknowledged | expect n1 term 2 commit 3 role follower
 *   expect n1 n2 log 1@1 2..3@2 | expect n1 2 reads open | expect 1 read failed
 *
 * Durations: 5ms, 3s, 2min, 1h. `all` stands for all nodes, `leader` for the one of the latest term. A message takes 1 ms
 * unless something else is said.
 */
import { asIndex, asNodeId, type MembershipChange, type Message, type NodeId } from '../../src/raft/types.ts';
import { perform } from './actions.ts';
import { CALM, Cluster, type ClusterOptions, type Host } from './cluster.ts';
import { FAIR_WEATHER, type Weather } from './network.ts';
import { Random } from './random.ts';
import { News } from './script-news.ts';
import type { TraceRecord } from './trace.ts';
import { entriesWords } from './words.ts';

/** How long `elect` and `await` wait, in ms of virtual time. */
const PATIENCE_MS = 60_000;
const CAMPAIGN_EVERY_MS = 50;
/** Between two messages that are released. */
const RELEASE_MS = 0.01;

/** No message overtakes another: stories are hard enough to follow. */
const PLAIN_WEATHER: Weather = { ...FAIR_WEATHER, minDelayMs: 1, maxDelayMs: 1 };

/** What happens to messages that match. */
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

/** The words of one command, read from left to right. */
class Words {
  private at = 0;
  private readonly words: readonly string[];

  constructor(line: string) {
    this.words = line.split(/\s+/).filter((word) => word !== '');
  }

  get done(): boolean {
    return this.at >= this.words.length;
  }

  peek(): string {
    return this.words[this.at] ?? '';
  }

  next(what: string): string {
    const word = this.words[this.at];
    if (word === undefined) throw new Error(`${what} is missing`);
    this.at += 1;
    return word;
  }

  /** Whether these words come next; then they are read. */
  take(...expected: readonly string[]): boolean {
    if (!expected.every((word, offset) => this.words[this.at + offset] === word)) return false;
    this.at += expected.length;
    return true;
  }

  number(what: string): number {
    const word = this.next(what);
    const value = Number(word);
    if (Number.isNaN(value)) throw new Error(`${what}: ${word} is no number`);
    return value;
  }

  /** Of `5ms`, `1..20ms`, `0.5s`: the shortest and the longest. */
  durations(): { minMs: number; maxMs: number } {
    const word = this.next('a duration');
    const [, low, high, unit] = /^(?:([\d.]+)\.\.)?([\d.]+)(ms|s|min|h)$/.exec(word) ?? [];
    const scale = unit === undefined ? undefined : { ms: 1, s: 1000, min: 60_000, h: 3_600_000 }[unit];
    if (scale === undefined || high === undefined)
      throw new Error(`${word} is no duration like 5ms, 0..3ms, 2s or 1h`);
    return { minMs: Number(low ?? high) * scale, maxMs: Number(high) * scale };
  }

  duration(): number {
    return this.durations().maxMs;
  }

  end(): void {
    if (!this.done) throw new Error(`"${this.words.slice(this.at).join(' ')}" makes no sense here`);
  }
}

/** Plays the commands of one script with one seed. */
export class Player {
  private readonly seed: number;
  private readonly random: Random;
  private readonly news = new News();
  private built: Cluster | null = null;
  private rules: Rule[] = [];
  private held: Held[] = [];
  /** While it is being elected, nobody else campaigns. */
  private candidate: NodeId | null = null;
  private readsFailed = 0;

  constructor(seed: number) {
    this.seed = seed;
    this.random = Random.of(seed, 'script');
  }

  get records(): readonly TraceRecord[] {
    return this.news.records;
  }

  /** Plays one line; returns what there is to tell. */
  play(line: string): string[] {
    const words = new Words(line);
    const verb = words.next('a command');
    if (verb !== 'messages') this.news.forgetMessages();
    const told = this.command(verb, words);
    words.end();
    return [...this.news.take(), ...told];
  }

  private command(verb: string, words: Words): string[] {
    switch (verb) {
      case 'nodes':
        return this.build(words);
      case 'elect':
        return this.elect(this.host(words));
      case 'campaign':
        for (const host of this.hosts(words)) this.campaign(host);
        return [];
      case 'write':
        return this.write(words);
      case 'read':
        this.cluster.read(this.host(words));
        return [];
      case 'transfer':
        this.cluster.transfer(this.host(words), words.take('to') ? this.host(words).id : null);
        return [];
      case 'run': {
        const { minMs, maxMs } = words.durations();
        this.cluster.run(this.random.between(minMs, maxMs));
        return [];
      }
      case 'await':
        return this.await(words);
      case 'crash':
        return this.crash(words);
      case 'restart':
        for (const host of this.hosts(words)) this.cluster.restart(host);
        return [];
      case 'notice':
        this.cluster.reportDown(this.host(words));
        return [];
      case 'pause':
        perform(this.cluster, { type: 'pause', node: this.host(words).id, ms: words.duration() });
        return [];
      case 'wake':
        return this.wake(words);
      case 'clock':
        perform(this.cluster, {
          type: 'clockRate',
          node: this.host(words).id,
          rate: Number(words.next('a rate').slice(1)),
        });
        return [];
      case 'disk':
        if (words.take('state')) return this.hosts(words, true).map((host) => diskState(host));
        perform(this.cluster, { type: 'diskSpeed', node: this.host(words).id, ...words.durations() });
        return [];
      case 'stall':
        perform(this.cluster, { type: 'diskStall', node: this.host(words).id, ms: words.duration() });
        return [];
      case 'cut':
        return this.cut(words);
      case 'join':
        perform(this.cluster, { type: 'join', node: asNodeId(words.next('a name')) });
        return [];
      case 'change':
        perform(this.cluster, { type: 'change', node: this.host(words).id, change: membershipChange(words) });
        return [];
      case 'lose':
        words.take('tail');
        return this.damage('loseTail', this.host(words));
      case 'wipe':
        return this.damage('wipe', this.host(words));
      case 'copy':
        perform(this.cluster, { type: 'copy', node: this.host(words).id });
        return [];
      case 'put':
        words.take('back');
        return this.damage('putBack', this.host(words));
      case 'fill':
        perform(this.cluster, { type: 'fillDisk', node: this.host(words).id, ms: words.duration() });
        return [];
      case 'heal':
        perform(this.cluster, { type: 'heal' });
        return [];
      case 'weather':
        perform(this.cluster, { type: 'weather', weather: weather(words) });
        return [];
      case 'drop':
        this.addRule('drop', words);
        return [];
      case 'hold':
        this.addRule('hold', words);
        return [];
      case 'delay':
        this.addRule('delay', words);
        return [];
      case 'pass':
        words.take('all');
        this.rules = [];
        return [];
      case 'release':
        return this.release(words);
      case 'send':
        return this.send(words);
      case 'state':
        return this.hosts(words, true).map((host) => state(host));
      case 'log':
        return this.hosts(words, true).map((host) => `${host.id}  ${logOf(host)}`);
      case 'messages': {
        const types: string[] = [];
        const nodes: NodeId[] = [];
        while (!words.done) {
          if (this.isNode(words.peek())) nodes.push(this.host(words).id);
          else types.push(words.next('a type'));
        }
        return this.news.messages(types, nodes);
      }
      case 'expect':
        this.expect(words);
        return [];
      default:
        throw new Error(`there is no command ${verb}; script-commands.ts lists them`);
    }
  }

  /* ---- the cluster ---- */

  private get cluster(): Cluster {
    if (this.built === null) throw new Error('a script begins with nodes N');
    return this.built;
  }

  private build(words: Words): string[] {
    if (this.built !== null) throw new Error('there is a cluster already');
    const voters = words.number('a number of nodes');
    const learners = words.take('learners') ? words.number('a number of learners') : 0;
    const numbers: Record<string, number> = {};
    while (!words.done) {
      const [, name = '', value] = /^(\w+)=(\d+)$/.exec(words.next('an option')) ?? [];
      if (value === undefined) throw new Error('options are written name=number');
      numbers[name] = Number(value);
    }
    const {
      snapshotEntries = 0,
      snapshotTail = 0,
      electionMs = CALM.electionMs,
      refusesRemoved = 1,
      ...limits
    } = numbers;
    const options: ClusterOptions = {
      ...CALM,
      seed: this.seed,
      voters,
      learners,
      snapshotEntries,
      snapshotTail,
      electionMs,
      refusesRemoved: refusesRemoved === 1,
      limits,
      watch: (record) => this.watch(record),
    };
    const cluster = new Cluster(options);
    cluster.network.intercept = (from, to, message) => this.intercept(from, to, message);
    cluster.network.weather = PLAIN_WEATHER;
    this.built = cluster;
    this.news.begin(cluster);
    return [];
  }

  private watch(record: TraceRecord): void {
    this.news.watch(record);
    if (record.type !== 'step') return;
    for (const effect of record.effects)
      if (effect.type === 'readFailed') this.readsFailed += effect.ids.length;
  }

  private host(words: Words): Host {
    const name = words.next('a node');
    if (name !== 'leader') return this.cluster.host(name);
    const leader = this.cluster.leader();
    if (leader === null) throw new Error('nobody leads');
    return leader;
  }

  private isNode(word: string): boolean {
    return this.cluster.hosts.some(({ id }) => id === word);
  }

  /** The nodes named next, or all of them. */
  private hosts(words: Words, orAll = false): readonly Host[] {
    if (words.take('all') || (orAll && words.done)) return this.cluster.hosts;
    const hosts = [this.host(words)];
    while (this.isNode(words.peek())) hosts.push(this.host(words));
    return hosts;
  }

  private ids(words: Words): NodeId[] {
    return this.hosts(words).map(({ id }) => id);
  }

  private elect(host: Host): string[] {
    this.candidate = host.id;
    const end = this.cluster.now + PATIENCE_MS;
    while (!host.leads && this.cluster.now < end) {
      this.campaign(host);
      this.cluster.run(CAMPAIGN_EVERY_MS);
    }
    this.candidate = null;
    if (!host.leads) throw new Error(`${host.id} is not elected. ${this.cluster.summary()}`);
    return [];
  }

  private campaign(host: Host): void {
    this.cluster.feed(host, { type: 'campaign', now: this.cluster.clock(host) });
  }

  private write(words: Words): string[] {
    const host = this.host(words);
    const names: string[] = [];
    while (!words.done && Number.isNaN(Number(words.peek()))) names.push(...expanded(words.next('a name')));
    const bytes = words.done ? 0 : words.number('a size');
    words.take('bytes');
    for (const name of names) this.propose(host, name, bytes);
    return [];
  }

  private propose(host: Host, name: string, bytes: number): void {
    // The outcome may be told before `propose` has returned the number.
    this.news.nameWrite(name, this.cluster.checks.proposals.length);
    this.cluster.propose(host, bytes);
  }

  private await(words: Words): string[] {
    const { cluster } = this;
    if (words.take('leader')) {
      const other = words.take('other', 'than') ? this.host(words) : null;
      cluster.runUntil(
        'a leader',
        () => cluster.leader() !== null && cluster.leader() !== other,
        PATIENCE_MS,
      );
    } else if (words.take('equal')) {
      cluster.runUntil('all nodes equal', () => cluster.hasConverged(), PATIENCE_MS);
    } else {
      const names: string[] = [];
      while (!words.done) names.push(...expanded(words.next('a write')));
      const acknowledged = (): boolean => names.every((name) => this.outcome(name) === 'acknowledged');
      cluster.runUntil('acknowledgement', acknowledged, PATIENCE_MS);
    }
    return [];
  }

  /** A request that reaches a paused node waits there. */
  private wake(words: Words): string[] {
    const host = this.host(words);
    const what = words.next('read or write');
    const name = what === 'write' ? words.next('a name') : null;
    this.cluster.schedule.after(0, host, () => {
      if (name === null) this.cluster.read(host);
      else this.propose(host, name, 0);
    });
    return [];
  }

  private outcome(name: string): string {
    return this.cluster.checks.proposals[this.news.writeOf(name)]?.outcome ?? 'open';
  }

  private crash(words: Words): string[] {
    const hosts = this.hosts(words);
    if (words.take('in', 'disk', 'write')) {
      this.cluster.runUntil(
        'a disk write',
        () => hosts.every(({ disk }) => disk.inFlight !== null),
        PATIENCE_MS,
      );
    }
    for (const host of hosts) this.cluster.crash(host);
    return [];
  }

  /** The damage must do what the script says; the simulator leaves out what nothing is promised for. */
  private damage(type: 'loseTail' | 'wipe' | 'putBack', host: Host): string[] {
    const { length } = this.news.records;
    perform(this.cluster, { type, node: host.id });
    if (this.news.records.length === length)
      throw new Error(
        `nothing is promised if ${host.id} is damaged like that now (see damage.ts), so it is left out`,
      );
    return [];
  }

  /* ---- the network ---- */

  private cut(words: Words): string[] {
    const from = this.ids(words);
    const bothWays = words.take('|');
    if (!bothWays && !words.take('>')) throw new Error('cut n1 | n2 for both ways, cut n1 > n2 for one');
    const everybody = this.cluster.hosts.map(({ id }) => id);
    const to = words.take('rest') ? everybody.filter((id) => !from.includes(id)) : this.ids(words);
    perform(this.cluster, { type: 'cut', from, to });
    if (bothWays) perform(this.cluster, { type: 'cut', from: to, to: from });
    return [];
  }

  private addRule(verb: 'drop' | 'hold' | 'delay', words: Words): void {
    const once = words.take('next');
    const type = words.next('a type of message');
    const entry = words.take('with') ? words.next('an entry') : null;
    const from = words.take('from') ? this.ids(words) : null;
    const to = words.take('to') ? this.ids(words) : null;
    const after = words.take('after') ? words.number('a number of messages') : 0;
    const order = verb === 'delay' && words.take('by') ? { delayMs: words.duration() } : verb;
    if (order === 'delay') throw new Error('by how much? delay append by 3s');
    this.rules.push({ order, type, entry, from, to, once, after, passed: new Map() });
  }

  private intercept(from: NodeId, to: NodeId, message: Message): Rule['order'] | undefined {
    if (this.candidate !== null && message.type === 'preVoteRequest' && from !== this.candidate)
      return 'drop';
    for (const rule of this.rules) {
      if (!isMeant(rule, from, to, message)) continue;
      const link = `${from}>${to}`;
      const passed = rule.passed.get(link) ?? 0;
      if (passed < rule.after) {
        rule.passed.set(link, passed + 1);
        continue;
      }
      if (rule.once) this.rules.splice(this.rules.indexOf(rule), 1);
      if (rule.order === 'hold') this.held.push({ from, to, message });
      return rule.order;
    }
    return undefined;
  }

  private release(words: Words): string[] {
    const held = words.take('reversed') ? this.held.reverse() : this.held;
    const times = words.take('twice') ? 2 : 1;
    this.held = [];
    this.rules = this.rules.filter(({ order }) => order !== 'hold');
    for (let time = 0; time < times; time += 1) {
      for (const [at, { from, to, message }] of held.entries())
        this.cluster.network.carry(from, to, message, RELEASE_MS * (1 + time * held.length + at));
    }
    return [];
  }

  private send(words: Words): string[] {
    const from = this.host(words);
    if (!words.take('>')) throw new Error('send n1 > n3 TYPE field=value …');
    const to = this.host(words);
    const message: Record<string, unknown> = { type: words.next('a type of message') };
    while (!words.done) {
      const [, name = '', value = ''] = /^(\w+)=(.+)$/.exec(words.next('a field')) ?? [];
      message[name] = JSON.parse(value);
    }
    const event = { type: 'message', from: from.id, message: message as unknown as Message } as const;
    this.cluster.feed(to, { ...event, now: this.cluster.clock(to) });
    return [];
  }

  /* ---- expectations ---- */

  private expect(words: Words): void {
    const { cluster } = this;
    if (words.take('no', 'leader')) {
      const leaders = cluster.hosts.filter(({ leads }) => leads).map(({ id }) => id);
      same('leaders', leaders.join(' '), '');
    } else if (words.take('leader')) {
      same('the leader', cluster.leader()?.id ?? 'nobody', words.next('a node'));
    } else if (/^\d+$/.test(words.peek())) {
      const count = words.number('a number');
      words.take(count === 1 ? 'read' : 'reads');
      words.take('failed');
      same('failed reads', this.readsFailed, count);
    } else if (this.isNode(words.peek()) || words.peek() === 'all') {
      const hosts = this.hosts(words);
      if (words.take('log')) {
        const expected: string[] = [];
        while (!words.done) expected.push(words.next('an entry'));
        for (const host of hosts) same(`the log of ${host.id}`, logOf(host), expected.join(' '));
      } else {
        while (!words.done) expectNumber(hosts, words);
      }
    } else {
      const names: string[] = [];
      while (!OUTCOMES.has(words.peek())) names.push(...expanded(words.next('a write or an outcome')));
      const expected = OUTCOMES.get(words.next('an outcome'));
      words.take('away');
      for (const name of names) same(name, this.outcome(name), expected);
    }
  }
}

/** What clients are told, in the words of the scripts. */
const OUTCOMES: ReadonlyMap<string, string> = new Map([
  ['open', 'open'],
  ['acknowledged', 'acknowledged'],
  ['unknown', 'unknown'],
  ['turned', 'rejected'],
]);

function expectNumber(hosts: readonly Host[], words: Words): void {
  const reads = /^\d+$/.test(words.peek()) ? words.number('a number') : null;
  const what = words.next('what to expect');
  if (reads !== null) {
    words.take('open');
    for (const host of hosts) same(`open reads of ${host.id}`, host.reads.size, reads);
    return;
  }
  const expected = words.next('a value');
  for (const host of hosts) {
    const { node, applied } = host;
    const values: Record<string, unknown> = {
      role: node?.role.name ?? 'down',
      term: node?.term,
      vote: node?.vote ?? '-',
      commit: node?.commitIndex,
      last: node?.log.lastIndex,
      applied,
      recovering: node?.recovering,
    };
    if (!(what in values))
      throw new Error(`there is no ${what}; there are ${Object.keys(values).join(', ')}`);
    same(`${what} of ${host.id}`, String(values[what]), expected);
  }
}

function same(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected)
    throw new Error(`${what}: ${String(actual) || 'none'}, expected ${String(expected) || 'none'}`);
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

function membershipChange(words: Words): MembershipChange {
  const verb = words.next('a change');
  const id = asNodeId(words.next('a node'));
  const replaced = (): NodeId | null => (words.take('replaces') ? asNodeId(words.next('a node')) : null);
  switch (verb) {
    case 'add': {
      const promote = words.take('promote');
      const learner = { id, url: `http://${id}`, incarnation: 'first', promote, replaces: replaced() };
      return { type: 'addLearner', learner };
    }
    case 'promote':
      return { type: 'promote', id, replaces: replaced() };
    case 'remove':
      return { type: 'remove', id };
    case 'url':
      return { type: 'setUrl', id, url: words.next('a URL') };
    default:
      throw new Error(`there is no change ${verb}; there are add, promote, remove and url`);
  }
}

/** `c1..c3` is c1, c2, c3. */
function expanded(name: string): string[] {
  const [, stem, first, last] = /^([a-z]+)(\d+)\.\.\1(\d+)$/.exec(name) ?? [];
  if (stem === undefined) return [name];
  return Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => `${stem}${Number(first) + at}`);
}

function weather(words: Words): Weather {
  const result = { ...PLAIN_WEATHER };
  if (words.take('fair')) return result;
  while (!words.done) {
    const what = words.next('a kind of weather');
    if (what === 'delay') {
      const { minMs, maxMs } = words.durations();
      result.minDelayMs = minMs;
      result.maxDelayMs = maxMs;
    } else if (what === 'loss') result.lossRate = words.number('a rate');
    else if (what === 'append-loss') result.appendLossRate = words.number('a rate');
    else if (what === 'double') result.doubleRate = words.number('a rate');
    else if (what === 'slow') {
      result.slowRate = words.number('a rate');
      if (!words.take('up', 'to')) throw new Error('slow 0.1 up to 4s');
      result.slowMs = words.duration();
    } else
      throw new Error(
        `there is no weather ${what}; there are delay, loss, append-loss, double, slow and fair`,
      );
  }
  return result;
}

/* ---- what is ---- */

function state({ id, node, applied }: Host): string {
  if (node === null) return `${id}  down`;
  const { term, commitIndex, log, role } = node;
  const range = log.lastIndex < log.firstIndex ? 'none' : `${log.firstIndex}..${log.lastIndex}`;
  return `${id}  ${role.name.padEnd(12)} term ${term}  log ${range}  commit ${commitIndex}  applied ${applied}`;
}

/** The entries in memory, or on the disk of a node that is down. */
function logOf({ node, disk }: Host): string {
  const first = node?.log.firstIndex ?? disk.firstIndex;
  const last = node?.log.lastIndex ?? disk.lastIndex;
  const entries: { index: number; term: number }[] = [];
  for (let index: number = first; index <= last; index += 1) {
    const term = node === null ? disk.termAt(asIndex(index)) : node.log.termAt(asIndex(index));
    entries.push({ index, term: term ?? -1 });
  }
  return entriesWords(entries);
}

function diskState(host: Host): string {
  const { id, disk } = host;
  const { term, vote, recovering } = disk.hardState;
  const snapshot = disk.snapshot === null ? '' : `  snapshot ${disk.snapshot.index}@${disk.snapshot.term}`;
  return `${id}  term ${term} vote ${vote ?? '-'}  log ${disk.firstIndex}..${disk.lastIndex}  commit ${disk.commit}${snapshot}${recovering ? '  recovering' : ''}`;
}
