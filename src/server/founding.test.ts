import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import {
  asGroupId,
  asNodeId,
  type Configuration,
  type Member,
  type MemberAddress,
  type NodeId,
} from '../raft/types.ts';
import { Guard } from '../transport/identity.ts';
import { addFoundingRoute, type AskedNode, Founding, foundedBy } from './founding.ts';

const GROUP = asGroupId('main');
const silent = pino({ level: 'silent' });

/** One founder: an HTTP port that stays, and whatever state the test gives it. */
class Founder implements AskedNode {
  readonly id: NodeId;
  url = '';
  incarnation: string;
  state: ReturnType<AskedNode['stage']> = null;
  readonly stage = (): ReturnType<AskedNode['stage']> => this.state;
  #close: () => Promise<void> = async () => undefined;

  constructor(id: string) {
    this.id = asNodeId(id);
    this.incarnation = `${id}-a`;
  }

  async listen(secret: string | null = null): Promise<void> {
    const app = fastify({ forceCloseConnections: true });
    addFoundingRoute(app, GROUP, new Guard(secret), this);
    await app.listen({ host: '127.0.0.1', port: this.url === '' ? 0 : Number(new URL(this.url).port) });
    this.url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
    this.#close = () => app.close();
    onTestFinished(() => this.#close());
  }

  /** The process is gone, or was never started. */
  async away(): Promise<void> {
    this.state = null;
    await this.#close();
  }

  get member(): Member {
    return { id: this.id, url: this.url, incarnation: this.incarnation };
  }

  /** As a new process on this directory does. */
  found(peers: readonly MemberAddress[], secret: string | null = null): Founding {
    const founding = new Founding({
      group: GROUP,
      self: this.member,
      peers,
      guard: new Guard(secret),
      logger: silent,
    });
    this.state = { state: 'founding', founding };
    return founding;
  }

  /** It is set up, and knows these members now. */
  founded(clusterId: string, configuration: Configuration): void {
    this.state = { state: 'founded', clusterId, configuration };
  }

  /** The directory is emptied. */
  wipe(): void {
    this.incarnation = `${this.id}-b`;
  }
}

async function three(): Promise<[Founder, Founder, Founder]> {
  const founders = ['n1', 'n2', 'n3'].map((id) => new Founder(id)) as [Founder, Founder, Founder];
  await Promise.all(founders.map((founder) => founder.listen()));
  return founders;
}

const addresses = (founders: readonly Founder[]): MemberAddress[] =>
  founders.map(({ id, url }) => ({ id, url }));

/** Waits until a founder says this about what it waits for. */
async function waitsFor(founding: Founding, words: string): Promise<void> {
  await expect.poll(() => founding.waiting).toContain(words);
}

test('founders that hear each other found the same cluster, whatever the order of --peers', async () => {
  const founders = await three();
  const lists = [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
  ].map((order) => addresses(order.map((at) => founders[at]!)));
  const beginnings = await Promise.all(founders.map((founder, at) => founder.found(lists[at]!).run()));
  expect(new Set(beginnings.map(({ clusterId }) => clusterId)).size).toBe(1);
  for (const { configuration } of beginnings) {
    expect(configuration).toEqual({
      voters: founders.map(({ member }) => member),
      outgoing: [],
      learners: [],
      removed: [],
    });
  }
});

test('other directories make another cluster', () => {
  const member = (id: string, incarnation: string): Member => ({
    id: asNodeId(id),
    url: `http://${id}`,
    incarnation,
  });
  const { clusterId } = foundedBy(GROUP, [member('n1', 'a'), member('n2', 'a')]);
  expect(foundedBy(GROUP, [member('n2', 'a'), member('n1', 'a')]).clusterId).toBe(clusterId);
  expect(foundedBy(GROUP, [member('n1', 'a'), member('n2', 'b')]).clusterId).not.toBe(clusterId);
  expect(foundedBy(asGroupId('x'), [member('n1', 'a'), member('n2', 'a')]).clusterId).not.toBe(clusterId);
});

test('nobody begins before all have answered', async () => {
  const founders = await three();
  const [n1, n2, n3] = founders;
  await n3.away();
  const [first, second] = [n1.found(addresses(founders)), n2.found(addresses(founders))];
  let begun = 0;
  const running = [first, second].map((founding) => founding.run().then(() => (begun += 1)));
  await waitsFor(first, `n3 (${n3.url}: ECONNREFUSED)`);
  await waitsFor(second, 'n3');
  expect(first.waiting).not.toContain('n2');
  expect(begun).toBe(0);
  await n3.listen();
  await n3.found(addresses(founders)).run();
  await Promise.all(running);
});

test('one that crashed before it was set up founds the same cluster later, even if a third is gone by then', async () => {
  const founders = await three();
  const [n1, n2, n3] = founders;
  const beginning = foundedBy(
    GROUP,
    founders.map(({ member }) => member),
  );
  n1.founded(beginning.clusterId, beginning.configuration!);
  await n3.away();
  expect(await n2.found(addresses(founders)).run()).toEqual(beginning);
});

test('one that finds the members changed meanwhile begins with an empty log', async () => {
  const founders = await three();
  const [n1, n2, n3] = founders;
  const { clusterId, configuration } = foundedBy(
    GROUP,
    founders.map(({ member }) => member),
  );
  const moved = configuration!.voters.filter(({ id }) => id !== n3.id);
  n1.founded(clusterId, { ...configuration!, voters: moved, removed: [asNodeId('n3')] });
  expect(await n2.found(addresses(founders)).run()).toEqual({ clusterId, configuration: null });
});

test('an emptied directory is refused with the remedies', async () => {
  const founders = await three();
  const [n1, n2] = founders;
  const { clusterId, configuration } = foundedBy(
    GROUP,
    founders.map(({ member }) => member),
  );
  n1.founded(clusterId, configuration!);
  n2.wipe();
  const refused = n2.found(addresses(founders)).run();
  await expect(refused).rejects.toThrow('kvorum cluster remove <id>');
  await expect(refused).rejects.toThrow('empty the data directories of all founding members');
});

test('one that was emptied while the others founded is refused, and they go on', async () => {
  const founders = await three();
  const [n1, n2, n3] = founders;
  // n1 has heard the old directory of n3 and n2, and is set up; n2 has not heard n3 yet.
  const { clusterId, configuration } = foundedBy(
    GROUP,
    founders.map(({ member }) => member),
  );
  n1.founded(clusterId, configuration!);
  n3.wipe();
  const emptied = n3.found(addresses(founders)).run();
  await expect(emptied).rejects.toThrow('not the one that the cluster knows');
  expect(await n2.found(addresses(founders)).run()).toEqual({ clusterId, configuration });
});

test('one that was removed, and one that never was a member, are told so', async () => {
  const founders = await three();
  const [n1, n2, n3] = founders;
  const voters = [n1.member];
  n1.founded('c', { voters, outgoing: [], learners: [], removed: [asNodeId('n2')] });
  await n3.away();
  await expect(n2.found(addresses(founders)).run()).rejects.toThrow('was removed from the cluster');
  await n3.listen();
  await n2.away();
  await expect(n3.found(addresses(founders)).run()).rejects.toThrow(
    'start this one with --join <url of a member>',
  );
});

test('what is wrong with another founder is said, and waited for', async () => {
  const founders = await three();
  const [n1, n2, n3] = founders;
  const founding = n1.found(addresses([n1, n2]));
  const running = founding.run();
  n2.state = null;
  await waitsFor(founding, 'n2 is not founding a cluster');
  const [ours, theirs] = [addresses([n1, n2]), addresses(founders)].map((list) =>
    list.map(({ id, url }) => `${id}=${url}`).join(','),
  );
  n2.found(addresses(founders));
  await waitsFor(founding, `n2 was started with --peers ${theirs}, but n1 with --peers ${ours}`);

  const misled = n3.found([{ id: asNodeId('n1'), url: n2.url }, ...addresses([n3])]);
  misled.run().catch(() => undefined);
  await waitsFor(misled, 'n2 answers here, not n1; check --peers');

  const guarded = new Founder('n4');
  await guarded.listen('secret');
  guarded.found(addresses([n1, guarded]), 'secret');
  const wrong = n1.found(addresses([n1, guarded]), 'other');
  wrong.run().catch(() => undefined);
  await waitsFor(wrong, 'the cluster secret is missing or differs');

  // It goes on when that is put right.
  n2.found(addresses([n1, n2]));
  expect((await running).configuration?.voters).toEqual([n1.member, n2.member]);
});
