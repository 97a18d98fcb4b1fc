/** A thread of the simulator's command line: gets orders, gives reports. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Order, runSeeds, type Settings } from './seeds.ts';

parentPort?.on('message', (order: Order) => {
  parentPort?.postMessage(runSeeds(order, workerData as Settings));
});
