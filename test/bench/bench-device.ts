// The device that is measured: every limit of the adapter and every optional feature that kernels or the stopwatch can
// use.

import type { Tiling } from "../../kernels/convolution/pass/tiling.ts";
import type { AdapterTraits } from "../../kernels/text/adapter-traits.ts";
import { adapterTraits, describeAdapter, findAdapter } from "../../worker/device.ts";
import { PipelineCache } from "../../worker/pipeline-cache.ts";
import type { AdapterLine } from "./line.ts";

export interface BenchDevice {
  readonly device: GPUDevice;
  readonly cache: PipelineCache;
  readonly traits: AdapterTraits;
  readonly line: AdapterLine;
  /** Texts that were compiled in this process. */
  readonly compiled: Set<string>;
  /** Whether steps are run with the fastest tilings, or with the first candidates. */
  readonly tune: boolean;
  /** The fastest tiling of each pass that was measured, by passKey. */
  readonly tilings: Map<string, Tiling>;
}

const wantedFeatures = ["shader-f16", "subgroups", "timestamp-query"] as const;

/** The adapter's limits by name; they are getters of a prototype, which only `for … in` visits. */
function limitsOf(limits: GPUSupportedLimits): Record<string, number> {
  const found: Record<string, number> = {};
  for (const name in limits) {
    const value: unknown = limits[name as keyof GPUSupportedLimits];
    if (typeof value === "number") found[name] = value;
  }
  return found;
}

/** Limits that this device is asked for: those that `worker/device.ts` wants too, where they matter to kernels. */
function requiredLimits(adapter: GPUAdapter): Record<string, number> {
  const names = Object.keys(limitsOf(adapter.limits)).filter((name) => /^max(Buffer|Storage|Compute)/.test(name));
  return Object.fromEntries(names.map((name) => [name, adapter.limits[name as keyof GPUSupportedLimits] as number]));
}

export async function openBenchDevice(gpu: GPU, runtime: string, tune: boolean): Promise<BenchDevice> {
  const adapter = await findAdapter(gpu);
  const requiredFeatures = wantedFeatures.filter((name) => adapter.features.has(name));
  const device = await adapter.requestDevice({ requiredFeatures, requiredLimits: requiredLimits(adapter) });
  const description = describeAdapter(adapter);
  return {
    device,
    cache: new PipelineCache(device),
    traits: adapterTraits({ device, adapter: description }),
    compiled: new Set(),
    tune,
    tilings: new Map(),
    line: {
      record: "adapter",
      ...description,
      runtime,
      features: [...adapter.features].sort(),
      limits: limitsOf(adapter.limits),
    },
  };
}
