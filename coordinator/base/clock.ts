// Time as an argument: rounds and sessions ask this for it, so that the simulation can drive the very same code (FoundationDB's way of testing).

export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Calls once after `ms`, after 0 in the next turn of the event loop; the result cancels. Keeps the process alive for that turn at most. */
  after(ms: number, call: () => void): () => void;
  /** Calls every `ms` until the result is called. */
  every(ms: number, call: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, call) => {
    if (ms === 0) {
      // A timer's shortest time is a millisecond; an immediate without its hold on the process would wait for the next timer or socket.
      const next = setImmediate(call);
      return () => clearImmediate(next);
    }
    const timer = setTimeout(call, ms).unref();
    return () => clearTimeout(timer);
  },
  every: (ms, call) => {
    const timer = setInterval(call, ms);
    return () => clearInterval(timer);
  },
};
