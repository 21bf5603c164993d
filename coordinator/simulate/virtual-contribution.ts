// What a virtual volunteer hands in: a contribution of known sum, honest or not, as the frame that a worker would send.

import { encodeFrame } from "../../shared/wire/frame.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { type KnownSum, knownBody, knownSum } from "./known-gradient.ts";
import { altered } from "./misdeed.ts";
import type { Misdeed } from "./scenario.ts";
import type { Surroundings } from "./surroundings.ts";

/** Bytes that a contribution of the wrong shape lacks. */
const MISSING_BYTES = 64;

export interface VirtualWork {
  readonly lease: LeaseMessage;
  readonly misdeed: Misdeed | undefined;
  readonly runTag: string;
  /** What this volunteer computed first in rounds of this kind, if anything. */
  readonly before: KnownSum | undefined;
}

export interface VirtualContribution {
  readonly frame: Uint8Array<ArrayBuffer>;
  readonly honest: KnownSum;
  /** What was sent instead; undefined where it is what is right. */
  readonly lie: KnownSum | undefined;
}

export function virtualContribution(
  { lease, misdeed, runTag, before }: VirtualWork,
  world: Pick<Surroundings, "microbatch" | "layout">,
): VirtualContribution {
  const { microbatch } = world;
  const layout = world.layout(lease);
  const samples = lease.to - lease.from;
  const honest = knownSum(lease, layout, [lease], microbatch);
  const sum = misdeed === undefined ? honest : altered({ misdeed, lease, layout, microbatch, honest, before });
  const body = knownBody(lease, layout, sum.units, samples);
  const header = {
    kind: "contribution",
    codec: lease.codec,
    round: lease.round,
    lease: lease.lease,
    samples,
    tensors: sum.peaks.length,
    run: runTag,
    parametersHash: lease.parametersHash,
  } as const;
  const sent = misdeed === "shape" ? body.subarray(0, body.length - MISSING_BYTES) : body;
  const frame = encodeFrame(header, new Uint8Array(sum.peaks.buffer), sent);
  return { frame, honest, lie: sum === honest ? undefined : sum };
}
