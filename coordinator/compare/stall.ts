// Whether a run has lost its numbers without anybody saying so: they grew until every contribution is refused, as an
// outlier or as no possible value, and no step is committed any more. A plan must not wait for such a run for ever.

import type { ErrorCode } from "../../shared/base/errors.ts";
import type { RunEvent } from "../engine/run-event.ts";

/** Contributions in a row, without a step between them: three connections of a worker that is sent away at three. */
export const STALLED_REFUSALS = 9;
/** The same where some have not answered yet who took the places of workers that were refused and left. */
export const STALLED_RETURNS = 3 * STALLED_REFUSALS;

/** What is said of a contribution's values; others speak of its form, or of when it came. */
const ofValues: ReadonlySet<ErrorCode> = new Set([
  "CONTRIBUTION_OUTLIER",
  "CONTRIBUTION_MISMATCH",
  "CONTRIBUTION_DISPUTED",
  "GRADIENT_NOT_FINITE",
] satisfies ErrorCode[]);

/** `refused`, since the last step; `returned`: it came after such a one had left. */
type Standing = "new" | "returned" | "refused";

export class Stall {
  readonly #present = new Map<string, Standing>();
  /** Refused workers that left, whose places nobody has taken. */
  #gone = 0;
  #refusals = 0;

  /**
   * @returns what was refused last, where everybody who is here was refused, and nothing else came for so many times:
   * one honest worker whose work counts is enough for a run to go on. Who is sent away and comes back under another
   * name is no newcomer.
   */
  take(event: RunEvent): string | undefined {
    switch (event.type) {
      case "joined":
        this.#present.set(event.worker, this.#gone > 0 ? "returned" : "new");
        this.#gone = Math.max(0, this.#gone - 1);
        return undefined;
      case "left":
        if ((this.#present.get(event.worker) ?? "new") !== "new") this.#gone++;
        this.#present.delete(event.worker);
        return undefined;
      case "step":
      case "evaluation":
        this.#refusals = 0;
        this.#gone = 0;
        for (const worker of this.#present.keys()) this.#present.set(worker, "new");
        return undefined;
      case "refused": {
        if (!ofValues.has(event.code)) return undefined;
        this.#refusals++;
        if (this.#present.has(event.worker)) this.#present.set(event.worker, "refused");
        return this.#refusals >= this.#most ? event.message : undefined;
      }
      default:
        return undefined;
    }
  }

  /** Refusals that a run is given up at. */
  get #most(): number {
    const standings = [...this.#present.values()];
    if (standings.includes("new")) return Number.POSITIVE_INFINITY;
    return standings.includes("returned") ? STALLED_RETURNS : STALLED_REFUSALS;
  }
}
