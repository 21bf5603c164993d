// The sum of a round: integers, so the order in which contributions arrive cannot change a bit of it. The reduction adds them; this knows what they mean.

import { type ContributionLayout, METRICS, type MetricName, metricNames } from "../shared/contribution.ts";
import { BitswarmError } from "../shared/errors.ts";
import { type GradientCodec, type WireLayout, type WireTensor, wireLayout } from "../shared/wire-layout.ts";
import { unitOf } from "./exponents.ts";
import { type ReducedRound, Reduction } from "./reduction/reduction.ts";

export class RoundSum {
  readonly layout: ContributionLayout;
  readonly exponents: readonly number[];
  readonly codec: GradientCodec;
  readonly #wire: WireLayout;
  readonly #reduction: Reduction;
  readonly #tensors: ReadonlyMap<string, WireTensor>;
  /** What the reduction says since the last contribution. */
  #reduced: ReducedRound | undefined;

  /**
   * @param exponents unit 2^e of each tensor of the layout
   * @param reduction taken over: the sum before that used it is no longer valid
   */
  constructor(
    layout: ContributionLayout,
    exponents: readonly number[],
    codec: GradientCodec,
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
    return this.#state.peaks;
  }

  /**
   * Adds one lease's contribution; `peaks` are the bits of one f32 a tensor, `body` the tensors in the round's codec.
   * On an error the sum is as it was.
   * @param scale above 0, at most 1: of the gradients, not of statistics and metrics; 1 with the codec exact
   * @returns the gradient's L2 norm a sample, before the scale
   * @throws GRADIENT_NOT_FINITE naming the tensor, CONTRIBUTION_MISMATCH with the expected and the actual size
   */
  add(samples: number, peaks: Uint32Array, body: Uint8Array, scale = 1): number {
    const { tensors } = this.layout;
    if (peaks.length !== tensors.length) {
      throw new BitswarmError(
        "CONTRIBUTION_MISMATCH",
        `contribution: the round has ${tensors.length} tensors and as many peaks, got ${peaks.length}`,
      );
    }
    const head = new Uint8Array(peaks.buffer, peaks.byteOffset, peaks.byteLength);
    this.#reduction.loadPayload(0, head, body);
    const { norm } = this.#reduction.inspect(0, samples, head.length + body.length);
    this.#reduction.commit(0, scale);
    this.#reduced = undefined;
    return norm;
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
    const unit = unitOf(this.exponents[index]);
    const means = new Float64Array(size);
    for (let i = 0; i < size; i++) means[i] = (sum[at + i] * unit) / samples;
    return means;
  }

  /** Means over the samples of the round. */
  metrics(): Record<MetricName, number> {
    const means = this.mean(METRICS);
    const entries = metricNames.map((name, index) => [name, means[index]] as const);
    return Object.fromEntries(entries) as Record<MetricName, number>;
  }
}
