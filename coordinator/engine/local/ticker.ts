// How often a round is looked at where nothing happens: for leases that expired, and for what has become late.

import type { Clock } from "../../../shared/base/clock.ts";

const LOOK_MS = 200;
/** Once all is leased: whatever ends late then keeps everybody waiting. */
const ENDING_LOOK_MS = 50;

/** Calls `look` until it is stopped by what it returns. @param ending whether all is leased, whenever that is asked */
export function lookAgain(clock: Pick<Clock, "every">, ending: () => boolean, look: () => void): () => void {
  let sinceMs = 0;
  return clock.every(ENDING_LOOK_MS, () => {
    sinceMs += ENDING_LOOK_MS;
    if (sinceMs < LOOK_MS && !ending()) return;
    sinceMs = 0;
    look();
  });
}
