// Tries tilings of one pass on a device: are they right beside the naive kernel, and how long do they take.

import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import { NAIVE, type Tiling } from "../../kernels/convolution/pass/tiling.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { PipelineCache } from "../pipeline-cache.ts";
import { type Contender, interleavedTiming, type TimingOptions } from "./interleaved-timing.ts";
import { PassBench } from "./pass-bench.ts";
import { multiplyAdds, smallInstance } from "./pass-operands.ts";
import { judge } from "./tiling-check.ts";
import type { Refusal } from "./tuning-table.ts";

/**
 * What a trial needs of its device, and whom it tells which tiling runs there now, in case the device is lost over it.
 */
export interface TrialGround {
  readonly cache: PipelineCache;
  /** Multiply-adds of a check, at most: the naive kernel computes them, too. */
  readonly checkLimit: number;
  readonly now: () => number;
  /** Runs what is timed while nobody else has the device. */
  readonly turn: <T>(work: () => Promise<T>) => Promise<T>;
  /** Called before tilings are compiled or run, and with none when they are done. */
  readonly onTrial: (tilings: readonly Tiling[]) => void;
}

/** A tiling that was compared with the naive kernel on a small instance of the pass. */
export interface Checked {
  readonly tiling: Tiling;
  /** Undefined for one that may be used. */
  readonly refusal: Refusal | undefined;
  /** What a multiply-add took in the check, waiting included. */
  readonly msEach: number;
}

/**
 * Checks tilings in the order of their promise: right is what is as near to the naive kernel's result as rounding
 * allows, and has the same bits as the first one that is right. Those for which the time is over are missing at the
 * end. Undefined where the device cannot run the naive kernel.
 */
export async function checkTilings(
  ground: TrialGround,
  pass: ConvolutionPass,
  tilings: readonly Tiling[],
  expired: () => boolean = () => false,
): Promise<readonly Checked[] | undefined> {
  const small = smallInstance(pass, ground.checkLimit);
  const bench = new PassBench(ground.cache, small);
  try {
    const reference = await tried(ground, bench, NAIVE);
    if (!reference) return undefined;
    if (expired()) return [];
    // All at once: a driver compiles on several threads.
    ground.onTrial(tilings.slice(1));
    await Promise.allSettled(tilings.map((tiling) => bench.mount(tiling)));
    let first: Float32Array | undefined;
    const checked: Checked[] = [];
    for (const tiling of tilings) {
      if (expired()) break;
      const trial = await tried(ground, bench, tiling);
      const refusal = refusalOf(small, trial?.result, reference.result, first);
      if (refusal === undefined) first ??= trial?.result;
      checked.push({ tiling, refusal, msEach: (trial?.ms ?? 0) / multiplyAdds(small) });
    }
    return checked;
  } finally {
    ground.onTrial([]);
    bench.destroy();
  }
}

function refusalOf(
  pass: ConvolutionPass,
  result: Float32Array | undefined,
  reference: Float32Array,
  first: Float32Array | undefined,
): Refusal | undefined {
  if (!result) return "compile";
  if (judge(pass, result, reference) === "wrong") return "wrong";
  return first && judge(pass, result, first) !== "same" ? "differ" : undefined;
}

/** Compiles, runs once and reads; undefined where the device refuses it. */
async function tried(
  ground: TrialGround,
  bench: PassBench,
  tiling: Tiling,
): Promise<{ readonly result: Float32Array; readonly ms: number } | undefined> {
  const { device } = ground.cache;
  ground.onTrial([tiling]);
  device.pushErrorScope("validation");
  let trial: { readonly result: Float32Array; readonly ms: number } | undefined;
  try {
    const mounted = await bench.mount(tiling);
    trial = await ground.turn(async () => {
      bench.fill();
      await bench.run(mounted, 1);
      const result = await bench.result();
      // The second run is timed: a software adapter translates the kernel in the first.
      const since = ground.now();
      await bench.run(mounted, 1);
      return { ms: ground.now() - since, result };
    });
  } catch {
    trial = undefined;
  }
  const error = await device.popErrorScope();
  return error ? undefined : trial;
}

/**
 * Milliseconds of each tiling on the pass itself; undefined where the device lacks the memory for it, or the time is
 * over.
 */
export async function timeTilings(
  ground: TrialGround,
  pass: ConvolutionPass,
  tilings: readonly Tiling[],
  timing: Omit<TimingOptions, "now">,
): Promise<readonly number[] | undefined> {
  const bench = await roomyBench(ground, pass);
  if (!bench) return undefined;
  try {
    ground.onTrial(tilings.slice(1));
    const mounted = await Promise.all(tilings.map((tiling) => bench.mount(tiling)));
    if (timing.expired()) return undefined;
    const contenders = mounted.map((one): Contender => {
      return (times) => {
        ground.onTrial([one.tiling]);
        return ground.turn(() => bench.run(one, times));
      };
    });
    return await interleavedTiming(contenders, { ...timing, now: ground.now });
  } finally {
    ground.onTrial([]);
    bench.destroy();
  }
}

async function roomyBench({ cache }: TrialGround, pass: ConvolutionPass): Promise<PassBench | undefined> {
  cache.device.pushErrorScope("out-of-memory");
  let bench: PassBench | undefined;
  try {
    bench = new PassBench(cache, pass);
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
  }
  if ((await cache.device.popErrorScope()) === null) return bench;
  bench?.destroy();
  return undefined;
}

/** What submitting nothing and waiting for it takes: the least of a few. */
export function waitOverheadMs({ cache: { device }, now, turn }: TrialGround): Promise<number> {
  return turn(async () => {
    const waits: number[] = [];
    for (let i = 0; i < 3; i++) {
      const since = now();
      device.queue.submit([device.createCommandEncoder().finish()]);
      await device.queue.onSubmittedWorkDone();
      waits.push(now() - since);
    }
    return Math.min(...waits);
  });
}
