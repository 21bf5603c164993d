// What a round goes by, from its plan, the run's limits and how the rounds before it went.

import type { RunConfig } from "../../../shared/run/config.ts";
import { type Arrivals, deadlineMs } from "../../round/deadline.ts";
import { isActive, type Roster, speedOf, workforce } from "../../round/roster.ts";
import { piecesOf } from "../../round/sizing.ts";
import type { RoundOptions } from "../../round/state.ts";
import { contributionBytes, type RoundPlan } from "../../training/round-plan.ts";

export interface RoundLimits {
  readonly microbatch: number;
  readonly lease: Omit<RunConfig["lease"], "seal">;
  /** Share of a round's samples that one account may hold; 1 unless given. */
  readonly shareLimit?: number;
  /** It is a gateway's, and grows with what the leader leases to it. */
  readonly growing?: boolean;
}

/** @param arrivals of the last rounds of this phase */
export function roundOptions(plan: RoundPlan, limits: RoundLimits, arrivals: Arrivals, roster: Roster): RoundOptions {
  const { microbatch, shareLimit = 1, growing = false } = limits;
  const { maxMicrobatches, timeoutMs, ahead, minDeadlineMs, first } = limits.lease;
  const samples = plan.ranges.reduce((total, { from, to }) => total + to - from, 0);
  return {
    ...(growing ? { growing } : {}),
    microbatch,
    maxMicrobatches,
    timeoutMs,
    deadlineMs: deadlineMs(arrivals, { minMs: minDeadlineMs, maxMs: timeoutMs }),
    minDeadlineMs,
    seal: plan.mayLeave ? "deadline" : "complete",
    ahead: ahead && !plan.local,
    oneLease: plan.local,
    shareLimit,
    ...(plan.whole === undefined ? {} : { whole: plan.whole }),
    pieces: piecesFor(plan, limits, roster, samples),
    first: plan.local ? Number.POSITIVE_INFINITY : first,
    hasHistory: arrivals.length > 0,
  };
}

/** Into how many pieces shares of so many samples are cut. Where a share is one lease, it is whole. */
export function piecesFor(plan: RoundPlan, { lease }: RoundLimits, roster: Roster, samples: number): number {
  if (plan.local) return 1;
  return lease.pieces === "auto" ? autoPieces(plan, roster, samples) : lease.pieces;
}

function autoPieces(plan: RoundPlan, roster: Roster, samples: number): number {
  const unproven = workforce(roster) === roster.unproven;
  let [active, known, sum] = [0, 0, 0];
  for (const member of roster.members.values()) {
    if (!isActive(member) || member.proven === unproven) continue;
    const speed = speedOf(member, plan.terms.phase);
    active++;
    if (speed === undefined) continue;
    known++;
    sum += speed;
  }
  return piecesOf({
    samples,
    // Those that are not known count as the mean.
    samplesPerSecond: known === 0 ? undefined : (sum / known) * active,
    contributionBytes: contributionBytes(plan),
  });
}
