import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { asNodeId, asTerm, EntryType, asIndex, type Configuration } from '../raft/types.ts';
import { encodeConfiguration } from '../raft/configuration.ts';
import type { Inspection } from '../wal/inspect.ts';
import { Wal } from '../wal/wal.ts';
import { run } from './program.ts';
import { warning } from './recover.ts';

let directory: string;
let out: string[];
let err: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'kvorum-check-'));
  out = [];
  err = [];
  const log = vi.spyOn(console, 'log').mockImplementation((text: string) => void out.push(text));
  const error = vi.spyOn(console, 'error').mockImplementation((text: string) => void err.push(text));
  const before = process.exitCode;
  onTestFinished(() => {
    log.mockRestore();
    error.mockRestore();
    process.exitCode = before;
    rmSync(directory, { recursive: true });
  });
});

function configurationOf(ids: readonly string[]): Configuration {
  const voters = ids.map((id) => ({ id: asNodeId(id), url: `http://${id}`, incarnation: '1' }));
  return { voters, outgoing: [], learners: [], removed: [] };
}

/** A member of a cluster of these, with one write, as it stops. */
async function stopped(...ids: string[]): Promise<void> {
  const wal = await running(...ids);
  await wal.close();
}

async function running(...ids: string[]): Promise<Wal> {
  const term = asTerm(1);
  const payload = encodeConfiguration(configurationOf(ids));
  const { wal } = await Wal.open({
    directory,
    fsync: 'always',
    segmentBytes: 65_536,
    identity: { clusterId: 'c1', nodeId: 'n1', group: 'main' },
    bootstrap: {
      hardState: { term, vote: null, recovering: false },
      entries: [{ index: asIndex(1), term, type: EntryType.configuration, payload }],
    },
  });
  const entry = { index: asIndex(2), term, type: EntryType.batch, payload: Buffer.alloc(300, 1) };
  await wal.append({ hardState: null, entries: [entry], commit: asIndex(1) });
  return wal;
}

/** Damages the newest segment near its end. */
function spoilEnd(): void {
  const path = join(directory, readdirSync(directory).find((name) => name.endsWith('.log'))!);
  const bytes = readFileSync(path);
  bytes[bytes.findLastIndex((byte) => byte !== 0) - 100]! ^= 1;
  writeFileSync(path, bytes);
}

const kvorum = (...args: string[]): Promise<void> => run(['node', 'kvorum', ...args]);

test('a sound directory: exit code 0, and all that is in it', async () => {
  await stopped('n1', 'n2', 'n3');
  await kvorum('check', directory);
  expect(process.exitCode).toBe(0);
  const [text = ''] = out;
  expect(text).toContain('n1, group main, incarnation ');
  expect(text).toContain('voters       n1=http://n1, n2=http://n2, n3=http://n3');
  expect(text).toContain('term-vote-b  term 1, vote none');
  expect(text).toContain('entries      1 to 2, last term 1; committed at least to 1');
  expect(text).toMatch(/0{15}1-0{15}1\.log {2}1 {9}1-2 {6}2 {8}65536 {2}open/);
  expect(text).toContain('rules        clean, consistent');
  expect(text).toContain('verdict      sound: a start changes nothing');
  expect(text).not.toContain('FINDINGS');
});

test('a damaged end: exit code 1 where others can give it back, 2 where the node is alone', async () => {
  await stopped('n1', 'n2', 'n3');
  spoilEnd();
  await kvorum('check', directory);
  expect(process.exitCode).toBe(1);
  expect(out[0]).toMatch(/recover \[lost end\] .*\.log at 8704\n +batch 2 is damaged \(entries 2 to 2\)/);
  expect(out[0]).toContain('verdict      recovering:');
  rmSync(directory, { recursive: true });

  await stopped('n1');
  spoilEnd();
  await kvorum('check', directory, '--json');
  expect(process.exitCode).toBe(2);
  const found = JSON.parse(out[1] ?? '') as Inspection;
  expect(found).toMatchObject({
    decision: 'refused',
    findings: [{ action: 'refuse', label: 'nobody to ask', offset: 8704 }],
    remedy: expect.stringContaining('kvorum recover') as unknown,
    content: { entries: { first: 1, last: 1 } },
  });
});

