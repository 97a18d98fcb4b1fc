/** A thread of the simulator's command line: gets orders, gives reports. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Order, runSeeds, type Settings } from './seeds.ts';

parentPort?.on('message', (order: Order) => {
  // A failure to run is the end of the thread, which the parent is told.
  void runSeeds(order, workerData as Settings).then((report) => {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    parentPort?.postMessage(report);
  });
});
