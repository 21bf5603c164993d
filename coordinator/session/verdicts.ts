// What was said of a worker's last leases, to be said again to one that was away when it was said.

import type { CoordinatorMessage } from "../../shared/wire/protocol.ts";

export type Verdict = Extract<CoordinatorMessage, { type: "accepted" | "rejected" | "cancel" }>;

/** Verdicts that are kept: more than a worker can hold leases. */
const KEPT_VERDICTS = 4;

export class Verdicts {
  readonly #kept = new Map<number, Verdict>();

  /** Returns the verdict, now kept. */
  keep(verdict: Verdict): Verdict {
    this.#kept.set(verdict.lease, verdict);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT_VERDICTS) break;
      this.#kept.delete(oldest);
    }
    return verdict;
  }

  /** The verdict on a lease; of one that is forgotten, that it is over. */
  of(lease: number): Verdict {
    const message = `lease ${lease} is over: it expired or was answered; ask for another`;
    return this.#kept.get(lease) ?? { type: "rejected", lease, code: "CONTRIBUTION_STALE", message };
  }
}