test('one bad copy of term and vote would be repaired: exit code 1', async () => {
  await stopped('n1');
  writeFileSync(join(directory, 'term-vote-a'), 'rubbish');
  await kvorum('check', directory);
  expect(process.exitCode).toBe(1);
  expect(out[0]).toContain('term-vote-a  bad');
  expect(out[0]).toContain('verdict      would be repaired');
});

test('a running node is noticed and not disturbed', async () => {
  const wal = await running('n1');
  onTestFinished(() => wal.close());
  await kvorum('check', directory);
  expect(process.exitCode).toBe(0);
  expect(out[0]).toContain('in use: a process has it open');
});

test('what is no directory, and what is an empty one', async () => {
  await kvorum('check', join(directory, 'nowhere'));
  expect(process.exitCode).toBe(2);
  expect(err[0]).toMatch(/^kvorum: .*nowhere can't be read: Error: ENOENT/);
  await kvorum('check', directory);
  expect(process.exitCode).toBe(0);
  expect(out[0]).toContain('empty: nothing was ever set up here');
  expect(out[0]).toContain('verdict      no data: a start sets up a new node here');
});

const ARGS = ['--id', 'n1', '--url', 'http://10.0.0.1:7380'];

test('recover only says what may be lost until that is accepted, then makes the new cluster', async () => {
  await stopped('n1', 'n2', 'n3');
  await kvorum('recover', directory, ...ARGS, '--force-new-cluster');
  expect(process.exitCode).toBe(1);
  expect(err[0]).toContain('WARNING: this ends the cluster c1 for ever');
  expect(err[0]).toContain('ends with entry 2 of term 1');
  expect(err[0]).toContain('must never be started again (n2, n3)');
  expect(err[1]).toBe(
    'kvorum: nothing was changed; if you accept this, do it again with --yes-i-accept-data-loss',
  );
  await kvorum('check', directory);
  expect(out.pop()).toContain('cluster      c1\n');

  process.exitCode = 0;
  await kvorum('recover', directory, ...ARGS, '--force-new-cluster', '--yes-i-accept-data-loss');
  expect(process.exitCode).toBe(0);
  expect(out.pop()).toMatch(
    /^n1 is the only voter of the new cluster [0-9a-f]{32}: entries up to 2 were kept/,
  );
  await kvorum('check', directory);
  expect(out[0]).toMatch(
    /cluster {6}[0-9a-f]{32} \(before: c1\)\nvoters {7}n1=http:\/\/10\.0\.0\.1:7380\nremoved {6}n2, n3\n/,
  );
  expect(out[0]).toContain('committed at least to 3');
});

test.each<[string, string[], string]>([
  ['without saying what', ARGS, 'recover needs --force-new-cluster'],
  ['with a wrong id', ['--id', 'a b', '--url', 'http://a', '--force-new-cluster'], '--id: "a b"'],
  [
    'with a wrong URL',
    ['--id', 'n1', '--url', 'a', '--force-new-cluster'],
    '--url: "a" is not an http:// URL',
  ],
  ['on an empty directory', [...ARGS, '--force-new-cluster'], 'no cluster was ever set up here'],
])('recover %s changes nothing', async (_what, args, message) => {
  await kvorum('recover', directory, ...args, '--yes-i-accept-data-loss');
  expect(process.exitCode).toBe(1);
  expect(err.at(-1)).toContain(message);
  expect(readdirSync(directory)).toEqual([]);
});

test('recover leaves a running node alone', async () => {
  const wal = await running('n1', 'n2', 'n3');
  onTestFinished(() => wal.close());
  await kvorum('recover', directory, ...ARGS, '--force-new-cluster', '--yes-i-accept-data-loss');
  expect(process.exitCode).toBe(1);
  expect(err.at(-1)).toContain('another running process has this data directory open');
});

test('recover names the voters that a change under way leaves out, too', () => {
  const { voters } = configurationOf(['n1', 'n2', 'n3']);
  const configuration = { ...configurationOf(['n1', 'n2']), outgoing: voters };
  const content = { identity: { nodeId: 'n1' }, configuration } as unknown as Inspection['content'];
  const inspection = { content, findings: [] } as unknown as Inspection;
  expect(warning(inspection, 'n1')).toContain('must never be started again (n2, n3)');
});
