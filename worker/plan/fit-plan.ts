// Compiles the first plan that fits the adapter, from the one that computes least twice to the one that computes most.

import { BitswarmError } from "../../shared/base/errors.ts";
import { type MemoryMode, memoryModes } from "./kept-values.ts";
import { compilePlan, type Plan, type PlanOptions } from "./plan.ts";
import type { PlanMemory } from "./plan-memory.ts";

/** What a device allows, in bytes. */
export interface PlanLimits {
  /** The smaller of maxStorageBufferBindingSize and maxBufferSize. */
  readonly maxBinding: number;
  readonly maxBuffer: number;
  /** For all of a plan's slots; a plan that failed to be allocated is followed by one with less than it had. */
  readonly memory?: number;
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

/** What of a plan the limits do not allow, as a sentence; undefined where it fits. */
function excess(plan: PlanMemory, limits: PlanLimits): string | undefined {
  const { maxBinding, maxBuffer, memory = Number.POSITIVE_INFINITY } = limits;
  if (plan.largestBinding > maxBinding) {
    return `binds ${plan.largestBinding} bytes (${megabytes(plan.largestBinding)}) at once; this adapter allows ${maxBinding}`;
  }
  if (plan.largestBuffer > maxBuffer) {
    return `needs a buffer of ${plan.largestBuffer} bytes (${megabytes(plan.largestBuffer)}); this adapter allows ${maxBuffer}`;
  }
  if (plan.bytes > memory) {
    return `needs ${plan.bytes} bytes (${megabytes(plan.bytes)}) for activations and gradients; there are ${memory}`;
  }
  return undefined;
}

export interface FittedPlan extends Plan {
  readonly mode: MemoryMode;
}

/** @throws PLAN_TOO_LARGE with what the smallest plan needs and what there is */
export function fitPlan(options: Omit<PlanOptions, "memory">, limits: PlanLimits): FittedPlan {
  let smallest: PlanMemory | undefined;
  for (const mode of memoryModes) {
    const plan = compilePlan({ ...options, memory: mode });
    if (excess(plan.memory, limits) === undefined) return { ...plan, mode };
    if (!smallest || plan.memory.bytes < smallest.bytes) smallest = plan.memory;
  }
  throw new BitswarmError(
    "PLAN_TOO_LARGE",
    `the smallest plan of a ${options.phase.name} microbatch of ${options.n} ${smallest && excess(smallest, limits)}. Use a smaller microbatch, smaller images or narrower layers`,
  );
}
