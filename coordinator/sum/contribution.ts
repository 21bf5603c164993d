// Whether a frame answers the lease that its worker holds (SPEC.md, C): header against round, payload against layout.
// The bytes are summed elsewhere.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { ContributionLayout } from "../../shared/wire/contribution.ts";
import { payloadHeadBytes, readPayload } from "../../shared/wire/contribution-payload.ts";
import type { Frame } from "../../shared/wire/frame.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";

export interface Contribution {
  /** Bits of one f32 a tensor. */
  readonly peaks: Uint32Array<ArrayBuffer>;
  /** Of the samples that were decoded for it (shared/samples/checksum.ts). */
  readonly checksum: number;
  /** The arena in the round's codec; a view. */
  readonly body: Uint8Array;
}

/** A contribution that was checked and is in no sum yet. */
export interface HeldWork extends Omit<Contribution, "checksum"> {
  readonly samples: number;
  /** Of its gradients; see clip-rule.ts. */
  readonly scale: number;
}

/** What is usual of the peak of one tensor, in the layout's order. */
export interface UsualPeak {
  readonly name: string;
  /** The largest that the unit was chosen for; infinite where none was ever seen. */
  readonly largest: number;
  /** Reports are magnitudes, of which the largest counts; else means of magnitudes, of which the median does. */
  readonly magnitude: boolean;
}

export interface ExpectedRound {
  readonly terms: Pick<LeaseMessage, "round" | "parametersHash" | "codec">;
  readonly layout: ContributionLayout;
  /** 16 bytes in hex. */
  readonly runTag: string;
}

/**
 * The parts of a contribution to this round.
 * @throws CONTRIBUTION_MISMATCH naming the field, what it must be and what it is
 */
export function readContribution({ header, payload }: Frame, { terms, layout, runTag }: ExpectedRound): Contribution {
  const { round, parametersHash, codec } = terms;
  const tensors = layout.tensors.length;
  const expected = { kind: "contribution", run: runTag, round, parametersHash, codec, tensors } as const;
  for (const field of ["kind", "run", "round", "parametersHash", "codec", "tensors"] as const) {
    if (header[field] === expected[field]) continue;
    throw new BitswarmError(
      "CONTRIBUTION_MISMATCH",
      `contribution: ${field} must be ${expected[field]} for this lease; got ${header[field]}`,
    );
  }
  const bytes = payloadHeadBytes(tensors) + wireLayout(layout, codec).bytes;
  if (payload.length !== bytes) {
    throw new BitswarmError(
      "CONTRIBUTION_MISMATCH",
      `contribution: ${tensors} peaks, a checksum and ${layout.size} elements as ${codec} take ${bytes} bytes; got ${payload.length}`,
    );
  }
  return readPayload(payload, tensors);
}
