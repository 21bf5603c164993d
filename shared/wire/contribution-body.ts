// From what a device accumulated to the body of a contribution: plain tensors as they are, then those that the codec
// codes.

import type { Coded, CodedTerms } from "../codecs/codec.ts";
import { gatherArena, type WireLayout } from "./wire-layout.ts";

/** A lease's accumulator, and how it is to travel. */
export interface AccumulatedArena {
  readonly wire: WireLayout;
  /** The arena's words, i32 or float32 as the codec accumulates, as bytes; handed on where nothing is coded. */
  readonly sum: Uint8Array<ArrayBuffer>;
  readonly exponents: ArrayLike<number>;
  readonly samples: number;
  /** Error feedback [wire.wide]; asked for and changed by codecs that keep some. */
  readonly residual: () => Float32Array;
}

export interface EncodedBody {
  readonly body: Uint8Array<ArrayBuffer>;
  /** Mean magnitude a sample of a tensor, by its index, where the codec reports it in the place of a peak. */
  readonly means: ReadonlyMap<number, number>;
}

/** @throws GRADIENT_NOT_FINITE */
export function encodeBody({ wire, sum, exponents, samples, residual }: AccumulatedArena): EncodedBody {
  const { codec } = wire;
  const terms = { ...wire.coded, exponents, samples };
  if (codec.accumulate === "exact") {
    if (codec.coding === null) return { body: sum, means: new Map() };
    const [plain, wide] = partsOf(new Int32Array(sum.buffer, sum.byteOffset, sum.byteLength / 4), wire);
    return joined(wire, plain, codec.coding.encode(wide, terms, residual), terms);
  }
  if (codec.coding === null) return { body: sum, means: new Map() };
  const [plain, wide] = partsOf(new Float32Array(sum.buffer, sum.byteOffset, sum.byteLength / 4), wire);
  return joined(wire, plain, codec.coding.encode(wide, terms, residual), terms);
}

function partsOf<T extends Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>>(arena: T, wire: WireLayout): [T, T] {
  const { plain, wide } = wire;
  return [gatherArena(arena, wire, 0, plain), gatherArena(arena, wire, plain, plain + wide)];
}

function joined(
  wire: WireLayout,
  plain: ArrayBufferView<ArrayBuffer>,
  { bytes, means = [] }: Coded,
  terms: CodedTerms,
): EncodedBody {
  const body = new Uint8Array(wire.bytes);
  body.set(new Uint8Array(plain.buffer));
  body.set(bytes, plain.byteLength);
  return { body, means: new Map(means.map((mean, i) => [terms.tensors[i].index, mean])) };
}
