// What contributions report of each tensor's size, gathered so that neither their order nor one wild report decides.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { FLOAT32_INFINITY_BITS } from "../../../shared/base/half.ts";
import { type Codec, reportsMean } from "../../../shared/codecs/codec.ts";
import type { ContributionLayout } from "../../../shared/wire/contribution.ts";

/** What contributions reported, gathered. */
export interface PeakReports {
  readonly peaks: Uint32Array;
  readonly means: ReadonlyMap<number, readonly number[]>;
}

export class PeakRecord {
  readonly #layout: ContributionLayout;
  /** The largest of each tensor, as bits: they are ordered as the values are. */
  readonly #largest: Uint32Array;
  /** All reports of a tensor whose scale follows from their median, as bits. */
  readonly #means = new Map<number, number[]>();

  constructor(codec: Codec, layout: ContributionLayout) {
    this.#layout = layout;
    this.#largest = new Uint32Array(layout.tensors.length);
    layout.tensors.forEach((tensor, index) => {
      if (reportsMean(codec, tensor)) this.#means.set(index, []);
    });
  }

  /**
   * @param peaks bits of one f32 a tensor
   * @throws CONTRIBUTION_MISMATCH for another number of tensors, GRADIENT_NOT_FINITE for one that is not finite or is
   * negative
   */
  check(peaks: Uint32Array): void {
    const { tensors } = this.#layout;
    if (peaks.length !== tensors.length) {
      throw new BitswarmError(
        "CONTRIBUTION_MISMATCH",
        `contribution: the round has ${tensors.length} tensors and as many peaks, got ${peaks.length}`,
      );
    }
    const bad = peaks.findIndex((bits) => bits >= FLOAT32_INFINITY_BITS);
    if (bad < 0) return;
    const value = new Float32Array(Uint32Array.of(peaks[bad]).buffer)[0];
    const said = Object.is(value, -0) ? "-0" : value;
    throw new BitswarmError(
      "GRADIENT_NOT_FINITE",
      `contribution: the peak of ${tensors[bad].name} is ${said}; it must be finite, at least 0, and without a sign`,
    );
  }

  /** Adds what check() let pass. */
  add(peaks: Uint32Array): void {
    peaks.forEach((bits, index) => {
      this.#largest[index] = Math.max(this.#largest[index], bits);
      this.#means.get(index)?.push(bits);
    });
  }

  /** The largest report of each tensor, and all reports of those of which the median counts, as bits. */
  get reports(): PeakReports {
    return {
      peaks: Uint32Array.from(this.#largest),
      means: new Map([...this.#means].map(([i, all]) => [i, [...all]])),
    };
  }

  /** @throws as check() */
  checkReports({ peaks, means }: PeakReports): void {
    this.check(peaks);
    for (const reports of means.values()) {
      const bad = reports.find((bits) => bits >= FLOAT32_INFINITY_BITS);
      if (bad !== undefined) throw new BitswarmError("GRADIENT_NOT_FINITE", "partial: a reported mean is not finite");
    }
  }

  /** Adds what was gathered elsewhere. @throws as checkReports() */
  merge({ peaks, means }: PeakReports): void {
    this.checkReports({ peaks, means });
    peaks.forEach((bits, index) => {
      this.#largest[index] = Math.max(this.#largest[index], bits);
      for (const report of means.get(index) ?? []) this.#means.get(index)?.push(report);
    });
  }

  /** As `reports`, with each median in place of what it is of: all that counts once no more is to come. */
  get medians(): PeakReports {
    const means = [...this.#means].map(([index, all]): [number, readonly number[]] => {
      const sorted = [...all].sort((a, b) => a - b);
      return [index, all.length === 0 ? [] : [sorted[(sorted.length - 1) >> 1]]];
    });
    return { peaks: Uint32Array.from(this.#largest), means: new Map(means) };
  }

  /** One value a tensor: the largest report, or the lower median of the means. */
  values(): Float32Array<ArrayBuffer> {
    const bits = Uint32Array.from(this.#largest);
    for (const [index, [median]] of this.medians.means) if (median !== undefined) bits[index] = median;
    return new Float32Array(bits.buffer);
  }
}
