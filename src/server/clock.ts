/** The two clocks of a node, in one place so that tests can turn them. */
export interface Clock {
  /** Milliseconds that never run backwards while the process lives; timeouts are measured with it. */
  monotonic(): number;
  /** Milliseconds since 1970 as the machine has it; may step. Deadlines of keys are made from it. */
  wall(): number;
}

export const systemClock: Clock = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
};
