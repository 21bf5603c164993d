// From a lease's accumulator to the body of its contribution, in the codec that the lease names.

import { encodeF16 } from "../../shared/codecs/f16.ts";
import { encodeInt8 } from "../../shared/codecs/int8.ts";
import { encodeSigns } from "../../shared/codecs/sign.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { blockSize, gatherArena, type WireLayout, wideBytes } from "../../shared/wire/wire-layout.ts";
import type { LeaseSum } from "./round-buffers.ts";

export interface EncodedContribution {
  /** Bits of one f32 a tensor of the layout. */
  readonly peaks: Uint32Array<ArrayBuffer>;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** A lease's numbers as they were read from the GPU, and how they are to travel. */
export interface Accumulated {
  readonly lease: Pick<LeaseMessage, "from" | "to" | "exponents">;
  readonly wire: WireLayout;
  readonly result: LeaseSum;
  /** Error feedback [wire.wide], changed by `sign`. */
  readonly residual: () => Float32Array;
}

/** @throws GRADIENT_NOT_FINITE */
export function encodeContribution({ lease, wire, result, residual }: Accumulated): EncodedContribution {
  const { codec, plain, wide } = wire;
  const { peaks } = result;
  if (codec === "exact" || codec === "f32") return { peaks, body: result.sum };
  const arena = new Float32Array(result.sum.buffer, result.sum.byteOffset, result.sum.byteLength / 4);
  const narrow = gatherArena(arena, wire, 0, plain);
  const values = gatherArena(arena, wire, plain, plain + wide);
  const whole = (coded: Uint8Array) => {
    const body = new Uint8Array(wire.bytes);
    body.set(new Uint8Array(narrow.buffer));
    body.set(coded, narrow.byteLength);
    return body;
  };
  switch (codec) {
    case "f16":
      return { peaks, body: whole(encodeF16(values, wire.segments.subarray(plain / blockSize), lease.exponents)) };
    case "int8":
      return { peaks, body: whole(encodeInt8(values)) };
    case "sign": {
      const signs = encodeSignTensors(lease, wire, values, residual());
      return { body: whole(signs.bits), peaks: signs.reported(peaks) };
    }
    default:
      return codec satisfies never;
  }
}

function encodeSignTensors(
  lease: Accumulated["lease"],
  { plain, wide, tensors }: WireLayout,
  values: Float32Array,
  residual: Float32Array,
) {
  const samples = lease.to - lease.from;
  const bits = new Uint8Array(wideBytes("sign", wide));
  const means = new Map<number, number>();
  for (const { index, at, size } of tensors) {
    if (at < plain) continue;
    const [from, to] = [at - plain, at - plain + size];
    const mean = encodeSigns(
      values.subarray(from, to),
      residual.subarray(from, to),
      samples,
      lease.exponents[index],
      bits.subarray(from / 8, Math.ceil(to / 8)),
    );
    means.set(index, mean);
  }
  const reported = (peaks: Uint32Array) => {
    const reports = new Float32Array(Uint32Array.from(peaks).buffer);
    for (const [index, mean] of means) reports[index] = mean;
    return new Uint32Array(reports.buffer);
  };
  return { bits, reported };
}
