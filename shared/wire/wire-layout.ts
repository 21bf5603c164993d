// The order of a contribution's tensors on the wire, and in its sum: plain ones first, then those that the codec shrinks.

import type { ContributionLayout, ContributionTensor } from "./contribution.ts";

/**
 * `exact`: i32 multiples of the unit. `f32`: float32. Both are plain: the arena as it is. The others send narrow tensors as
 * float32 and code the wide ones. `f16`: half floats in multiples of the unit. `int8`: an i8 exponent for each block of 64,
 * then i8 elements. `sign`: one bit an element, whose scale is the tensor's unit.
 */
export const gradientCodecs = ["exact", "f32", "f16", "int8", "sign"] as const;
export type GradientCodec = (typeof gradientCodecs)[number];

/** Elements of a block; a block belongs to one tensor. */
export const blockSize = 64;

export interface WireTensor extends ContributionTensor {
  /** Index in the contribution layout: of its peak and its exponent. */
  readonly index: number;
  /** Elements from the start of the wire's order, a multiple of 64. */
  readonly at: number;
}

export interface WireLayout {
  readonly codec: GradientCodec;
  /** In the wire's order. */
  readonly tensors: readonly WireTensor[];
  /** Elements of the plain part, a multiple of 64: float32, or i32 with `exact`. */
  readonly plain: number;
  /** Elements of the coded part, a multiple of 64. */
  readonly wide: number;
  /** Index in the contribution layout of each block's tensor, in the wire's order. */
  readonly segments: Uint32Array<ArrayBuffer>;
  /** Bytes of a contribution's body. */
  readonly bytes: number;
}

/** Bytes of `elements`, a multiple of 64, in the coded part. */
export function wideBytes(codec: Exclude<GradientCodec, "exact" | "f32">, elements: number): number {
  switch (codec) {
    case "f16":
      return 2 * elements;
    case "int8":
      return elements / blockSize + elements;
    case "sign":
      return elements / 8;
    default:
      return codec satisfies never;
  }
}

const padded = (size: number) => Math.ceil(size / blockSize) * blockSize;

/** Asked for with every contribution, of few layouts. */
const known = new WeakMap<ContributionLayout, Map<GradientCodec, WireLayout>>();

/** How contributions of this layout travel with this codec. */
export function wireLayout(layout: ContributionLayout, codec: GradientCodec): WireLayout {
  const ofLayout = known.get(layout) ?? new Map<GradientCodec, WireLayout>();
  known.set(layout, ofLayout);
  const wire = ofLayout.get(codec) ?? laidOut(layout, codec);
  ofLayout.set(codec, wire);
  return wire;
}

function laidOut(layout: ContributionLayout, codec: GradientCodec): WireLayout {
  const codes = codec === "exact" || codec === "f32" ? undefined : codec;
  const indexed = layout.tensors.map((tensor, index) => ({ ...tensor, index }));
  const coded = (tensor: ContributionTensor) => codes !== undefined && tensor.wide;
  const order = [...indexed.filter((tensor) => !coded(tensor)), ...indexed.filter(coded)];
  const segments = new Uint32Array(layout.size / blockSize);
  let at = 0;
  let plain = 0;
  const tensors = order.map((tensor) => {
    const here = at;
    at += padded(tensor.size);
    segments.fill(tensor.index, here / blockSize, at / blockSize);
    if (!coded(tensor)) plain = at;
    return { ...tensor, at: here };
  });
  const wide = at - plain;
  const bytes = 4 * plain + (codes === undefined ? 0 : wideBytes(codes, wide));
  return { codec, tensors, plain, wide, segments, bytes };
}

/** The part of an arena that a codec shrinks or not, in the wire's order: [from, to) in elements. */
export function gatherArena(
  arena: Float32Array,
  wire: WireLayout,
  from: number,
  to: number,
): Float32Array<ArrayBuffer> {
  const values = new Float32Array(to - from);
  for (const { offset, size, at } of wire.tensors) {
    if (at >= from && at < to) values.set(arena.subarray(offset, offset + size), at - from);
  }
  return values;
}

/** Whether a tensor's peak carries the mean |c| of `sign` (codec-sign.ts) instead of the largest magnitude. */
export function reportsMean({ codec }: Pick<WireLayout, "codec">, tensor: ContributionTensor): boolean {
  return codec === "sign" && tensor.wide;
}
