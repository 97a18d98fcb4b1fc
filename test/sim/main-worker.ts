/** A thread of the simulator's command line: gets orders, gives reports. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Order, runSeeds, type Settings } from './seeds.ts';

parentPort?.on('message', (order: Order) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
  parentPort?.postMessage(runSeeds(order, workerData as Settings));
});
