// The payload of a contribution's frame: a peak of each tensor, the checksum of the decoded samples, then the body.

import { encodeFrame, type FrameHeader } from "./frame.ts";

const PEAK_BYTES = 4;
/** Of the checksum, u32. */
export const CHECKSUM_BYTES = 4;

export interface ContributionParts {
  /** Bits of one f32 a tensor of the layout. */
  readonly peaks: Uint32Array;
  /** Of the lease's decoded samples (shared/samples/checksum.ts). */
  readonly checksum: number;
  /** The tensors in the lease's codec. */
  readonly body: Uint8Array;
}

/** Bytes before the body. */
export function payloadHeadBytes(tensors: number): number {
  return PEAK_BYTES * tensors + CHECKSUM_BYTES;
}

/** The parts of a payload that has at least a head; the body is a view. */
export function readPayload(payload: Uint8Array, tensors: number): ContributionParts & { readonly peaks: Peaks } {
  const head = payloadHeadBytes(tensors);
  // A copy: the view need not be aligned.
  const words = new Uint32Array(Uint8Array.from(payload.subarray(0, head)).buffer);
  return { peaks: words.slice(0, tensors), checksum: words[tensors], body: payload.subarray(head) };
}

type Peaks = Uint32Array<ArrayBuffer>;

/** The frame of a contribution. */
export function encodeContributionFrame(
  header: FrameHeader,
  { peaks, checksum, body }: ContributionParts,
): Uint8Array<ArrayBuffer> {
  const bits = new Uint8Array(peaks.buffer, peaks.byteOffset, peaks.byteLength);
  return encodeFrame(header, bits, new Uint8Array(Uint32Array.of(checksum).buffer), body);
}
