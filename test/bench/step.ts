// `bench step`: whole microbatches as a trainer replays them, and where their time goes.

import { forwardWork, passesOf } from "../../shared/run/compute.ts";
import { networkNamed } from "../../shared/run/networks.ts";
import type { BenchDevice } from "./bench-device.ts";
import type { Emit, LaunchLine, StepLine } from "./line.ts";
import { type LaunchClass, launchClasses, type PreparedStep, prepareStep } from "./prepared-step.ts";
import { type Bound, boundBytes, submit } from "./replay.ts";
import { type BenchmarkRequest, selects } from "./request.ts";
import { best, pairedRatio, rounded } from "./statistics.ts";
import { methodSteps, stepCases } from "./step-cases.ts";
import { type Stopwatch, timeInTurns } from "./stopwatch.ts";
import { timestamps } from "./timestamps.ts";

/** Microbatches decoded before host time is measured. */
const WARM_DECODES = 200;

type Shares = Readonly<Record<LaunchClass, number>>;

/** Percent of the sum. */
function shares(ms: ReadonlyMap<LaunchClass, number>): Shares {
  const sum = [...ms.values()].reduce((a, b) => a + b, 0);
  const percent = launchClasses.map((name) => [name, rounded((100 * (ms.get(name) ?? 0)) / sum, 3)]);
  return Object.fromEntries(percent) as Shares;
}

/** Launches in order, cut where the class changes: what one timestamp pair can tell apart. */
function stretches({ launches, classOf }: PreparedStep): readonly (readonly Bound[])[] {
  const cut: Bound[][] = [];
  launches.forEach((bound, i) => {
    if (i === 0 || classOf(bound) !== classOf(launches[i - 1])) cut.push([]);
    cut[cut.length - 1].push(bound);
  });
  return cut;
}

async function timestampShares(device: GPUDevice, step: PreparedStep): Promise<Shares | undefined> {
  const cut = stretches(step);
  const ms = await timestamps(device, cut);
  if (!ms) return undefined;
  const sums = new Map<LaunchClass, number>();
  cut.forEach((stretch, i) => {
    const name = step.classOf(stretch[0]);
    sums.set(name, (sums.get(name) ?? 0) + ms[i]);
  });
  return shares(sums);
}

/**
 * Host milliseconds of a microbatch, the best as for the whole: decode, write, encode and submit, with nothing to wait
 * for.
 */
async function hostMs(watch: Stopwatch, step: PreparedStep): Promise<number> {
  // A trainer has long compiled what it does a thousand times.
  for (let i = 0; i < WARM_DECODES; i++) step.decode();
  const found: number[] = [];
  for (let i = 0; i < 4 * watch.rounds; i++) {
    const start = performance.now();
    step.write(step.decode());
    step.submit(1);
    found.push(performance.now() - start);
    await watch.device.queue.onSubmittedWorkDone();
  }
  return best(found);
}

/** Each launch alone, in the step's order. */
async function timeLaunches(device: GPUDevice, watch: Stopwatch, step: PreparedStep): Promise<readonly LaunchLine[]> {
  const alone = step.launches.map((bound) => ({ submit: (times: number) => submit(device, [bound], times) }));
  const timings = await timeInTurns(watch, alone);
  return step.launches.map((bound, i) => ({
    record: "launch",
    name: bound.launch.kernel.label,
    class: step.classOf(bound),
    ms: rounded(timings[i].best, 3),
    bytes: boundBytes(bound),
  }));
}

async function timeStep(bench: BenchDevice, watch: Stopwatch, step: PreparedStep, name: string): Promise<StepLine> {
  const { device } = bench;
  const present = launchClasses.filter((name) => step.launches.some((bound) => step.classOf(bound) === name));
  const alone = present.map((name) => {
    const some = step.launches.filter((bound) => step.classOf(bound) === name);
    return { submit: (times: number) => submit(device, some, times) };
  });
  const [whole, ...classes] = await timeInTurns(watch, [step, ...alone]);
  const replayed = new Map(present.map((name, i) => [name, best(classes[i].rounds)]));
  const byTimestamps = await timestampShares(device, step);
  const host = await hostMs(watch, step);
  return {
    record: "step",
    name,
    ms: rounded(whole.best),
    medianMs: rounded(whole.median),
    launches: step.launches.length,
    replayedMs: rounded([...replayed.values()].reduce((a, b) => a + b, 0)),
    share: shares(replayed),
    ...(byTimestamps && { timestampShare: byTimestamps }),
    hostMs: rounded(host, 3),
    hostPercent: rounded((100 * host) / whole.best, 3),
    planBytes: step.recording.bytes,
    keptInF32: step.plan.memory.keptInF32,
    pipelines: step.pipelines,
    compileMs: rounded(step.compileMs),
  };
}

/** A method's steps against the network in full precision and RBCN, all three in turns. */
async function benchMethod(
  bench: BenchDevice,
  watch: Stopwatch,
  method: string,
  request: BenchmarkRequest,
  emit: Emit,
): Promise<void> {
  for (const { name, own, full, rbcn } of methodSteps(method)) {
    if (!selects(request, name)) continue;
    const steps: PreparedStep[] = [];
    try {
      for (const test of [own, full, rbcn]) steps.push(await prepareStep(bench, watch, test));
      const [mine, float, other] = await timeInTurns(watch, steps);
      const { graph } = networkNamed(own.networks, own.phase.network);
      const layers = graph.nodes.filter(({ op }) => op === "conv" || op === "rbconv" || op === "qconv");
      await emit({
        record: "method",
        name,
        method,
        ms: rounded(mine.best),
        medianMs: rounded(mine.median),
        ofFull: rounded(pairedRatio(mine.rounds, float.rounds)),
        ofRbcn: rounded(pairedRatio(mine.rounds, other.rounds)),
        passes: Object.fromEntries(layers.map((node) => ["name" in node ? node.name : node.op, passesOf(node, graph)])),
        forward: forwardWork(graph),
      });
    } finally {
      for (const step of steps) step.destroy();
    }
  }
}

export async function benchStep(
  bench: BenchDevice,
  watch: Stopwatch,
  request: BenchmarkRequest,
  emit: Emit,
): Promise<void> {
  if (request.method !== undefined) return benchMethod(bench, watch, request.method, request, emit);
  for (const test of stepCases(request)) {
    if (!selects(request, test.name)) continue;
    const step = await prepareStep(bench, watch, test);
    try {
      await emit(await timeStep(bench, watch, step, test.name));
      if (!request.launches) continue;
      for (const line of await timeLaunches(bench.device, watch, step)) await emit(line);
    } finally {
      step.destroy();
    }
  }
}
