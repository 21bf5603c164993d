// Finds the GPU and asks for everything the adapter can give; where there is none it says why and what a volunteer can
// do.

import type { AdapterTraits } from "../kernels/text/adapter-traits.ts";
import { BitswarmError } from "../shared/base/errors.ts";
import type { AdapterDescription } from "../shared/wire/protocol.ts";
import { MAX_TEXT } from "../shared/wire/text-limit.ts";

/** A device with the description that the coordinator and the page show. */
export interface OpenDevice {
  readonly device: GPUDevice;
  readonly adapter: AdapterDescription;
}

/** What of a global scope decides whether WebGPU can be used. */
export interface GpuScope {
  readonly navigator?: { readonly gpu?: GPU };
  /** Absent outside browsers. */
  readonly isSecureContext?: boolean;
  readonly location?: { readonly protocol: string; readonly host: string; readonly port: string };
}

/** Limits that kernels and buffers profit from; the rest stays as guaranteed, which is what every kernel runs with. */
const wantedLimits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupSizeZ",
  "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
] as const;

/** Features that some kernels use where they are there; none is ever needed. */
const wantedFeatures = ["shader-f16", "subgroups"] as const;

/** Names by which software rasterisers give themselves away; drivers without `isFallbackAdapter` still have them. */
const softwareNames = /swiftshader|llvmpipe|lavapipe|softpipe|software|basic render/i;

/**
 * The GPU interface of a scope (`globalThis` of a page, a worker or Deno).
 * @throws WEBGPU_MISSING saying why it is not there and what to do
 */
export function findGpu(scope: GpuScope): GPU {
  const gpu = scope.navigator?.gpu;
  if (gpu) return gpu;
  if (scope.isSecureContext === false) {
    const at = scope.location ? `${scope.location.protocol}//${scope.location.host}` : "this address";
    throw new BitswarmError(
      "WEBGPU_MISSING",
      `WebGPU needs a secure page. Browsers give it to https and localhost only, and ${at} is not one. Ask whoever sent the link for an https:// address or a tunnel; on the coordinator's own machine open it as http://localhost${scope.location?.port ? `:${scope.location.port}` : ""}.`,
    );
  }
  if (scope.isSecureContext === undefined) {
    throw new BitswarmError("WEBGPU_MISSING", "This Deno has no WebGPU. Use the one that npm ci brings, or Deno 2.9.");
  }
  throw new BitswarmError(
    "WEBGPU_MISSING",
    "This browser has no WebGPU. Use a current Chrome, Edge or Firefox, or Safari 26 and later; on Linux, Chrome wants chrome://flags/#enable-unsafe-webgpu.",
  );
}

/** How an adapter describes itself, cut to what the protocol carries. */
export function describeAdapter(adapter: GPUAdapter): AdapterDescription {
  // Until 2025 the flag stood on the adapter; browsers of both kinds are about.
  const { info } = adapter;
  const flagged = info.isFallbackAdapter ?? (adapter as { readonly isFallbackAdapter?: boolean }).isFallbackAdapter;
  const cut = (text: string | undefined) => (text ?? "").slice(0, MAX_TEXT);
  const names = [info.vendor, info.architecture, info.description].join(" ");
  return {
    vendor: cut(info.vendor),
    architecture: cut(info.architecture),
    description: cut(info.description || info.device),
    software: flagged === true || softwareNames.test(names),
  };
}

/** What to do where there is no adapter: in Deno, and in a browser. */
const noAdapter = {
  deno: "Deno finds no Vulkan, Metal or DirectX 12 driver that it can use. On Linux install the GPU's Vulkan driver, or mesa-vulkan-drivers, which also computes without a GPU; VK_ICD_FILENAMES names one that is somewhere else.",
  browser:
    "The GPU's driver is missing, too old, or on the browser's block list (chrome://gpu tells). Update the driver and turn hardware acceleration on; on Linux, Chrome may want chrome://flags/#enable-unsafe-webgpu.",
} as const;

/**
 * The fastest adapter.
 * @throws WEBGPU_MISSING where there is none
 */
export async function findAdapter(gpu: GPU, runtime: keyof typeof noAdapter = "browser"): Promise<GPUAdapter> {
  let cause: unknown;
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" }).catch((error: unknown) => {
    cause = error;
    return null;
  });
  if (adapter) return adapter;
  throw new BitswarmError("WEBGPU_MISSING", `WebGPU is there, but no adapter. ${noAdapter[runtime]}`, { cause });
}

/** What of an open device decides which kernels it can run. */
export function adapterTraits({ device, adapter }: OpenDevice): AdapterTraits {
  const { features, limits } = device;
  return {
    software: adapter.software,
    workgroupMemory: limits.maxComputeWorkgroupStorageSize,
    invocations: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
    f16: features.has("shader-f16"),
    subgroups: features.has("subgroups"),
  };
}

/**
 * The fastest adapter's device, with the adapter's own limits and the optional features that kernels use.
 * @throws WEBGPU_MISSING where no adapter is given or it refuses a device
 */
export async function requestDevice(gpu: GPU, runtime?: keyof typeof noAdapter): Promise<OpenDevice> {
  const adapter = await findAdapter(gpu, runtime);
  const requiredLimits: Record<string, number> = {};
  for (const name of wantedLimits) {
    const limit = adapter.limits[name];
    if (limit !== undefined) requiredLimits[name] = limit;
  }
  const requiredFeatures = wantedFeatures.filter((name) => adapter.features.has(name));
  const description = describeAdapter(adapter);
  try {
    return { device: await adapter.requestDevice({ requiredFeatures, requiredLimits }), adapter: description };
  } catch (cause) {
    throw new BitswarmError(
      "WEBGPU_MISSING",
      `The adapter "${description.description}" refuses a device. It says: ${(cause as Error).message}. Close other GPU programs or restart the browser, then try again.`,
      { cause },
    );
  }
}
