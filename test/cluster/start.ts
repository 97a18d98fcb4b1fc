import { Containers } from './containers.ts';
import { leaderOf, type MachineKind, type MachineOptions, type Machines } from './machines.ts';
import { Processes } from './processes.ts';

/** Founds a cluster and waits until it has a leader. */
export async function startMachines(kind: MachineKind, options: MachineOptions): Promise<Machines> {
  const machines = kind === 'containers' ? await Containers.create(options) : await Processes.create(options);
  try {
    // All at once: a cluster is founded when every founding member has been heard.
    await Promise.all(machines.all.map((machine) => machines.start(machine)));
    await leaderOf(machines);
  } catch (error) {
    await machines.dispose();
    throw error;
  }
  return machines;
}
