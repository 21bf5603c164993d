// `bench kernels`: every tiling that a tuner may choose for the convolutions, against the roofs of the adapter; then
// the kernels beside them.

import { convolutionPass, tilings } from "../../kernels/convolution/convolution-pass.ts";
import { type Tiling, tilingName } from "../../kernels/convolution/pass/tiling.ts";
import type { BenchDevice } from "./bench-device.ts";
import { type ConvolutionCase, convolutionCases, denseOperations } from "./convolution-cases.ts";
import { timeElementwise } from "./elementwise.ts";
import type { Emit, KernelLine } from "./line.ts";
import { PassBuffers } from "./pass-buffers.ts";
import { type Bound, submit } from "./replay.ts";
import { type BenchmarkRequest, selects } from "./request.ts";
import { measureRoofs, type Roofs } from "./roofs.ts";
import { rounded } from "./statistics.ts";
import { type Stopwatch, timeInTurns } from "./stopwatch.ts";
import { timestamps } from "./timestamps.ts";

interface Candidate {
  readonly tiling: string;
  readonly bound: readonly Bound[];
}

/** The tiling's kernels ready to run, or the adapter's objection to them. */
async function prepare(
  bench: BenchDevice,
  buffers: PassBuffers,
  { pass }: ConvolutionCase,
  tiling: Tiling,
): Promise<Candidate | Error> {
  const { device } = bench;
  device.pushErrorScope("validation");
  let failure: Error | undefined;
  let bound: readonly Bound[] = [];
  try {
    bound = await buffers.bind(convolutionPass(pass, tiling));
    submit(device, bound, 1);
    await device.queue.onSubmittedWorkDone();
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
  }
  const invalid = await device.popErrorScope();
  if (invalid) return new Error(invalid.message);
  return failure ?? { tiling: tilingName(tiling), bound };
}

/** Runs every candidate of one pass, in turns. */
export async function timePass(
  bench: BenchDevice,
  watch: Stopwatch,
  test: ConvolutionCase,
  roofs: Roofs,
  emit: Emit,
): Promise<void> {
  const { device } = bench;
  const popcounts = test.pass.verb === "binaryConvForward" || test.pass.verb === "planesConvForward";
  const unit = popcounts ? "Gop/s" : "GFLOP/s";
  const operations = denseOperations(test.pass.shape);
  const line = (tiling: string, ms: number, medianMs: number): KernelLine => {
    const giga = operations / ms / 1e6;
    const share = giga / (popcounts ? roofs.popcount : roofs.multiplyAdd);
    return {
      record: "kernel",
      name: test.name,
      pass: test.pass.verb,
      tiling,
      ms: rounded(ms),
      medianMs: rounded(medianMs),
      giga: rounded(giga),
      unit,
      share: rounded(share, 3),
    };
  };
  const buffers = new PassBuffers(bench, test.pass);
  try {
    const ready: Candidate[] = [];
    for (const tiling of tilings(test.pass, bench.traits)) {
      const candidate = await prepare(bench, buffers, test, tiling);
      if (candidate instanceof Error) {
        await emit({
          ...line(tilingName(tiling), 1, 1),
          ms: 0,
          medianMs: 0,
          giga: 0,
          share: 0,
          error: candidate.message,
        });
      } else {
        ready.push(candidate);
      }
    }
    const work = ready.map(({ bound }) => ({ submit: (times: number) => submit(device, bound, times) }));
    const timings = await timeInTurns(watch, work);
    for (const [i, { tiling, bound }] of ready.entries()) {
      const gpu = await timestamps(device, [bound]);
      const gpuMs = gpu ? { gpuMs: rounded(gpu[0]) } : {};
      await emit({ ...line(tiling, timings[i].best, timings[i].median), ...gpuMs });
    }
  } finally {
    buffers.destroy();
  }
}

export async function benchKernels(
  bench: BenchDevice,
  watch: Stopwatch,
  request: BenchmarkRequest,
  emit: Emit,
): Promise<void> {
  const roofs = await measureRoofs(bench, watch, emit);
  for (const test of convolutionCases) {
    if (selects(request, test.name)) await timePass(bench, watch, test, roofs, emit);
  }
  await timeElementwise(bench, watch, request, roofs, emit);
}
