/** Time as a node knows it, in one place so that tests can turn it. */
export interface Clock {
  /** Milliseconds that never run backwards while the process lives; timeouts are measured with it. */
  monotonic(): number;
  /** Milliseconds since 1970 as the machine has it; may step. Deadlines of keys are made from it. */
  wall(): number;
  /** Calls back once, in `ms` milliseconds. The answer cancels it. Does not keep the process alive. */
  after(ms: number, callback: () => void): () => void;
  /** Calls back every `ms` milliseconds. The answer ends it. */
  every(ms: number, callback: () => void): () => void;
  /** Calls back when what is waiting in this turn of the event loop has had its turn. */
  soon(callback: () => void): void;
}

export const systemClock: Clock = {
  monotonic: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms).unref();
    return () => clearTimeout(timer);
  },
  every: (ms, callback) => {
    const timer = setInterval(callback, ms);
    return () => clearInterval(timer);
  },
  soon: (callback) => void setImmediate(callback),
};
