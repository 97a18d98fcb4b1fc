/** Users in a cluster of processes: the same on all nodes, through crashes and restarts, and their passwords nowhere on a disk. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Cluster, type NodeProcess } from './cluster.ts';
import { ReplyError, RespClient, type WireReply } from './resp-client.ts';

const CONFIGURED = 'configured-password-of-default';
const PASSWORD = 'password-of-ann-0123456789';
const LATER = 'later-password-of-ann-9876543210';
const ADMIN = 'password-of-the-admin-abcdef';
/** So that snapshots are taken with users in them. */
const SNAPSHOT_ENTRIES = 40;
const PATIENCE_MS = 10_000;

/** A connection that sends line by line; errors come back as their text. */
async function clientOf(node: NodeProcess): Promise<(line: string) => Promise<WireReply>> {
  const client = await RespClient.connect({ host: '127.0.0.1', port: node.port });
  onTestFinished(() => client.close());
  return async (line) => {
    const [reply] = await client.send([line.split(' ')], PATIENCE_MS);
    return reply instanceof ReplyError ? reply.text : (reply ?? null);
  };
}

/** What a client hears that says who it is, and then asks, on each of the nodes. */
async function onAll(nodes: readonly NodeProcess[], ...lines: string[]): Promise<WireReply[][]> {
  return Promise.all(
    nodes.map(async (node) => {
      const ask = await clientOf(node);
      const replies: WireReply[] = [];
      for (const line of lines) replies.push(await ask(line));
      return replies;
    }),
  );
}

function everywhere(nodes: readonly NodeProcess[], replies: readonly WireReply[]): WireReply[][] {
  return nodes.map(() => [...replies]);
}

/** All bytes below the directory that hold one of the texts, by file. */
function filesWith(directory: string, texts: readonly string[]): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => {
      const bytes = readFileSync(file);
      return texts.some((text) => bytes.includes(text));
    });
}

test('users made on one node hold on all, survive a killed leader and a restart, and no password is written anywhere', async () => {
  const cluster = await Cluster.start(3, [
    '--proxy',
    '--password',
    CONFIGURED,
    '--snapshot-entries',
    String(SNAPSHOT_ENTRIES),
  ]);
  onTestFinished(() => cluster.stop());
  const { nodes } = cluster;

  const admin = await clientOf(await cluster.follower());
  expect(await admin('PING')).toBe('NOAUTH Authentication required.');
  expect(await admin(`AUTH ${CONFIGURED}`)).toBe('OK');
  expect(await admin(`ACL SETUSER ann on >${PASSWORD} ~a* %R~r* +@all -@dangerous`)).toBe('OK');
  expect(await admin(`ACL SETUSER admin on >${ADMIN} allkeys allchannels allcommands`)).toBe('OK');
  expect(await admin('SET r secret')).toBe('OK');

  // At once, on nodes that may not have applied it when it was acknowledged.
  const noKey = 'NOPERM this user has no permissions to access one of the keys used as arguments';
  const lines = [`AUTH ann ${PASSWORD}`, 'ACL WHOAMI', 'SET a 1', 'GET r', 'SET r 1', 'GET x', 'FLUSHALL'];
  const replies = ['OK', 'ann', 'OK', 'secret', noKey, noKey];
  const dangerous = "NOPERM this user has no permissions to run the 'flushall' command";
  expect(await onAll(nodes, ...lines)).toEqual(everywhere(nodes, [...replies, dangerous]));

  // A script has these rights on whatever node it is run.
  const scripts = await onAll(nodes, `AUTH ann ${PASSWORD}`, 'EVAL return(redis.pcall("GET","x")) 0');
  for (const [, reply] of scripts)
    expect(reply).toContain("The user executing the script can't access at least one of the keys");

  const killed = await cluster.leader();
  const left = nodes.filter((node) => node !== killed);
  await cluster.kill(killed);
  await cluster.leader();
  expect(await onAll(left, ...lines.slice(0, 5))).toEqual(everywhere(left, replies.slice(0, 5)));
  const other = await clientOf(left[0]!);
  expect(await other(`AUTH admin ${ADMIN}`)).toBe('OK');
  expect(await other(`ACL SETUSER ann >${LATER} <${PASSWORD} -set`)).toBe('OK');
  expect(await other(`ACL SETUSER default >${LATER}x`)).toBe('OK');
  for (let at = 0; at < 3 * SNAPSHOT_ENTRIES; at += 1) expect(await other(`SET filler ${at}`)).toBe('OK');

  await cluster.launch(killed);
  const wrong = 'WRONGPASS invalid username-password pair or user is disabled.';
  const changed = [
    `AUTH ann ${PASSWORD}`,
    `AUTH ann ${LATER}`,
    'GET a',
    'SET a 2',
    `AUTH ${CONFIGURED}`,
    `AUTH ${LATER}x`,
  ];
  const denied = "NOPERM this user has no permissions to run the 'set' command";
  const after = everywhere(nodes, [wrong, 'OK', '1', denied, 'OK', 'OK']);
  expect(await onAll(nodes, ...changed)).toEqual(after);

  for (const node of nodes) await cluster.kill(node, 'SIGTERM');
  await Promise.all(nodes.map((node) => cluster.launch(node)));
  await cluster.leader();
  expect(await onAll(nodes, ...changed)).toEqual(after);
  expect(nodes.some((node) => readdirSync(node.directory, { recursive: true }).join().includes('snap'))).toBe(
    true,
  );

  await cluster.converged();
  const clear = [CONFIGURED, PASSWORD, LATER, ADMIN];
  for (const node of nodes) {
    expect(filesWith(node.directory, clear)).toEqual([]);
    expect(clear.filter((text) => cluster.logOf(node).includes(text))).toEqual([]);
    // The search would find something.
    expect(filesWith(node.directory, ['filler'])).not.toEqual([]);
  }
});

test('a user that is removed or loses rights on one node loses its connections and rights on all', async () => {
  const cluster = await Cluster.start(3, ['--proxy']);
  onTestFinished(() => cluster.stop());
  const admin = await clientOf(await cluster.follower());
  expect(await admin('ACL SETUSER ann on nopass ~* &* +@all')).toBe('OK');
  const clients = await Promise.all(cluster.nodes.map(clientOf));
  for (const ask of clients) expect(await ask('AUTH ann x')).toBe('OK');
  expect(await admin('ACL SETUSER ann -set')).toBe('OK');
  const denied = "NOPERM this user has no permissions to run the 'set' command";
  for (const ask of clients) await expect.poll(() => ask('SET a 1')).toBe(denied);
  expect(await admin('ACL DELUSER ann')).toBe(1);
  for (const ask of clients) await expect.poll(() => ask('PING').catch(() => 'closed')).toBe('closed');
});
