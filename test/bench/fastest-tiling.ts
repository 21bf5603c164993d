// The tiling of a convolution pass that was fastest here: what a worker's tuner would choose.

import { convolutionPass, tilings } from "../../kernels/convolution/convolution-pass.ts";
import { type ConvolutionPass, passKey } from "../../kernels/convolution/pass/pass.ts";
import type { Tiling } from "../../kernels/convolution/pass/tiling.ts";
import type { ChooseTiling } from "../../worker/plan/launch-list.ts";
import type { BenchDevice } from "./bench-device.ts";
import { PassBuffers } from "./pass-buffers.ts";
import { submit } from "./replay.ts";
import { type Stopwatch, timeInTurns } from "./stopwatch.ts";

/** Of each tiling, where many passes are to be tuned. */
const QUICK = { rounds: 2, atLeastMs: 20 };
type Effort = Pick<Stopwatch, "rounds" | "atLeastMs">;

async function fastest(bench: BenchDevice, watch: Stopwatch, pass: ConvolutionPass, effort: Effort): Promise<Tiling> {
  const candidates = tilings(pass, bench.traits);
  if (candidates.length === 1) return candidates[0];
  const buffers = new PassBuffers(bench, pass);
  try {
    const bound = await Promise.all(candidates.map((tiling) => buffers.bind(convolutionPass(pass, tiling))));
    const work = bound.map((launches) => ({ submit: (times: number) => submit(bench.device, launches, times) }));
    const timings = await timeInTurns({ ...watch, ...effort }, work);
    const order = candidates.map((_, i) => i).sort((a, b) => timings[a].best - timings[b].best);
    return candidates[order[0]];
  } finally {
    buffers.destroy();
  }
}

/** Measures each pass once in this process; without tuning, takes the first candidate. */
export async function fastestTilings(
  bench: BenchDevice,
  watch: Stopwatch,
  passes: Iterable<ConvolutionPass>,
  effort: Effort = QUICK,
): Promise<ChooseTiling> {
  if (!bench.tune) return (pass) => tilings(pass, bench.traits)[0];
  for (const pass of passes) {
    const key = passKey(pass);
    if (!bench.tilings.has(key)) bench.tilings.set(key, await fastest(bench, watch, pass, effort));
  }
  return (pass) => bench.tilings.get(passKey(pass));
}
