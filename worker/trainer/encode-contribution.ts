// From a lease's accumulator to its contribution: peaks and body, in the codec that the lease names.

import { encodeBody } from "../../shared/wire/contribution-body.ts";
import { samplesOf } from "../../shared/wire/lease-ranges.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import type { WireLayout } from "../../shared/wire/wire-layout.ts";
import type { LeaseSum } from "./round-buffers.ts";

export interface EncodedContribution {
  /** Bits of one f32 a tensor of the layout. */
  readonly peaks: Uint32Array<ArrayBuffer>;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** A lease's numbers as they were read from the GPU, and how they are to travel. */
export interface Accumulated {
  readonly lease: Pick<LeaseMessage, "ranges" | "exponents">;
  readonly wire: WireLayout;
  readonly result: LeaseSum;
  /** Error feedback [wire.wide], changed by codecs that keep some. */
  readonly residual: () => Float32Array;
}

/** @throws GRADIENT_NOT_FINITE */
export function encodeContribution({ lease, wire, result, residual }: Accumulated): EncodedContribution {
  const { ranges, exponents } = lease;
  const { body, means } = encodeBody({ wire, sum: result.sum, exponents, samples: samplesOf(ranges), residual });
  if (means.size === 0) return { peaks: result.peaks, body };
  const reports = new Float32Array(Uint32Array.from(result.peaks).buffer);
  for (const [index, mean] of means) reports[index] = mean;
  return { peaks: new Uint32Array(reports.buffer), body };
}
