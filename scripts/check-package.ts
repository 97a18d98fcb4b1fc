/**
 * The package as it would be published, tried as a stranger does: packed, looked through by publint and arethetypeswrong, and
 * installed in a directory of its own, where a program is type-checked against its declarations and run, and a node is started.
 * Prints one line per step; ends with the output of the first one that fails.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ROOT = join(import.meta.dirname, '..');
const TOOLS = join(ROOT, 'node_modules/.bin');
const PROGRAM = 'program.ts';
const START_MS_MAX = 30_000;

/** What a package may hold. */
const EXPECTED =
  /^(?:package\.json|README\.md|ARCHITECTURE\.md|LICENSE|docs\/[a-z]+\.md|examples\/[a-z-]+\.ts|dist\/(?:cli|embedded|formats|raft|server|store|transport|wal)\/.*\.(?:js|d\.ts))$/;

interface Manifest {
  readonly version: string;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
const directory = mkdtempSync(join(tmpdir(), 'kvorum-package-'));
const started = performance.now();

function run(command: string, args: readonly string[], cwd: string = directory): string {
  return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

async function step(what: string, work: () => string | Promise<string>): Promise<void> {
  const result = await work();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`package: ${what}${result === '' ? '' : `: ${result}`} (${seconds} s)`);
}

/** Packs what was built, without building again. */
function pack(): string {
  run('npm', ['pack', '--ignore-scripts', '--pack-destination', directory], ROOT);
  const [tarball = ''] = readdirSync(directory);
  return join(directory, tarball);
}

function lookThrough(tarball: string): string {
  const files = run('tar', ['-tzf', tarball])
    .trim()
    .split('\n')
    .map((file) => file.replace(/^package\//, ''));
  const strange = files.filter((file) => !EXPECTED.test(file));
  if (strange.length > 0) throw new Error(`what is this doing in the package: ${strange.join(', ')}`);
  return `${files.length} files`;
}

function install(tarball: string): string {
  writeFileSync(join(directory, 'package.json'), '{ "private": true, "type": "module" }\n');
  const types = `@types/node@${manifest.devDependencies['@types/node']}`;
  const quietly = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
  run('npm', ['install', ...quietly, tarball, types]);
  return '';
}

function runProgram(): string {
  copyFileSync(join(ROOT, 'test/package', PROGRAM), join(directory, PROGRAM));
  const compilerOptions = {
    module: 'nodenext',
    strict: true,
    noEmit: true,
    // Our declarations, too.
    skipLibCheck: false,
  };
  writeFileSync(join(directory, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [PROGRAM] }));
  run(join(TOOLS, 'tsc'), ['-p', directory]);
  return run(process.execPath, [PROGRAM]);
}

function askVersion(): string {
  const version = run('npx', ['--no-install', 'kvorum', '--version']).trim();
  if (version !== manifest.version)
    throw new Error(`kvorum --version says ${version}, not ${manifest.version}`);
  return version;
}

/** A node from the package does what its dependencies are needed for: it serves, and runs a script. */
async function serve(): Promise<string> {
  const [port, httpPort] = [await freePort(), await freePort()];
  const kvorum = join(directory, 'node_modules/.bin/kvorum');
  const ports = ['--port', String(port), '--http-port', String(httpPort)];
  const args = ['serve', ...ports, '--data-dir', 'node'];
  const node = spawn(kvorum, args, { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] });
  try {
    await ready(httpPort, node);
    const script = "return redis.call('SET', KEYS[1], ARGV[1])";
    const answer = run(kvorum, ['repl', `127.0.0.1:${port}`, 'EVAL', script, '1', 'key', 'value']).trim();
    if (answer !== 'OK') throw new Error(`the script answered ${answer}, not OK`);
    return '';
  } finally {
    node.kill();
    if (node.exitCode === null) await once(node, 'exit');
  }
}

async function ready(httpPort: number, node: ChildProcess): Promise<void> {
  const deadline = performance.now() + START_MS_MAX;
  while (performance.now() < deadline && node.exitCode === null) {
    const response = await fetch(`http://127.0.0.1:${httpPort}/health`).catch(() => null);
    if (response?.ok === true) return;
    await sleep(100);
  }
  throw new Error(`the node did not become ready within ${START_MS_MAX} ms (exit code ${node.exitCode})`);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

try {
  const tarball = pack();
  await step('holds what it should', () => lookThrough(tarball));
  await step('publint', () => run(join(TOOLS, 'publint'), ['--strict', tarball]) && '');
  const types = ['--profile', 'esm-only', '--no-definitely-typed'];
  await step('are the types wrong', () => run(join(TOOLS, 'attw'), [tarball, ...types]) && '');
  await step('installs', () => install(tarball));
  await step('a program type-checks and runs', runProgram);
  await step('npx kvorum --version', askVersion);
  await step('a node serves', serve);
} catch (error) {
  const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
  console.error(`${stdout}${stderr}${String(error)}`);
  process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
