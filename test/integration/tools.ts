/** Other people's programs that tests use where they are installed. */
import { execFile, spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { promisify } from 'node:util';

/** Whether a program is there: see {@link present}. */
export function hasTool(name: string): boolean {
  return present(name, spawnSync('sh', ['-c', `command -v ${name}`]).status === 0);
}

/**
 * `found`, said loudly. Where everything must be there (`KVORUM_REQUIRE_REDIS=1`) its absence is a failure; elsewhere
 * the tests that need it are left out.
 */
export function present(name: string, found: boolean): boolean {
  if (found) return true;
  if (process.env['KVORUM_REQUIRE_REDIS'] === '1')
    throw new Error(`${name} is required here and is not installed`);
  console.warn(`\n*** SKIPPED: ${name} is not installed, so the tests that use it do not run ***\n`);
  return false;
}

/** Runs a program; resolves to what it printed. */
export async function run(program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program, [...args]);
  return stdout;
}

/** Sends bytes over a plain socket and resolves to everything that comes back, up to `length` bytes. */
export function exchange(port: number, request: string, length: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let got = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(request, 'latin1'));
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      got += chunk;
      if (got.length >= length) socket.destroy();
    });
    socket.on('close', () => resolve(got));
    socket.on('error', reject);
  });
}

/** A command in RESP. */
export function encode(...args: readonly string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;
}
