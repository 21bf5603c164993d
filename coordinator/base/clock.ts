// The coordinator's real clock: Node's, whose timers keep the process alive for the turn at hand at most.

import type { Clock } from "../../shared/base/clock.ts";

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, call) => {
    if (ms === 0) {
      // A timer's shortest time is a millisecond; an immediate without its hold on the process would wait for the next
      // timer or socket.
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
