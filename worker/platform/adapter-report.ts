// What a runtime's WebGPU is like, for `bitswarm doctor`: the adapter, its limits, and whether a kernel of ours
// computes right there.

import { BitswarmError, type ErrorCode } from "../../shared/base/errors.ts";
import { type CanaryLayer, canaryAnswer } from "../../shared/model/canary.ts";
import { findGpu, type GpuScope, requestDevice } from "../device.ts";
import { answerCanary } from "../trainer/canary.ts";

export type AdapterReport =
  | {
      readonly kind: "adapter";
      readonly description: string;
      readonly software: boolean;
      /** The device gave the sums that it must. */
      readonly right: boolean;
      readonly limits: Readonly<Record<string, number>>;
      readonly features: readonly string[];
    }
  | { readonly kind: "failed"; readonly code: ErrorCode; readonly message: string };

/** What the verdict depends on. */
const told = [
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupStorageSize",
] as const;

/** A 1-bit convolution whose words are not full at the end of a row, as the first layers' are. */
const layer: CanaryLayer = {
  shape: { n: 1, h: 6, w: 6, in: 40, out: 16, kernel: 3, stride: 1, padding: 1 },
  rectify: "kernel",
};
const SEED = 1;

/** @param scope `globalThis` of a page or of Deno */
export async function adapterReport(scope: GpuScope, runtime: "browser" | "deno"): Promise<AdapterReport> {
  try {
    const open = await requestDevice(findGpu(scope), runtime);
    const { device, adapter } = open;
    const { limits, features } = device;
    const right = (await answerCanary(open, [layer], SEED)) === canaryAnswer([layer], SEED);
    return {
      kind: "adapter",
      description: adapter.description || [adapter.vendor, adapter.architecture].filter(Boolean).join(" ") || "a GPU",
      software: adapter.software,
      right,
      limits: Object.fromEntries(told.map((name) => [name, limits[name]])),
      features: ["shader-f16", "subgroups"].filter((name) => features.has(name)),
    };
  } catch (error) {
    const code = error instanceof BitswarmError ? error.code : "COMPUTE_FAILED";
    return { kind: "failed", code, message: error instanceof Error ? error.message : String(error) };
  }
}
