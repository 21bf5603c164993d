// Takes the bytes of contributions into a round's sum: read and checked where they are summed, judged by trust, added or held back (SPEC.md, C and R).

import { BitswarmError } from "../shared/errors.ts";
import { decodeFrame, type Frame } from "../shared/frame.ts";
import { type LeaseId, leaseId, type WorkerId } from "../shared/ids.ts";
import { reportsMean } from "../shared/wire-layout.ts";
import { RoundSum } from "./aggregate.ts";
import type { Clock } from "./clock.ts";
import { type Contribution, readContribution } from "./contribution-check.ts";
import { largestPeakOf } from "./exponents.ts";
import { Reduction } from "./reduction/reduction.ts";
import type { RoundPlan } from "./round-plan.ts";
import { contributionVerdict, type Lease, type Refusal, type RoundState } from "./round-state.ts";
import { nothingFollows, type TrustOutcome } from "./trust/audits.ts";
import type { RoundTrust } from "./trust/round-trust.ts";

export interface IntakeOptions {
  /** Bytes of the largest contribution frame of the run. */
  readonly contributionLimit: number;
  /** Judges contributions and audits them; without it all that is well formed is believed. */
  readonly trust?: RoundTrust;
}

/** What became of a contribution. One that is `taken` is in the sum, held back, or compared only. */
export type Intake =
  | { readonly kind: "taken"; readonly lease: LeaseId; readonly samples: number; readonly follows: TrustOutcome }
  | ({ readonly kind: "refused"; readonly lease: LeaseId; readonly follows: TrustOutcome } & Refusal);

interface OpenRound {
  readonly plan: RoundPlan;
  readonly sum: RoundSum;
}

/** Runs work that pauses, with a turn for everybody else in each pause. */
function inSlices<T>(work: Generator<void, T>, clock: Pick<Clock, "after">, done: (value: T) => void): void {
  const step = work.next();
  if (step.done) done(step.value);
  else clock.after(0, () => inSlices(work, clock, done));
}

function disputed(lease: LeaseId): Refusal {
  return {
    code: "CONTRIBUTION_DISPUTED",
    message: `the results of lease ${lease} differ from others'; its range goes to another worker`,
  };
}

export class ContributionIntake {
  readonly #options: IntakeOptions;
  /** Sums one round after another in the same memory. */
  readonly #reduction = new Reduction();
  #round: OpenRound | undefined;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /**
   * Begins a round's sum; that of the round before is no longer valid.
   * @param accounts how many take part, whenever that is asked
   */
  open(plan: RoundPlan, accounts: () => number): void {
    const { terms, layout } = plan;
    const sum = new RoundSum(layout, terms.exponents, terms.codec, this.#reduction);
    this.#round = { plan, sum };
    this.#options.trust?.open({
      kind: terms.kind,
      codec: terms.codec,
      era: terms.era,
      spans: sum.spans,
      peaks: layout.tensors.map((tensor, i) => ({
        name: tensor.name,
        largest: largestPeakOf(tensor.kind, terms.exponents[i]),
        magnitude: !reportsMean(terms, tensor),
      })),
      unitsOf: ({ samples, peaks, body }) => sum.read(samples, peaks, body),
      accounts,
    });
  }

  /** Ends the round: `done` gets its sum, with what was held back and nobody contradicted. Nothing is taken any more. */
  seal(clock: Pick<Clock, "after">, done: (sum: RoundSum) => void): void {
    if (!this.#round) throw new RangeError("a round is sealed that is not open");
    const { sum } = this.#round;
    const { trust } = this.#options;
    this.#round = undefined;
    for (const { samples, peaks, body, scale } of trust?.seal() ?? []) sum.add(samples, peaks, body, scale);
    const combining = trust?.combined();
    if (!combining) {
      done(sum);
      return;
    }
    inSlices(combining, clock, (means) => {
      if (means) sum.settle(means);
      done(sum);
    });
  }

  /** Gives up the round. */
  drop(): void {
    this.#round = undefined;
  }

  /**
   * Takes the bytes of a contribution frame from a worker; what is refused changes nothing.
   * @param held the lease to name where the frame cannot be read
   * @throws FRAME_TOO_LARGE, FRAME_TRUNCATED, FRAME_CORRUPT, PROTOCOL_MISMATCH where there is none
   */
  take(state: RoundState, worker: WorkerId, bytes: Uint8Array, held: LeaseId | undefined): Intake {
    let lease = held;
    try {
      const frame = this.#decode(bytes);
      const { samples } = frame.header;
      lease = leaseId(frame.header.lease);
      const live = contributionVerdict(state, worker, lease, samples);
      if ("code" in live) throw new BitswarmError(live.code, live.message);
      if (!this.#round) throw new RangeError("a lease is live outside of a round");
      const contribution = readContribution(frame, this.#round.plan);
      const follows = this.#admit(this.#round.sum, live, samples, contribution);
      if (follows.disputed) return { kind: "refused", lease, follows, ...disputed(lease) };
      return { kind: "taken", lease, samples, follows };
    } catch (error) {
      if (!(error instanceof BitswarmError) || lease === undefined) throw error;
      return { kind: "refused", lease, follows: nothingFollows, code: error.code, message: error.message };
    }
  }

  /** Between rounds nothing counts, so there only the words of the refusal depend on what the frame says. */
  #decode(bytes: Uint8Array): Frame {
    const { contributionLimit } = this.#options;
    return this.#round?.sum.decode(bytes, contributionLimit) ?? decodeFrame(bytes, contributionLimit);
  }

  /** Adds a contribution to the sum, or leaves it to an audit. @throws what the sum or trust refuses it for */
  #admit(sum: RoundSum, lease: Lease, samples: number, { peaks, body }: Contribution): TrustOutcome {
    const { trust } = this.#options;
    const counts = lease.purpose === "work" || lease.purpose === "backup";
    const checked = sum.check(samples, peaks, body);
    const scale = counts && trust ? trust.judge(lease, samples, checked.norms, peaks) : 1;
    const summed = counts && !trust?.holds(lease);
    if (summed) {
      checked.commit(scale);
      trust?.added(lease, { samples, scale, peaks, body });
    }
    if (!trust || summed) return nothingFollows;
    // The next contribution takes the bytes' place.
    return trust.take(lease, { samples, scale, peaks, body: new Uint8Array(body) });
  }
}
