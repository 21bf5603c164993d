// `bench peers`: one binary layer and two networks against other libraries, on one page, in turns A B C A B C.

import type { BenchDevice } from "./bench-device.ts";
import { convolutionCases, peerShape } from "./convolution-cases.ts";
import { timePass } from "./kernels.ts";
import type { Emit } from "./line.ts";
import { compareLayer } from "./peers/compare-layer.ts";
import { compareNetwork } from "./peers/compare-network.ts";
import { openJax } from "./peers/jax.ts";
import { openTfjs } from "./peers/tfjs.ts";
import type { RaceOptions } from "./race.ts";
import { type BenchmarkRequest, selects } from "./request.ts";
import { measureRoofs } from "./roofs.ts";
import { peerSteps } from "./step-cases.ts";
import type { Stopwatch } from "./stopwatch.ts";

/** A case whose slowest contestant takes longer is measured twice, whatever was asked for. */
const PATIENCE_MS = 20_000;

export async function benchPeers(
  bench: BenchDevice,
  watch: Stopwatch,
  request: BenchmarkRequest,
  emit: Emit,
): Promise<void> {
  const peers = [await openTfjs(), await openJax()];
  const options: RaceOptions = { rounds: request.rounds, patienceMs: PATIENCE_MS };
  const waits = peers.map(({ name, waits: how }) => `${name} by ${how}`).join("; ");
  const text =
    "one run of each in turn after one that warms up, each to the end of its GPU work: ours by onSubmittedWorkDone(); " +
    `${waits}; ratios are the median of the pairs of a round`;
  await emit({ record: "policy", text });
  const gemm = convolutionCases.find(({ name }) => name === "gemm 512x512x512 float forward");
  if (gemm && selects(request, gemm.name)) {
    await timePass(bench, watch, gemm, await measureRoofs(bench, watch, emit), emit);
  }
  if (selects(request, "layer")) await compareLayer(bench, watch, peerShape, peers, options, emit);
  for (const { plain, gan } of peerSteps()) {
    if (selects(request, plain.name)) await compareNetwork(bench, watch, plain, gan, peers, options, emit);
  }
}
