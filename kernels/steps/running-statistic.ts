// Running mean and variance of a batch norm after one microbatch, on the device: shared/model/running-statistic.ts in
// f32.
import { RUNNING_STATISTIC_MOMENTUM } from "../../shared/model/running-statistic.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/** running ← (1 − m)·running + m·batch, both f32 [size]; `batch` holds the batch's means or unbiased variances. */
export function runningStatistic(o: { readonly size: number }): Kernel {
  const width = vectorWidth(o.size);
  const type = vectorType(width);
  return kernel({
    label: `runningStatistic ${o.size}`,
    floats: { KEPT: 1 - RUNNING_STATISTIC_MOMENTUM, NEW: RUNNING_STATISTIC_MOMENTUM },
    storage: [readWrite("running", type), read("batch", type)],
    items: o.size / width,
    body: "running[index] = KEPT * running[index] + NEW * batch[index];",
  });
}
