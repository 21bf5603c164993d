// Refuses what no honest worker can have measured, whoever sends it and whatever is usual: a variance below 0, more
// hits than samples, a peak that no gradient has. What passes may still be a lie; that is for trust to find out.

import { BitswarmError } from "../../shared/base/errors.ts";
import { powerOfTwo } from "../../shared/base/powers-of-two.ts";
import type { MetricRange } from "../../shared/tasks/task.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import type { HeldWork } from "./contribution.ts";
import type { UnitTerms } from "./contribution-units.ts";

/**
 * The largest sum over a microbatch of anything that is trained or measured: what is larger has overflowed before, or
 * was made up. (A float32 goes to 2^128, and the units of a round to 2^126.)
 */
export const MOST_PEAK = 2 ** 64;
/** What rounding may put a sample's metric outside of its range; statistics are clamped by the kernels. */
export const METRIC_ROUNDING = 2 ** -10;

function impossible(message: string): BitswarmError {
  return new BitswarmError(
    "CONTRIBUTION_MISMATCH",
    `contribution: ${message}; no sound device measures that, so its range goes to another worker`,
  );
}

/** @throws CONTRIBUTION_MISMATCH naming the tensor, its limit and what it says */
export function requirePossible(
  { layout, exponents, codec }: UnitTerms,
  { samples, peaks, body }: Omit<HeldWork, "scale">,
): void {
  const values = new Float32Array(peaks.buffer, peaks.byteOffset, peaks.length);
  const large = values.findIndex((peak) => peak > MOST_PEAK);
  if (large >= 0) {
    const { name } = layout.tensors[large];
    throw impossible(`the peak of ${name} is ${values[large].toPrecision(3)}, the limit is ${MOST_PEAK}`);
  }
  const wire = wireLayout(layout, codec);
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const integers = wire.codec.accumulate === "exact";
  for (const { name, kind, size, at, index, ranges = [] } of wire.tensors) {
    if (ranges.length === 0) continue;
    const unit = powerOfTwo(exponents[index]);
    const slack = kind === "metric" ? METRIC_ROUNDING : 0;
    for (let i = 0; i < size; i++) {
      const { least, most }: MetricRange = ranges[Math.min(i, ranges.length - 1)];
      // What has a range is never coded.
      const raw = integers ? view.getInt32(4 * (at + i), true) * unit : view.getFloat32(4 * (at + i), true);
      const mean = raw / samples;
      if (mean >= least - slack && mean <= most + slack) continue;
      const what = kind === "metric" ? (layout.metrics[i] ?? name) : `element ${i} of ${name}`;
      throw impossible(`${what} is ${mean.toPrecision(3)} a sample, and can only be from ${least} to ${most}`);
    }
  }
}
