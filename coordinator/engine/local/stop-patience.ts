// How long a run that stops, or is interrupted between two steps, waits for those who may go on with its step.

import type { RoundState } from "../../round/state.ts";

/** For a worker that was just answered to go on with the step. */
const STOP_PATIENCE_MS = 2000;

export class StopPatience {
  /** Since when nobody computes. */
  #idleSince: number | undefined;

  /** A round opens. */
  begin(): void {
    this.#idleSince = undefined;
  }

  /** Whether the run waits for nobody. @param again what is computed will be done again anyway, as an evaluation is */
  isOver(now: number, again: boolean, { leases, spares, roster }: RoundState): boolean {
    if (again) return true;
    if (leases.size > spares) {
      this.#idleSince = undefined;
      return false;
    }
    if (!roster.members.some(({ expected }) => expected !== null)) return true;
    this.#idleSince ??= now;
    return now - this.#idleSince >= STOP_PATIENCE_MS;
  }
}
