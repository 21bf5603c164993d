// How many contributions of one worker are being checked: what waits for that is memory that its worker does not pay
// for.

import { BitswarmError } from "../../shared/base/errors.ts";

/** A worker holds two leases; twice as many may be answered before there is a verdict. */
export const CHECKS_HELD = 4;

export class ChecksInFlight {
  #count = 0;

  /**
   * Begins a check; `release` is called when it is over, or does not begin.
   * @throws RATE_LIMITED where too many are under way
   */
  begin(check: () => Promise<void>, release: () => void): Promise<void> {
    if (this.#count >= CHECKS_HELD) {
      release();
      const what = `a contribution came while ${this.#count} were being checked, the limit; wait for a verdict`;
      throw new BitswarmError("RATE_LIMITED", what);
    }
    this.#count++;
    return check().finally(() => {
      this.#count--;
      release();
    });
  }
}
