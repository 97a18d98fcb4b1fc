/**
 * Decides once what the clusters of these tests are made of, says so, and makes the image. Where an engine must be had
 * (`KVORUM_REQUIRE_DOCKER=1`) its absence is a failure.
 *
 * The image is built by the compose file, as the README says: `BASE_IMAGE` and `BUILD_NETWORK` are taken from the
 * environment (see scripts/docker for machines without a registry).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import type { TestProject } from 'vitest/node';
import { LABEL, NETWORK_PREFIX } from './containers.ts';
import type { MachineKind } from './machines.ts';

declare module 'vitest' {
  interface ProvidedContext {
    machines: MachineKind;
  }
}

/** Under a name of its own: a cluster that somebody tries things out with keeps its data. */
const COMPOSE = ['compose', '-p', 'kvorum-test', '-f', 'docker-compose.cluster.yml'];

/** Runs `docker compose` on the project's compose file; what it printed. */
export function compose(...args: readonly string[]): string {
  return execFileSync('docker', [...COMPOSE, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

export default function setup(project: TestProject): (() => void) | undefined {
  const engine = spawnSync('docker', ['version', '--format', '{{.Server.Version}}'], { encoding: 'utf8' });
  if (engine.status !== 0) {
    const reason = engine.error?.message ?? engine.stderr.trim();
    if (process.env['KVORUM_REQUIRE_DOCKER'] === '1')
      throw new Error(`a Docker engine is required here: ${reason}`);
    console.warn(`
*** NO CONTAINERS: there is no Docker engine here (${reason}). ***
*** The scenarios run on processes of this machine, with network faults made by a proxy between them; ***
*** the image and the compose file are NOT tested. scripts/docker/engine.sh starts an engine. ***
`);
    project.provide('machines', 'processes');
    return undefined;
  }
  console.log(`containers on Docker ${engine.stdout.trim()}`);
  removeLeftovers();
  compose('build', '--quiet', 'n1');
  project.provide('machines', 'containers');
  return removeLeftovers;
}

/** Containers, volumes and networks of these tests, an earlier run's that was killed included. */
function removeLeftovers(): void {
  const containers = docker('ps', '-aq', '--filter', `label=${LABEL}`);
  if (containers.length > 0) docker('rm', '-fv', ...containers);
  const networks = docker('network', 'ls', '-q', '--filter', `name=${NETWORK_PREFIX}`);
  if (networks.length > 0) docker('network', 'rm', ...networks);
  compose('down', '--volumes');
}

function docker(...args: readonly string[]): string[] {
  const output = execFileSync('docker', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  return output.split('\n').filter((line) => line !== '');
}
