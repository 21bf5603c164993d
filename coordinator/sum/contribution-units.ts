// The integers of single contributions, for those who compare or combine them: read by the sums' own kernels, in a
// memory of their own.

import { powerOfTwo } from "../../shared/base/powers-of-two.ts";
import { hasFeedback, reportsMean, unitOf } from "../../shared/codecs/codec.ts";
import { codecs } from "../../shared/codecs/codecs.ts";
import type { ContributionLayout } from "../../shared/wire/contribution.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import type { HeldWork, UsualPeak } from "./contribution.ts";
import { groupOf, type TensorSpan } from "./gradient-norms.ts";
import { Reduction } from "./reduction/reduction.ts";
import { largestPeakOf } from "./unit-rule.ts";

export interface UnitTerms {
  readonly layout: ContributionLayout;
  /** Unit 2^e of each tensor of the layout. */
  readonly exponents: readonly number[];
  readonly codec: string;
}

/** The tensors of what UnitReader.read() returns. */
export function spansOf({ layout, exponents, codec }: UnitTerms): readonly TensorSpan[] {
  const wire = wireLayout(layout, codec);
  return wire.tensors.map((tensor) => ({
    group: groupOf(tensor),
    offset: tensor.at,
    size: tensor.size,
    unit: powerOfTwo(exponents[tensor.index]),
    signs: hasFeedback(wire.codec, tensor),
  }));
}

/** What is usual of the peaks that come with the contributions. */
export function usualPeaksOf({ layout, exponents, codec }: UnitTerms): readonly UsualPeak[] {
  const used = codecs.get(codec);
  return layout.tensors.map((tensor, i) => ({
    name: tensor.name,
    largest: largestPeakOf(tensor.kind, exponents[i], unitOf(used, tensor)),
    magnitude: !reportsMean(used, tensor),
  }));
}

export class UnitReader {
  #reduction: Reduction | undefined;

  /**
   * Integers in the wire's order, each a multiple of its tensor's unit; the caller's to keep.
   * @throws as Reduction.inspect()
   */
  read(terms: UnitTerms, { samples, peaks, body }: Omit<HeldWork, "scale">): Float64Array<ArrayBuffer> {
    this.#reduction ??= new Reduction();
    this.#reduction.begin(terms);
    const head = new Uint8Array(peaks.buffer, peaks.byteOffset, peaks.byteLength);
    this.#reduction.inspect(0, samples, this.#reduction.loadPayload(0, head, body));
    this.#reduction.commit(0);
    return new Float64Array(this.#reduction.finish().sum);
  }
}
