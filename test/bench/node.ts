// Runs a benchmark in this process, on Dawn in Node: the quickest way while kernels are being written.

import { create, globals } from "webgpu";
import { vulkanDriver } from "../fixtures/device.ts";
import { runBenchmark } from "./benchmark.ts";
import type { Emit } from "./line.ts";
import type { BenchmarkRequest } from "./request.ts";

const idle = new Int32Array(new SharedArrayBuffer(4));
const kept = globalThis as typeof globalThis & { benchGpu?: GPU };

/**
 * Dawn in Node polls while it waits, and so takes a core from a software adapter: sleep for most of the time instead.
 */
export function sleepWithoutPolling(ms: number): void {
  if (ms >= 1) Atomics.wait(idle, 0, 0, ms);
}

export async function benchInNode(request: BenchmarkRequest, emit: Emit): Promise<void> {
  Object.assign(globalThis, globals);
  Object.assign(process.env, vulkanDriver());
  // Dawn's instance is collected, and crashes, unless something holds it.
  kept.benchGpu ??= create([]);
  await runBenchmark(
    request,
    { gpu: kept.benchGpu, runtime: `Node ${process.version}, Dawn`, rest: sleepWithoutPolling },
    emit,
  );
}
