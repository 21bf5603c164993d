// How often a round is decided on where nothing happens: for leases that expired, and for what has become late.

import type { Clock } from "../../../shared/base/clock.ts";

const TICK_MS = 200;
/** Once all is leased: whatever ends late then keeps everybody waiting. */
const ENDING_TICK_MS = 50;

/** Calls `tick` until it is stopped by what it returns. @param ending whether all is leased, whenever that is asked */
export function startTicking(clock: Pick<Clock, "every">, ending: () => boolean, tick: () => void): () => void {
  let sinceMs = 0;
  return clock.every(ENDING_TICK_MS, () => {
    sinceMs += ENDING_TICK_MS;
    if (sinceMs < TICK_MS && !ending()) return;
    sinceMs = 0;
    tick();
  });
}
