// What was said of a worker's last leases, to be said again to one that was away when it was said.

import type { CoordinatorMessage } from "../../shared/wire/protocol.ts";

export type Verdict = Extract<CoordinatorMessage, { type: "accepted" | "rejected" | "cancel" }>;

/** Verdicts that are kept: more than a worker can hold leases. */
const KEPT_VERDICTS = 4;
/** Leases of the session that are known as its own once they are over. */
const KNOWN_LEASES = 64;

export class Verdicts {
  readonly #kept = new Map<number, Verdict>();
  #leases: readonly number[] = [];
  /** Those of them that were answered when they were over. */
  #answeredLate: readonly number[] = [];

  /** The session was granted a lease. */
  granted(lease: number): void {
    this.#leases = [...this.#leases, lease].slice(-KNOWN_LEASES);
  }

  /**
   * Whether an answer to a lease that is over is no fault of its worker: one a lease is none, which crossed the verdict
   * on the wire.
   */
  forgivesLate(lease: number): boolean {
    if (!this.#leases.includes(lease) || this.#answeredLate.includes(lease)) return false;
    this.#answeredLate = [...this.#answeredLate, lease].slice(-KNOWN_LEASES);
    return true;
  }

  /** Returns the verdict, now kept. */
  keep(verdict: Verdict): Verdict {
    this.#kept.set(verdict.lease, verdict);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_VERDICTS) break;
      this.#kept.delete(oldest);
    }
    return verdict;
  }

  /** The verdict on a lease; of one that is forgotten, that it is over; of any other, that it is none of its own. */
  of(lease: number): Verdict {
    const kept = this.#kept.get(lease);
    if (kept) return kept;
    if (this.#leases.includes(lease)) {
      const message = `lease ${lease} is over: it expired or was answered; ask for another`;
      return { type: "rejected", lease, code: "CONTRIBUTION_STALE", message };
    }
    const message = `lease ${lease} is none of the last ${KNOWN_LEASES} that this worker was granted; ask for another`;
    return { type: "rejected", lease, code: "LEASE_UNKNOWN", message };
  }
}
