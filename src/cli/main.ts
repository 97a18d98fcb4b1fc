#!/usr/bin/env node
/**
 * The `kvorum` command. This file only makes sure that the runtime can run the rest, before any of it is loaded:
 * the verbs are in `program.ts`, each with a file of its own.
 */
import module from 'node:module';

const NODE_MAJOR_MIN = 24;
/**
 * Threads for disk and names; Node's own default is 4. Lookups get half of them, and one of a name that nobody knows can
 * take 10 s: with 2, two nodes that are down make a third one unreachable that is not.
 */
const POOL_THREADS = 16;

const major = Number(process.versions.node.split('.')[0]);
if (major < NODE_MAJOR_MIN) {
  console.error(
    `kvorum: this is Node ${process.versions.node}, kvorum needs Node ${NODE_MAJOR_MIN} or newer; install it, or start a checkout through npm, which brings its own`,
  );
  process.exitCode = 1;
} else {
  // Works until the pool is used for the first time.
  process.env['UV_THREADPOOL_SIZE'] ??= `${POOL_THREADS}`;
  // Works only for what is loaded after the call: hence the import below and none above.
  module.enableCompileCache();
  const { run } = await import('./program.ts');
  await run(process.argv);
}
