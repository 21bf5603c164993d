// The sum of a round: integers in float64, so the order in which contributions arrive cannot change a bit of it.

import { addContribution, type GradientCodec } from "../shared/codec.ts";
import { type ContributionLayout, METRICS, type MetricName, metricNames } from "../shared/contribution.ts";
import { BitswarmError } from "../shared/errors.ts";
import { unitOf } from "./exponents.ts";

/** Bits of the float32 +∞: those of every finite value from +0 up are below. */
const infinityBits = 0x7f800000;

export class RoundSum {
  readonly layout: ContributionLayout;
  readonly exponents: readonly number[];
  readonly codec: GradientCodec;
  #samples = 0;
  readonly #sum: Float64Array;
  readonly #exponents: Int32Array;
  readonly #peakBits: Uint32Array<ArrayBuffer>;
  readonly #index: ReadonlyMap<string, number>;

  /** @param exponents unit 2^e of each tensor of the layout */
  constructor(layout: ContributionLayout, exponents: readonly number[], codec: GradientCodec) {
    if (exponents.length !== layout.tensors.length) {
      throw new RangeError(
        `round sum: ${layout.tensors.length} tensors take as many exponents, got ${exponents.length}`,
      );
    }
    this.layout = layout;
    this.exponents = exponents;
    this.codec = codec;
    this.#sum = new Float64Array(layout.size);
    this.#exponents = Int32Array.from(exponents);
    this.#peakBits = new Uint32Array(layout.tensors.length);
    this.#index = new Map(layout.tensors.map((tensor, index) => [tensor.name, index]));
  }

  /** Samples of the contributions added. */
  get samples(): number {
    return this.#samples;
  }

  /** Largest |gradient · samples| of a microbatch, for each tensor of the layout. */
  get peaks(): Float32Array<ArrayBuffer> {
    return new Float32Array(this.#peakBits.buffer).slice();
  }

  /**
   * Adds one lease's contribution; `peaks` are the bits of one f32 a tensor, `body` the arena in the round's codec.
   * On an error the sum is as it was.
   * @throws GRADIENT_NOT_FINITE naming the tensor, CONTRIBUTION_MISMATCH with the expected and the actual size
   */
  add(samples: number, peaks: Uint32Array, body: Uint8Array): void {
    const { tensors } = this.layout;
    if (!Number.isSafeInteger(samples) || samples < 1) {
      throw new BitswarmError("CONTRIBUTION_MISMATCH", `contribution: samples is an integer from 1, got ${samples}`);
    }
    if (peaks.length !== tensors.length) {
      throw new BitswarmError(
        "CONTRIBUTION_MISMATCH",
        `contribution: the round has ${tensors.length} tensors and as many peaks, got ${peaks.length}`,
      );
    }
    const bad = peaks.findIndex((bits) => bits >= infinityBits);
    if (bad >= 0) {
      const value = new Float32Array(Uint32Array.of(peaks[bad]).buffer)[0];
      throw new BitswarmError(
        "GRADIENT_NOT_FINITE",
        `contribution: the peak of ${tensors[bad].name} is ${value}; it must be finite and at least 0`,
      );
    }
    addContribution(this.codec, body, this.layout.segments, this.#exponents, this.#sum);
    peaks.forEach((bits, index) => {
      this.#peakBits[index] = Math.max(this.#peakBits[index], bits);
    });
    this.#samples += samples;
  }

  has(tensor: string): boolean {
    return this.#index.has(tensor);
  }

  /** Mean over the samples of one tensor of the layout, in float64; the sum must not be empty. */
  mean(tensor: string): Float64Array {
    const index = this.#index.get(tensor);
    if (index === undefined) throw new RangeError(`round sum: no tensor named ${tensor}`);
    if (this.#samples === 0) throw new RangeError(`round sum: the mean of ${tensor} over no samples`);
    const { offset, size } = this.layout.tensors[index];
    const unit = unitOf(this.exponents[index]);
    const samples = this.#samples;
    return this.#sum.slice(offset, offset + size).map((units) => (units * unit) / samples);
  }

  /** Means over the samples of the round. */
  metrics(): Record<MetricName, number> {
    const means = this.mean(METRICS);
    const entries = metricNames.map((name, index) => [name, means[index]] as const);
    return Object.fromEntries(entries) as Record<MetricName, number>;
  }
}
