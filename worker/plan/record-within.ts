// Makes the recording of a plan that the device has the memory for: by its limits, then by trying.

import type { PipelineCache } from "../pipeline-cache.ts";
import { fitPlan, type PlanLimits } from "./fit-plan.ts";
import type { PlanOptions } from "./plan.ts";
import { type Externals, Recording } from "./recording.ts";

/** What a device says it allows; how much memory there is, WebGPU does not tell. */
export function limitsOf({ limits }: GPUDevice): PlanLimits {
  const { maxBufferSize, maxStorageBufferBindingSize } = limits;
  return { maxBinding: Math.min(maxBufferSize, maxStorageBufferBindingSize), maxBuffer: maxBufferSize };
}

/**
 * Records the plan that computes least twice; where the device runs out of memory over it, one that takes less.
 * @param before in whose place it comes, which stays as it is where this fails
 * @throws PLAN_TOO_LARGE when the smallest does not fit
 */
export async function recordWithin(
  cache: PipelineCache,
  options: PlanOptions,
  externals: Externals,
  before?: Recording,
): Promise<Recording> {
  const { device } = cache;
  let limits = limitsOf(device);
  for (;;) {
    const plan = fitPlan(options, limits);
    // Slots are allocated before create() first waits: nobody else's buffers come between.
    device.pushErrorScope("out-of-memory");
    const creating = Recording.create(cache, plan.list, externals, before);
    creating.catch(() => undefined);
    const shortage = await device.popErrorScope();
    if (!shortage) {
      const recording = await creating;
      if (before) recording.replace(before);
      return recording;
    }
    await creating.then(
      (recording) => recording.destroy(),
      () => undefined,
    );
    limits = { ...limits, memory: plan.memory.bytes - 1 };
  }
}
