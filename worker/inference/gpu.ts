// The GPU that computes a network, where there is one to be had.

import { BitswarmError } from "../../shared/base/errors.ts";
import { findGpu, type OpenDevice, requestDevice } from "../device.ts";
import type { LoadOptions } from "./api.ts";

const backends: readonly unknown[] = ["wasm", "webgpu", undefined] satisfies readonly LoadOptions["backend"][];

/** Node has a navigator and no GPU; Deno can have one. */
function openGpu(): Promise<OpenDevice> {
  const { Deno, process } = globalThis as { readonly Deno?: unknown; readonly process?: unknown };
  const inNode = Deno === undefined && process !== undefined && !("isSecureContext" in globalThis);
  if (inNode && !globalThis.navigator?.gpu) {
    throw new BitswarmError(
      "WEBGPU_MISSING",
      'Node has no WebGPU: leave backend out, or say "wasm", for its processor; a browser or Deno can have one.',
    );
  }
  return requestDevice(findGpu(globalThis), Deno === undefined ? "browser" : "deno");
}

/** A GPU's device; software that stands in for one only where it is asked for, since the CPU's kernels are faster. */
async function deviceFor(wanted: LoadOptions["backend"]): Promise<GPUDevice | undefined> {
  try {
    const { device, adapter } = await openGpu();
    if (wanted === "webgpu" || !adapter.software) return device;
    device.destroy();
  } catch (error) {
    if (wanted === "webgpu") throw error;
  }
  return undefined;
}

/** @throws CONFIG_INVALID for what is no backend */
export function requireBackend({ backend }: LoadOptions): void {
  if (backends.includes(backend)) return;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `backend must be "wasm", "webgpu" or left out; got ${JSON.stringify(backend)}`,
  );
}

/**
 * What computes, on a GPU or else on the CPU.
 * @param onGpu makes it on a device that is then its own
 * @throws WEBGPU_MISSING where a GPU is asked for that is not there; what the device refuses of it
 */
export async function onGpuOrCpu<T>(
  wanted: LoadOptions["backend"],
  onGpu: (device: GPUDevice) => Promise<T>,
  onCpu: () => Promise<T>,
): Promise<T> {
  const device = wanted === "wasm" ? undefined : await deviceFor(wanted);
  if (device) {
    try {
      return await onGpu(device);
    } catch (error) {
      device.destroy();
      if (wanted === "webgpu") throw error;
    }
  }
  return onCpu();
}
