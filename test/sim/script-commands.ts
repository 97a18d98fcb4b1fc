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
 *        also last (entry), applied, vote, reads (open), recovering; of writes open, acknowledged, unknown, turned-away
 *   expect n1 n2 log 1@1 2..3@2
 *
 * Durations: 5ms, 3s, 2min, 1h. `all` stands for all nodes, `leader` for the one of the latest term. A message takes 1 ms
 * unless something else is said.
 */
import { asNodeId, type MembershipChange, type Message, type NodeId } from '../../src/raft/types.ts';
import { DEFAULT_LIMITS } from '../../src/raft/node.ts';
import { type Action, perform } from './actions.ts';
import { CALM, Cluster, type ClusterOptions, type Host } from './cluster.ts';
import { FAIR_WEATHER, type Weather } from './network.ts';
import { Random } from './random.ts';
import { News } from './script-news.ts';
import { MessageRules } from './script-rules.ts';
import { diskState, fieldOf, logOf, OUTCOMES, same, state } from './script-state.ts';
import { expanded, Words } from './script-words.ts';
import type { TraceRecord } from './trace.ts';

/** How long `elect` and `await` wait, in ms of virtual time. */
const PATIENCE_MS = 60_000;
const CAMPAIGN_EVERY_MS = 50;

/** No message overtakes another: stories are hard enough to follow. */
const PLAIN_WEATHER: Weather = { ...FAIR_WEATHER, minDelayMs: 1, maxDelayMs: 1 };

