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

type UnfittedOptions = Omit<PlanOptions, "memory">;

/** The first plan that fits, or the smallest one. */
function tryModes(options: UnfittedOptions, limits: PlanLimits): FittedPlan | PlanMemory {
  let smallest: PlanMemory | undefined;
  for (const mode of memoryModes) {
    const plan = compilePlan({ ...options, memory: mode });
    if (excess(plan.memory, limits) === undefined) return { ...plan, mode };
    if (!smallest || plan.memory.bytes < smallest.bytes) smallest = plan.memory;
  }
  if (!smallest) throw new RangeError("there is no way to keep a plan's values");
  return smallest;
}

/** The largest microbatch that fits, of a half, a quarter and so on; undefined where not even one sample does. */
function fittingMicrobatch(options: UnfittedOptions, limits: PlanLimits): number | undefined {
  let n = options.n;
  while (n > 1) {
    n = Math.floor(n / 2);
    if ("list" in tryModes({ ...options, n }, limits)) return n;
  }
  return undefined;
}

/** @throws PLAN_TOO_LARGE with what the smallest plan needs, what there is, and the microbatch that would fit */
export function fitPlan(options: UnfittedOptions, limits: PlanLimits): FittedPlan {
  const tried = tryModes(options, limits);
  if ("list" in tried) return tried;
  const fits = fittingMicrobatch(options, limits);
  const help =
    fits === undefined
      ? "Not even a microbatch of 1 fits: use smaller images or narrower layers"
      : `Use a smaller microbatch: ${fits} fits (\`--set microbatch=${fits}\` at the start of the run)`;
  throw new BitswarmError(
    "PLAN_TOO_LARGE",
    `the smallest plan of a ${options.phase.name} microbatch of ${options.n} ${excess(tried, limits)}. ${help}`,
  );
}
