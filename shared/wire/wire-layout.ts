// The order of a contribution's tensors on the wire, and in its sum: plain ones first, then those that the codec
// shrinks.

import { blockSize, type Codec, type CodedPart, isCoded } from "../codecs/codec.ts";
import { codecs } from "../codecs/codecs.ts";
import type { ContributionLayout, ContributionTensor } from "./contribution.ts";

export interface WireTensor extends ContributionTensor {
  /** Index in the contribution layout: of its peak and its exponent. */
  readonly index: number;
  /** Elements from the start of the wire's order, a multiple of 64. */
  readonly at: number;
}

export interface WireLayout {
  readonly codec: Codec;
  /** In the wire's order. */
  readonly tensors: readonly WireTensor[];
  /** Elements of the plain part, a multiple of 64: float32 or i32, as the codec has devices accumulate. */
  readonly plain: number;
  /** Elements of the coded part, a multiple of 64. */
  readonly wide: number;
  /** The coded part itself: its tensors count from its own start. */
  readonly coded: CodedPart;
  /** Index in the contribution layout of each block's tensor, in the wire's order. */
  readonly segments: Uint32Array<ArrayBuffer>;
  /** Bytes of a contribution's body. */
  readonly bytes: number;
}

const padded = (size: number) => Math.ceil(size / blockSize) * blockSize;

/** Asked for with every contribution, of few layouts. */
const known = new WeakMap<ContributionLayout, Map<Codec, WireLayout>>();

/** How contributions of this layout travel with the codec of this kind. @throws CONFIG_INVALID where there is none */
export function wireLayout(layout: ContributionLayout, kind: string): WireLayout {
  const codec = codecs.get(kind);
  const ofLayout = known.get(layout) ?? new Map<Codec, WireLayout>();
  known.set(layout, ofLayout);
  const wire = ofLayout.get(codec) ?? laidOut(layout, codec);
  ofLayout.set(codec, wire);
  return wire;
}

function laidOut(layout: ContributionLayout, codec: Codec): WireLayout {
  const indexed = layout.tensors.map((tensor, index) => ({ ...tensor, index }));
  const isPlain = (tensor: ContributionTensor) => !isCoded(codec, tensor);
  const order = [...indexed.filter(isPlain), ...indexed.filter((tensor) => !isPlain(tensor))];
  const segments = new Uint32Array(layout.size / blockSize);
  let at = 0;
  let plain = 0;
  const tensors = order.map((tensor) => {
    const here = at;
    at += padded(tensor.size);
    segments.fill(tensor.index, here / blockSize, at / blockSize);
    if (isPlain(tensor)) plain = at;
    return { ...tensor, at: here };
  });
  const elements = at - plain;
  const coded = {
    elements,
    tensors: tensors
      .filter((tensor) => tensor.at >= plain)
      .map(({ index, at, size }) => ({ index, at: at - plain, size })),
    segments: segments.subarray(plain / blockSize),
  };
  const bytes = 4 * plain + (codec.coding?.bytes(elements) ?? 0);
  return { codec, tensors, plain, wide: elements, coded, segments, bytes };
}

type Arena = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;

/** The part of an arena that a codec codes or not, in the wire's order: [from, to) in elements. */
export function gatherArena<T extends Arena>(arena: T, wire: WireLayout, from: number, to: number): T {
  const values = arena instanceof Int32Array ? new Int32Array(to - from) : new Float32Array(to - from);
  for (const { offset, size, at } of wire.tensors) {
    if (at >= from && at < to) values.set(arena.subarray(offset, offset + size), at - from);
  }
  return values as T;
}
