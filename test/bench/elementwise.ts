// The kernels of a ResNet's step beside its convolutions, each distinct one alone, by the bytes that its bindings span.

import type { BenchDevice } from "./bench-device.ts";
import type { Emit } from "./line.ts";
import { prepareStep } from "./prepared-step.ts";
import { type Bound, boundBytes, submit } from "./replay.ts";
import { type BenchmarkRequest, selects } from "./request.ts";
import type { Roofs } from "./roofs.ts";
import { rounded } from "./statistics.ts";
import { stepCases } from "./step-cases.ts";
import { type Stopwatch, timeInTurns } from "./stopwatch.ts";

/** Bindings below this are noise: a launch costs more than its bytes. */
const LEAST_BYTES = 256 * 1024;

export async function timeElementwise(
  bench: BenchDevice,
  watch: Stopwatch,
  request: BenchmarkRequest,
  roofs: Roofs,
  emit: Emit,
): Promise<void> {
  const test = stepCases({ imagenet: false }).find(({ name }) => name.startsWith("resnet"));
  if (!test || !selects(request, `elementwise ${test.name}`)) return;
  const step = await prepareStep(bench, watch, test);
  try {
    const distinct = new Map<string, Bound>();
    for (const bound of step.launches) {
      const { label } = bound.launch.kernel;
      // A matrix product is not bound by its bytes.
      if (step.classOf(bound) === "other" && boundBytes(bound) >= LEAST_BYTES && !/linear/i.test(label)) {
        distinct.set(bound.launch.kernel.wgsl, bound);
      }
    }
    for (const bound of distinct.values()) {
      const [timing] = await timeInTurns(watch, [{ submit: (times) => submit(bench.device, [bound], times) }]);
      const bytes = boundBytes(bound);
      const rate = bytes / timing.best / 1e6;
      await emit({
        record: "elementwise",
        name: bound.launch.kernel.label,
        ms: rounded(timing.best),
        bytes,
        gigabytesPerSecond: rounded(rate),
        share: rounded(rate / roofs.copy, 3),
      });
    }
  } finally {
    step.destroy();
  }
}
