// Runs one benchmark in whatever runtime this is: opens the device, states the policy, emits lines.

import { type BenchDevice, openBenchDevice } from "./bench-device.ts";
import { benchCompile } from "./compile.ts";
import { benchKernels } from "./kernels.ts";
import type { Emit } from "./line.ts";
import { benchPasses } from "./passes.ts";
import type { BenchmarkRequest } from "./request.ts";
import { benchStep } from "./step.ts";
import { policyText, type Stopwatch } from "./stopwatch.ts";
import { benchTrack } from "./track.ts";

/** What a runtime brings. */
export interface Surroundings {
  readonly gpu: GPU;
  readonly runtime: string;
  readonly rest: Stopwatch["rest"];
  /** Comparisons with other libraries, where they can run. */
  readonly peers?: (bench: BenchDevice, watch: Stopwatch, request: BenchmarkRequest, emit: Emit) => Promise<void>;
}

export async function runBenchmark(request: BenchmarkRequest, around: Surroundings, emit: Emit): Promise<void> {
  const bench = await openBenchDevice(around.gpu, around.runtime, request.tune);
  try {
    await measure(request, around, bench, emit);
  } finally {
    bench.device.destroy();
  }
}

async function measure(request: BenchmarkRequest, around: Surroundings, bench: BenchDevice, emit: Emit): Promise<void> {
  const { rounds, atLeastMs } = request;
  const watch: Stopwatch = { device: bench.device, rounds, atLeastMs, rest: around.rest };
  await emit(bench.line);
  await emit({ record: "policy", text: policyText(watch) });
  switch (request.benchmark) {
    case "kernels":
      return benchKernels(bench, watch, request, emit);
    case "step":
      return benchStep(bench, watch, request, emit);
    case "compile":
      return benchCompile(bench, request, emit);
    case "passes":
      return benchPasses(bench, watch, request, emit);
    case "track":
      return benchTrack(bench, watch, request, emit);
    case "peers":
      if (!around.peers) throw new Error(`the peers run in a browser, not in ${around.runtime}`);
      return around.peers(bench, watch, request, emit);
    default:
      return request.benchmark satisfies never;
  }
}
