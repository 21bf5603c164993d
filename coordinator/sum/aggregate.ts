// The sum of a round: integers, so the order in which contributions arrive cannot change a bit of it. The reduction
// adds them; this knows what they mean.

import { BitswarmError } from "../../shared/base/errors.ts";
import { powerOfTwo } from "../../shared/base/powers-of-two.ts";
import { reportsMean } from "../../shared/codecs/codec.ts";
import { type ContributionLayout, METRICS } from "../../shared/wire/contribution.ts";
import { decodeFrame, type Frame } from "../../shared/wire/frame.ts";
import { type WireLayout, type WireTensor, wireLayout } from "../../shared/wire/wire-layout.ts";
import { type GroupNorms, groupNormsOf } from "./gradient-norms.ts";
import type { PartialSums, ReadPartial } from "./partial.ts";
import { type ReducedRound, Reduction } from "./reduction/reduction.ts";
import type { RobustResult } from "./robust-round.ts";

/** Means over the samples of a round. */
export type MetricMeans = Readonly<Record<string, number>>;

/** A contribution that is checked and not added yet; the next one in its slot takes its place. */
export interface CheckedContribution {
  readonly norms: GroupNorms;
  /**
   * Adds it, once.
   * @param scale above 0, at most 1: of the gradients, not of statistics and metrics; 1 with a codec of exact sums
   */
  commit(scale?: number): void;
}

export class RoundSum {
  readonly layout: ContributionLayout;
  readonly exponents: readonly number[];
  readonly codec: string;
  readonly #wire: WireLayout;
  readonly #reduction: Reduction;
  readonly #tensors: ReadonlyMap<string, WireTensor>;
  /** What the reduction says since the last contribution. */
  #reduced: ReducedRound | undefined;
  /** Stands in place of the sum's own means and peaks. */
  #robust: RobustResult | undefined;

  /**
   * @param exponents unit 2^e of each tensor of the layout
   * @param reduction taken over: the sum before that used it is no longer valid
   */
  constructor(
    layout: ContributionLayout,
    exponents: readonly number[],
    codec: string,
    reduction: Reduction = new Reduction(),
  ) {
    if (exponents.length !== layout.tensors.length) {
      throw new RangeError(
        `round sum: ${layout.tensors.length} tensors take as many exponents, got ${exponents.length}`,
      );
    }
    this.layout = layout;
    this.exponents = exponents;
    this.codec = codec;
    this.#wire = wireLayout(layout, codec);
    this.#reduction = reduction;
    this.#tensors = new Map(this.#wire.tensors.map((tensor) => [tensor.name, tensor]));
    reduction.begin({ layout, exponents, codec });
  }

  get #state(): ReducedRound {
    this.#reduced ??= this.#reduction.finish();
    return this.#reduced;
  }

  /** Samples of the contributions added. */
  get samples(): number {
    return this.#state.samples;
  }

  /** What `recordPeaks` wants to know of each tensor of the layout. */
  get peaks(): Float32Array<ArrayBuffer> {
    const { peaks } = this.#state;
    const robust = this.#robust?.peaks;
    if (!robust) return peaks;
    // Where workers report means, their median decides already.
    return peaks.map((peak, i) => (reportsMean(this.#wire.codec, this.layout.tensors[i]) ? peak : robust[i]));
  }

  /** Puts means and peaks in the place of the sum's own; `samples` stay. */
  settle(robust: RobustResult): void {
    this.#robust = robust;
  }

  /**
   * Reads a frame where it will be summed, so that its CRC is a kernel's work; the payload is good until the next
   * contribution in its slot. @throws as decodeFrame()
   */
  decode(bytes: Uint8Array, limitBytes: number, slot = 0): Frame {
    const reduction = this.#reduction;
    // One that is too large for this round may still be within the run's limit: it is late, or wrong.
    if (!reduction.fits(bytes.length)) return decodeFrame(bytes, limitBytes);
    return decodeFrame(reduction.load(slot, bytes), limitBytes, (part, seed) => reduction.checksum(part, seed));
  }

  /**
   * Checks one lease's contribution; `peaks` are the bits of one f32 a tensor, `body` the tensors in the round's codec.
   * The sum does not change.
   * @throws GRADIENT_NOT_FINITE naming the tensor, CONTRIBUTION_MISMATCH with the expected and the actual size
   */
  check(samples: number, peaks: Uint32Array, body: Uint8Array, slot = 0): CheckedContribution {
    const squares = this.#load(slot, samples, peaks, body);
    const norms = groupNormsOf(this.#wire.tensors, squares, samples);
    return { norms, commit: (scale = 1) => this.commit(slot, scale) };
  }

  /** Adds what check() let pass in a slot, once; `scale` as CheckedContribution.commit(). */
  commit(slot: number, scale: number): void {
    this.#reduction.commit(slot, scale);
    this.#reduced = undefined;
  }

  /** Checks a contribution and adds it; on an error the sum is as it was. @throws as check() */
  add(samples: number, peaks: Uint32Array, body: Uint8Array, scale = 1): void {
    this.check(samples, peaks, body).commit(scale);
  }

  /** Into a slot; returns Σ value² of each tensor in the wire's order. */
  #load(slot: number, samples: number, peaks: Uint32Array, body: Uint8Array): Float64Array {
    const { tensors } = this.layout;
    if (peaks.length !== tensors.length) {
      throw new BitswarmError(
        "CONTRIBUTION_MISMATCH",
        `contribution: the round has ${tensors.length} tensors and as many peaks, got ${peaks.length}`,
      );
    }
    const head = new Uint8Array(peaks.buffer, peaks.byteOffset, peaks.byteLength);
    const payloadBytes = this.#reduction.loadPayload(slot, head, body);
    return this.#reduction.inspect(slot, samples, payloadBytes).squares;
  }

  /** All that is in the sum, to be added to another's; `whole`: nothing is added to either of them. */
  partial(whole = false): PartialSums {
    const { samples, sum } = this.#state;
    const { peaks, means } = whole ? this.#reduction.medians : this.#reduction.reports;
    return { samples, sum, peaks, means };
  }

  /** @throws GRADIENT_NOT_FINITE for reports that merge() could not take */
  requireMergeable({ peaks, means }: ReadPartial): void {
    this.#reduction.requireReports({ peaks, means });
  }

  /** Adds what a gateway's volunteers contributed. @throws GRADIENT_NOT_FINITE; the sum is then as it was */
  merge({ samples, peaks, means, addTo }: ReadPartial): void {
    this.#reduction.merge(samples, { peaks, means }, addTo);
    this.#reduced = undefined;
  }

  has(tensor: string): boolean {
    return this.#tensors.has(tensor);
  }

  /** Mean over the samples of one tensor of the layout, in float64; the sum must not be empty. */
  mean(tensor: string): Float64Array {
    const known = this.#tensors.get(tensor);
    if (!known) throw new RangeError(`round sum: no tensor named ${tensor}`);
    const { samples, sum } = this.#state;
    if (samples === 0) throw new RangeError(`round sum: the mean of ${tensor} over no samples`);
    const { at, size, index } = known;
    if (this.#robust) return this.#robust.means.slice(at, at + size);
    const unit = powerOfTwo(this.exponents[index]);
    const means = new Float64Array(size);
    for (let i = 0; i < size; i++) means[i] = (sum[at + i] * unit) / samples;
    return means;
  }

  /** Means over the samples of the round. */
  metrics(): MetricMeans {
    const means = this.mean(METRICS);
    const entries = this.layout.metrics.map((name, index) => [name, means[index]] as const);
    return Object.fromEntries(entries) as MetricMeans;
  }
}
