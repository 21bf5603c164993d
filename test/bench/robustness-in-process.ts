// Bounds checks on and off as two devices of one process, in turns of one measurement: on a busy machine whole browsers
// are too far apart.

import { create, globals } from "webgpu";
import { convolutionPass, tilings } from "../../kernels/convolution/convolution-pass.ts";
import { vulkanDriver } from "../fixtures/device.ts";
import { type BenchDevice, openBenchDevice } from "./bench-device.ts";
import { convolutionCases } from "./convolution-cases.ts";
import type { Emit } from "./line.ts";
import { sleepWithoutPolling } from "./node.ts";
import { PassBuffers } from "./pass-buffers.ts";
import { prepareStep } from "./prepared-step.ts";
import { submit } from "./replay.ts";
import { type BenchmarkRequest, selects } from "./request.ts";
import { median, pairedRatio, rounded } from "./statistics.ts";
import { stepCases } from "./step-cases.ts";
import { type Stopwatch, type Timed, timeInTurns } from "./stopwatch.ts";

/** What is run on each of the two devices. */
interface Prepared extends Timed {
  readonly destroy: () => void;
}

type Prepare = (bench: BenchDevice, watch: Stopwatch) => Promise<Prepared>;

interface Case {
  readonly name: string;
  readonly prepare: Prepare;
}

function cases(): readonly Case[] {
  const passes = convolutionCases.map(({ name, pass }): Case => {
    const prepare: Prepare = async (bench) => {
      const buffers = new PassBuffers(bench, pass);
      const bound = await buffers.bind(convolutionPass(pass, tilings(pass, bench.traits)[0]));
      return { submit: (times) => submit(bench.device, bound, times), destroy: () => buffers.destroy() };
    };
    return { name, prepare };
  });
  const steps = stepCases({ imagenet: false }).map(
    (step): Case => ({ name: step.name, prepare: (bench, watch) => prepareStep(bench, watch, step) }),
  );
  return [...passes, ...steps];
}

const kept = globalThis as typeof globalThis & { benchGpus?: readonly GPU[] };

export async function benchRobustnessInNode(request: BenchmarkRequest, emit: Emit): Promise<void> {
  Object.assign(globalThis, globals);
  Object.assign(process.env, vulkanDriver());
  // Dawn's instances are collected, and crash, unless something holds them.
  kept.benchGpus ??= [create([]), create(["enable-dawn-features=disable_robustness"])];
  const benches = [];
  for (const gpu of kept.benchGpus) benches.push(await openBenchDevice(gpu, `Node ${process.version}, Dawn`, false));
  const { rounds, atLeastMs } = request;
  const watch: Stopwatch = { device: benches[0].device, rounds, atLeastMs, rest: sleepWithoutPolling };
  await emit(benches[0].line);
  const text = `two devices of one process, with and without disable_robustness, in turns for ${rounds} rounds; first tilings; the ratio is the median of the pairs`;
  await emit({ record: "policy", text });
  const ratios: number[] = [];
  for (const { name, prepare } of cases().filter((each) => selects(request, each.name))) {
    const pair: Prepared[] = [];
    for (const bench of benches) pair.push({ ...(await prepare(bench, watch)), device: bench.device });
    try {
      const [checked, unchecked] = await timeInTurns(watch, pair);
      ratios.push(pairedRatio(checked.rounds, unchecked.rounds));
      await emit({ record: "ratio", name, of: "with bounds checks", ratio: rounded(ratios[ratios.length - 1], 3) });
    } finally {
      for (const { destroy } of pair) destroy();
    }
  }
  if (ratios.length > 0) {
    await emit({ record: "ratio", name: "median of all", of: "with bounds checks", ratio: rounded(median(ratios), 3) });
  }
}
