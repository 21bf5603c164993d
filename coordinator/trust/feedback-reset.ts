// Signs that differ from others' are no proof: error feedback can turn most of an honest worker's message for one
// lease. So the first such answer is only left out, and the worker told to begin its feedback anew, after which its
// signs are those of its gradient. Whoever still differs then has no such excuse.

import type { LeaseId } from "../../shared/base/ids.ts";
import type { Lease } from "../round/lease.ts";

/**
 * An account's resets are counted below this and then from 0 again: the eras of two leases differ when their counts do.
 */
export const FEEDBACK_RESETS = 256;

export class FeedbackReset {
  #newest = 0;
  /**
   * By account, the newest lease when its answer was doubted: that one and those before were granted with its old
   * feedback.
   */
  readonly #doubted = new Map<string, number>();
  readonly #resets = new Map<string, number>();

  granted({ lease }: Pick<Lease, "lease">): void {
    this.#newest = lease;
  }

  /**
   * Whether signs unlike others' are excused, which they are of leases granted before the account was told to begin
   * anew.
   */
  excuses(account: string, lease: LeaseId): boolean {
    const before = this.#doubted.get(account);
    if (before !== undefined && lease > before) {
      this.#doubted.delete(account);
      return false;
    }
    if (before === undefined) {
      this.#doubted.set(account, this.#newest);
      this.reset(account);
    }
    return true;
  }

  /** Others confirmed an answer of the account. */
  confirmed(account: string, lease: LeaseId): void {
    const before = this.#doubted.get(account);
    if (before !== undefined && lease > before) this.#doubted.delete(account);
  }

  /** From its next lease on the account's workers begin their feedback at zero. */
  reset(account: string): void {
    this.#resets.set(account, (this.resetsOf(account) + 1) % FEEDBACK_RESETS);
  }

  /** What another has counted of the account before. */
  begin(account: string, resets: number): void {
    if (resets > this.resetsOf(account)) this.#resets.set(account, resets % FEEDBACK_RESETS);
  }

  resetsOf(account: string): number {
    return this.#resets.get(account) ?? 0;
  }
}
