// What a virtual volunteer computes for a lease: a result of known sum, honest or not, as a trainer gives it to its
// session.

import { samplesOf } from "../../shared/wire/lease-ranges.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import type { LeaseResult } from "../../worker/trainer/trainer-contract.ts";
import { type KnownSum, knownBody, knownSum } from "./known-gradient.ts";
import { altered } from "./misdeed.ts";
import type { Misdeed } from "./scenario.ts";
import type { Surroundings } from "./surroundings.ts";

/** Bytes that a contribution of the wrong shape lacks. */
const MISSING_BYTES = 64;

export interface VirtualWork {
  readonly lease: LeaseMessage;
  readonly misdeed: Misdeed | undefined;
  /** What this volunteer computed first in this phase, if anything. */
  readonly before: KnownSum | undefined;
}

export interface VirtualContribution {
  readonly result: LeaseResult;
  readonly honest: KnownSum;
  /** What was sent instead; undefined where it is what is right. */
  readonly lie: KnownSum | undefined;
}

export function virtualContribution(
  { lease, misdeed, before }: VirtualWork,
  world: Pick<Surroundings, "microbatch" | "layout">,
): VirtualContribution {
  const { microbatch } = world;
  const layout = world.layout(lease);
  const samples = samplesOf(lease.ranges);
  const honest = knownSum(lease, layout, lease.ranges, microbatch);
  const sum = misdeed === undefined ? honest : altered({ misdeed, lease, layout, microbatch, honest, before });
  const whole = knownBody(lease, layout, sum.units, samples);
  const body = misdeed === "shape" ? whole.subarray(0, whole.length - MISSING_BYTES) : whole;
  const result = { samples, peaks: new Uint32Array(sum.peaks.buffer), body };
  return { result, honest, lie: sum === honest ? undefined : sum };
}