/** Plays the commands of one script with one seed. */
export class Player {
  private readonly seed: number;
  private readonly random: Random;
  private readonly news = new News();
  private readonly rules = new MessageRules();
  private built: Cluster | null = null;

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
    const command = this.commands.get(verb);
    if (command === undefined) throw new Error(`there is no command ${verb}; script-commands.ts lists them`);
    if (verb !== 'messages') this.news.forgetMessages();
    const told = command(words) ?? [];
    words.end();
    return [...this.news.take(), ...told];
  }

  /** Each reads its words and returns what is to be shown besides the news. */
  private readonly commands: ReadonlyMap<string, (words: Words) => string[] | void> = new Map(
    Object.entries({
      nodes: (words) => this.build(words),
      elect: (words) => this.elect(this.host(words)),
      campaign: (words) => this.each(words, (host) => this.campaign(host)),
      write: (words) => this.write(words),
      read: (words) => void this.cluster.read(this.host(words)),
      transfer: (words) =>
        this.cluster.transfer(this.host(words), words.take('to') ? this.host(words).id : null),
      run: (words) => this.run(words),
      await: (words) => this.await(words),

      crash: (words) => this.crash(words),
      restart: (words) => this.each(words, (host) => this.cluster.restart(host)),
      notice: (words) => this.cluster.reportDown(this.host(words)),
      wake: (words) => this.wake(words),
      pause: (words) => this.act({ type: 'pause', node: this.id(words), ms: words.duration() }),
      clock: (words) => this.act({ type: 'clockRate', node: this.id(words), rate: rate(words) }),
      stall: (words) => this.act({ type: 'diskStall', node: this.id(words), ms: words.duration() }),
      fill: (words) => this.act({ type: 'fillDisk', node: this.id(words), ms: words.duration() }),
      lose: (words) => this.damage('loseTail', words.after('tail')),
      wipe: (words) => this.damage('wipe', words),
      copy: (words) => this.act({ type: 'copy', node: this.id(words) }),
      put: (words) => this.damage('putBack', words.after('back')),

      join: (words) => this.act({ type: 'join', node: asNodeId(words.next('a name')) }),
      change: (words) => this.act({ type: 'change', node: this.id(words), change: membershipChange(words) }),

      cut: (words) => this.cut(words),
      heal: () => this.act({ type: 'heal' }),
      weather: (words) => this.act({ type: 'weather', weather: weather(words) }),
      drop: (words) => this.rules.add('drop', words, () => this.ids(words)),
      hold: (words) => this.rules.add('hold', words, () => this.ids(words)),
      delay: (words) => this.rules.add('delay', words, () => this.ids(words)),
      pass: (words) => {
        words.after('all');
        this.rules.clear();
      },
      release: (words) =>
        this.rules.release(this.cluster.network, words.take('reversed'), words.take('twice') ? 2 : 1),
      send: (words) => this.send(words),

      state: (words) => this.shown(words).map((host) => state(host)),
      log: (words) => this.shown(words).map((host) => `${host.id}  ${logOf(host)}`),
      disk: (words) => this.disk(words),
      messages: (words) => this.messages(words),
      expect: (words) => this.expect(words),
    } satisfies Record<string, (words: Words) => string[] | void>),
  );

  /* ---- the cluster ---- */

  private get cluster(): Cluster {
    if (this.built === null) throw new Error('a script begins with nodes N');
    return this.built;
  }

  private build(words: Words): void {
    if (this.built !== null) throw new Error('there is a cluster already');
    const voters = words.number('a number of nodes');
    const learners = words.take('learners') ? words.number('a number of learners') : 0;
    const options: ClusterOptions = {
      ...CALM,
      ...clusterOptions(words),
      seed: this.seed,
      voters,
      learners,
      watch: (record) => this.news.watch(record),
    };
    const cluster = new Cluster(options);
    cluster.network.intercept = this.rules.intercept;
    cluster.network.weather = PLAIN_WEATHER;
    this.built = cluster;
    this.news.begin(cluster);
  }

  private act(action: Action): void {
    perform(this.cluster, action);
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

  private id(words: Words): NodeId {
    return this.host(words).id;
  }

  /** The nodes named next. */
  private hosts(words: Words): readonly Host[] {
    if (words.take('all')) return this.cluster.hosts;
    const hosts = [this.host(words)];
    while (this.isNode(words.peek())) hosts.push(this.host(words));
    return hosts;
  }

  private ids(words: Words): NodeId[] {
    return this.hosts(words).map(({ id }) => id);
  }

  /** Whose state is to be shown: all, if nobody is named. */
  private shown(words: Words): readonly Host[] {
    return words.done ? this.cluster.hosts : this.hosts(words);
  }

  private each(words: Words, work: (host: Host) => void): void {
    for (const host of this.hosts(words)) work(host);
  }

  /* ---- what happens ---- */

  private run(words: Words): void {
    const { minMs, maxMs } = words.durations();
    this.cluster.run(this.random.between(minMs, maxMs));
  }

  private elect(host: Host): void {
    this.rules.candidate = host.id;
    const end = this.cluster.now + PATIENCE_MS;
    while (!host.leads && this.cluster.now < end) {
      this.campaign(host);
      this.cluster.run(CAMPAIGN_EVERY_MS);
    }
    this.rules.candidate = null;
    if (!host.leads) throw new Error(`${host.id} is not elected. ${this.cluster.summary()}`);
  }

  private campaign(host: Host): void {
    this.cluster.feed(host, { type: 'campaign', now: this.cluster.clock(host) });
  }

  private write(words: Words): void {
    const host = this.host(words);
    const names: string[] = [];
    while (!words.done && Number.isNaN(Number(words.peek()))) names.push(...expanded(words.next('a name')));
    const bytes = words.done ? 0 : words.number('a size');
    words.take('bytes');
    for (const name of names) this.propose(host, name, bytes);
  }

  private propose(host: Host, name: string, bytes: number): void {
    // The outcome may be told before `propose` has returned the number.
    this.news.nameWrite(name, this.cluster.checks.proposals.length);
    this.cluster.propose(host, bytes);
  }

  private await(words: Words): void {
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
  }

  /** A request that reaches a paused node waits there. */
  private wake(words: Words): void {
    const host = this.host(words);
    const what = words.next('read or write');
    const name = what === 'write' ? words.next('a name') : null;
    this.cluster.schedule.after(0, host, () => {
      if (name === null) this.cluster.read(host);
      else this.propose(host, name, 0);
    });
  }

  private outcome(name: string): string {
    return this.cluster.checks.proposals[this.news.writeOf(name)]?.outcome ?? 'open';
  }

  private crash(words: Words): void {
    const hosts = this.hosts(words);
    if (words.take('in', 'disk', 'write')) {
      this.cluster.runUntil(
        'a disk write',
        () => hosts.every(({ disk }) => disk.inFlight !== null),
        PATIENCE_MS,
      );
    }
    for (const host of hosts) this.cluster.crash(host);
  }

  /** The damage must do what the script says; the simulator leaves out what nothing is promised for. */
  private damage(type: 'loseTail' | 'wipe' | 'putBack', words: Words): void {
    const { length } = this.records;
    const node = this.id(words);
    this.act({ type, node });
    if (this.records.length === length)
      throw new Error(
        `nothing is promised if ${node} is damaged like that now (see damage.ts), so it is left out`,
      );
  }

  /* ---- the network ---- */

  private cut(words: Words): void {
    const from = this.ids(words);
    const bothWays = words.take('|');
    if (!bothWays && !words.take('>')) throw new Error('cut n1 | n2 for both ways, cut n1 > n2 for one');
    const everybody = this.cluster.hosts.map(({ id }) => id);
    const to = words.take('rest') ? everybody.filter((id) => !from.includes(id)) : this.ids(words);
    this.act({ type: 'cut', from, to });
    if (bothWays) this.act({ type: 'cut', from: to, to: from });
  }

  private send(words: Words): void {
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
  }

  /* ---- what is, and what should be ---- */

  private disk(words: Words): string[] | void {
    if (words.take('state')) return this.shown(words).map((host) => diskState(host));
    this.act({ type: 'diskSpeed', node: this.id(words), ...words.durations() });
  }

  private messages(words: Words): string[] {
    const types: string[] = [];
    const nodes: NodeId[] = [];
    while (!words.done) {
      if (this.isNode(words.peek())) nodes.push(this.id(words));
      else types.push(words.next('a type'));
    }
    return this.news.messages(types, nodes);
  }

  private expect(words: Words): void {
    const { cluster } = this;
    if (words.take('no', 'leader')) {
      same(
        'leaders',
        cluster.hosts
          .filter(({ leads }) => leads)
          .map(({ id }) => id)
          .join(' '),
        '',
      );
    } else if (words.take('leader')) {
      same('the leader', cluster.leader()?.id ?? 'nobody', words.next('a node'));
    } else if (words.peek() === 'all' || this.isNode(words.peek())) {
      this.expectOf(this.hosts(words), words);
    } else {
      const names: string[] = [];
      while (!OUTCOMES.has(words.peek())) names.push(...expanded(words.next('a write or an outcome')));
      const expected = OUTCOMES.get(words.next('an outcome')) ?? '';
      for (const name of names) same(name, this.outcome(name), expected);
    }
  }

  private expectOf(hosts: readonly Host[], words: Words): void {
    if (words.take('log')) {
      const entries: string[] = [];
      while (!words.done) entries.push(words.next('an entry'));
      for (const host of hosts) same(`the log of ${host.id}`, logOf(host), entries.join(' '));
    }
    while (!words.done) {
      const field = words.next('a field');
      const expected = words.next('a value');
      for (const host of hosts) same(`${field} of ${host.id}`, fieldOf(host, field), expected);
    }
  }
}

/** `name=number`, of the cluster or of the core's limits. */
function clusterOptions(words: Words): Partial<ClusterOptions> {
  const numbers: Record<string, number> = {};
  while (!words.done) {
    const [, name = '', value] = /^(\w+)=(\d+)$/.exec(words.next('an option')) ?? [];
    if (value === undefined) throw new Error('options are written name=number');
    numbers[name] = Number(value);
  }
  const { snapshotEntries = 0, snapshotTail = 0, refusesRemoved = 1, ...limits } = numbers;
  const unknown = Object.keys(limits).find((name) => !(name in DEFAULT_LIMITS));
  if (unknown !== undefined)
    throw new Error(
      `there is no option ${unknown}; there are snapshotEntries, snapshotTail, refusesRemoved, ` +
        Object.keys(DEFAULT_LIMITS).join(', '),
    );
  return { snapshotEntries, snapshotTail, refusesRemoved: refusesRemoved === 1, limits };
}

/** `x5`. */
function rate(words: Words): number {
  const word = words.next('a rate');
  const value = Number(word.slice(1));
  if (!word.startsWith('x') || Number.isNaN(value)) throw new Error(`${word} is no rate like x5 or x0.1`);
  return value;
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
