// The sum of a round: integers in float64, so the order in which contributions arrive cannot change a bit of it.

import { addContribution } from "../shared/codec.ts";
import { type ContributionLayout, METRICS, type MetricName, metricNames } from "../shared/contribution.ts";
import { BitswarmError } from "../shared/errors.ts";
import { type GradientCodec, type WireLayout, wireLayout } from "../shared/wire-layout.ts";
import { unitOf } from "./exponents.ts";
import { PeakRecord } from "./peak-record.ts";
import { groupOf, type TensorSpan } from "./trust/gradient-norms.ts";

export class RoundSum {
  readonly layout: ContributionLayout;
  readonly exponents: readonly number[];
  readonly codec: GradientCodec;
  #samples = 0;
  readonly #wire: WireLayout;
  readonly #sum: Float64Array;
  readonly #peaks: PeakRecord;
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
    this.#wire = wireLayout(layout, codec);
    this.#sum = new Float64Array(layout.size);
    this.#peaks = new PeakRecord(this.#wire, layout);
    this.#index = new Map(this.#wire.tensors.map((tensor, index) => [tensor.name, index]));
  }

  /** Samples of the contributions added. */
  get samples(): number {
    return this.#samples;
  }

  /** What `recordPeaks` wants to know of each tensor of the layout. */
  get peaks(): Float32Array<ArrayBuffer> {
    return this.#peaks.values();
  }

  /**
   * Adds one lease's contribution; `peaks` are the bits of one f32 a tensor, `body` the tensors in the round's codec.
   * On an error the sum is as it was.
   * @param scale above 0, at most 1: of the gradients, not of statistics and metrics; 1 with the codec exact
   * @throws GRADIENT_NOT_FINITE naming the tensor, CONTRIBUTION_MISMATCH with the expected and the actual size
   */
  add(samples: number, peaks: Uint32Array, body: Uint8Array, scale = 1): void {
    if (scale !== 1) {
      this.#addScaled(samples, peaks, body, scale);
      return;
    }
    if (!Number.isSafeInteger(samples) || samples < 1) {
      throw new BitswarmError("CONTRIBUTION_MISMATCH", `contribution: samples is an integer from 1, got ${samples}`);
    }
    this.#peaks.check(peaks);
    addContribution(this.#wire, body, samples, this.exponents, this.#sum);
    this.#peaks.add(peaks);
    this.#samples += samples;
  }

  #addScaled(samples: number, peaks: Uint32Array, body: Uint8Array, scale: number): void {
    if (!(scale > 0 && scale < 1) || this.codec === "exact") {
      throw new RangeError(`round sum: a scale is above 0 and at most 1 (with exact 1), got ${scale}`);
    }
    const units = this.read(samples, peaks, body);
    for (const { kind, at, size } of this.#wire.tensors) {
      if (kind === "gradient" || kind === "difference")
        for (let i = at; i < at + size; i++) units[i] = Math.round(units[i] * scale);
    }
    for (let i = 0; i < units.length; i++) this.#sum[i] += units[i];
    this.#peaks.add(peaks);
    this.#samples += samples;
  }

  /** Checks a contribution and returns its integers in the wire's order; the sum does not change. @throws as add() */
  read(samples: number, peaks: Uint32Array, body: Uint8Array): Float64Array<ArrayBuffer> {
    const units = new Float64Array(this.#sum.length);
    this.#peaks.check(peaks);
    addContribution(this.#wire, body, samples, this.exponents, units);
    return units;
  }

  /** The tensors of what read() returns. */
  get spans(): readonly TensorSpan[] {
    return this.#wire.tensors.map(({ kind, name, at, size, index }) => ({
      group: groupOf({ kind, name }),
      offset: at,
      size,
      unit: unitOf(this.exponents[index]),
    }));
  }

  has(tensor: string): boolean {
    return this.#index.has(tensor);
  }

  /** Mean over the samples of one tensor of the layout, in float64; the sum must not be empty. */
  mean(tensor: string): Float64Array {
    const index = this.#index.get(tensor);
    if (index === undefined) throw new RangeError(`round sum: no tensor named ${tensor}`);
    if (this.#samples === 0) throw new RangeError(`round sum: the mean of ${tensor} over no samples`);
    const { at, size, index: ofLayout } = this.#wire.tensors[index];
    const unit = unitOf(this.exponents[ofLayout]);
    const samples = this.#samples;
    return this.#sum.slice(at, at + size).map((units) => (units * unit) / samples);
  }

  /** Means over the samples of the round. */
  metrics(): Record<MetricName, number> {
    const means = this.mean(METRICS);
    const entries = metricNames.map((name, index) => [name, means[index]] as const);
    return Object.fromEntries(entries) as Record<MetricName, number>;
  }
}
