// `bench track`: how fast a tracker of SiamFC's widths follows, in floats and of few bits, on this runtime's CPU and
// GPU, and where the time of a frame goes; then the pairs that such networks train on in a second.

import type { ExportedModel } from "../../shared/export/exported-model.ts";
import { atSide, readExported } from "../../shared/export/read-exported.ts";
import type { Backbone } from "../../shared/tracking/backbone.ts";
import { cropBytes, cropWindow, meanColour } from "../../shared/tracking/crop.ts";
import { firstTarget, searchSides, trackOptions, trackStep } from "../../shared/tracking/track-step.ts";
import { Tracker } from "../../shared/tracking/tracker.ts";
import { lowered } from "../../worker/inference/program/lower.ts";
import { WasmBackbone } from "../../worker/inference/wasm/wasm-backbone.ts";
import { wasmBackend } from "../../worker/inference/wasm/wasm-backend.ts";
import { record } from "../../worker/inference/webgpu/record.ts";
import { WebgpuBackbone } from "../../worker/inference/webgpu/webgpu-backbone.ts";
import { drawFilm } from "../fixtures/drawn-sequence.ts";
import { drawnTracker } from "../fixtures/drawn-tracker.ts";
import type { BenchDevice } from "./bench-device.ts";
import type { Emit, TrackLine } from "./line.ts";
import { type PreparedStep, prepareStep } from "./prepared-step.ts";
import { segmentsOf } from "./program-segments.ts";
import { type BenchmarkRequest, selects } from "./request.ts";
import { median, rounded } from "./statistics.ts";
import { trackerSteps } from "./step-cases.ts";
import { type Stopwatch, timeInTurns } from "./stopwatch.ts";

type Widths = readonly [number, number, number, number, number];

/** SiamFC's own. */
const WIDTHS: Widths = [96, 256, 384, 384, 256];
const SIZE = { width: 320, height: 240 };

const { exemplar, instance, scales } = trackOptions;

const parts = ["frame", "crops", "network", "xcorr", "step"] as const;
type Part = (typeof parts)[number];

const film = (frames: number) => drawFilm({ ...SIZE, frames, happening: "plain", lobes: 5 }, 1, "bench");

/** By the clock, and what all threads of the process computed, where the runtime tells. */
interface Took {
  readonly ms: number;
  readonly coreMs: number | undefined;
}

function computedMs(): number | undefined {
  const { process } = globalThis as { readonly process?: Pick<NodeJS.Process, "cpuUsage"> };
  const used = process?.cpuUsage?.();
  return used && (used.user + used.system) / 1000;
}

async function timed<T>(work: () => T | Promise<T>): Promise<readonly [took: Took, result: T]> {
  const [start, computed] = [performance.now(), computedMs()];
  const result = await work();
  const [end, after] = [performance.now(), computedMs()];
  return [{ ms: end - start, coreMs: after === undefined ? undefined : after - (computed ?? 0) }, result];
}

/** Milliseconds of a core where they are known and a core is what computes: it may wait for others' work. */
const weighed = ({ ms, coreMs }: Took, onCore: boolean) => (onCore ? (coreMs ?? ms) : ms);

/** What computes, where that is not the CPU's kernels. */
interface Gpu {
  readonly bench: BenchDevice;
  readonly watch: Stopwatch;
}

function backboneOf(model: ExportedModel, gpu: Gpu | undefined): Backbone {
  const { tracking } = model;
  if (!tracking) throw new RangeError("the file is not of a tracker");
  return gpu ? new WebgpuBackbone(model, tracking, gpu.bench.device, false) : new WasmBackbone(model, tracking);
}

/** Milliseconds of each layer of a frame, each run by itself: with its pool, norm and activation, on all crops. */
async function layerMs(
  model: ExportedModel,
  rounds: number,
  gpu: Gpu | undefined,
): Promise<ReadonlyMap<string, number>> {
  const n = gpu ? scales : 1;
  const segments = segmentsOf(lowered(atSide(model, instance), n));
  const sums = new Map<string, number>();
  const add = (name: string, ms: number) => sums.set(name, (sums.get(name) ?? 0) + ms);
  if (!gpu) {
    for (const { name, program } of segments) {
      const { h, w, c } = program.values[program.input] as {
        readonly h: number;
        readonly w: number;
        readonly c: number;
      };
      const computed = await wasmBackend(program);
      const values = Float32Array.from({ length: h * w * c }, (_, i) => ((i * 7919) % 2001) / 1000 - 1);
      const found: number[] = [];
      for (let round = 0; round <= rounds; round++) {
        found.push(weighed((await timed(() => computed.run(values)))[0], true));
      }
      computed.dispose();
      add(name, scales * median(found.slice(1)));
    }
    return sums;
  }
  const { device, cache } = gpu.bench;
  for (const { name, program } of segments) {
    const recording = await record(program, cache, new Map());
    const submit = (times: number) => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let i = 0; i < times; i++) recording.encode(pass);
      pass.end();
      device.queue.submit([encoder.finish()]);
    };
    const [timing] = await timeInTurns(gpu.watch, [{ submit }]);
    recording.destroy();
    add(name, timing.median);
  }
  return sums;
}

function percentages(ms: ReadonlyMap<string, number>, whole: number): Readonly<Record<string, number>> {
  return Object.fromEntries([...ms].map(([name, part]) => [name, rounded((100 * part) / whole, 3)]));
}

interface Followed {
  readonly name: string;
  readonly file: Uint8Array<ArrayBuffer>;
  /** Frames that are measured. */
  readonly rounds: number;
  readonly gpu?: Gpu;
}

/** Frames are followed one by one; in between, each part of one by the functions that the tracker calls. */
export async function followFilm({ name, file, rounds, gpu }: Followed): Promise<TrackLine> {
  const model = readExported(file);
  const backbone = backboneOf(model, gpu);
  const { frames, target } = film(rounds + 2);
  const image = (rgb: Uint8Array) => ({ ...SIZE, rgb });
  const [first] = frames;
  const start = { frame: image(first), box: target[0].box, base: 0 } as const;
  const tracker = await Tracker.start(backbone, start);
  const where = firstTarget(start.box, 0, trackOptions);
  const fill = meanColour(start.frame);
  const crops = new Uint8Array(scales * instance ** 2 * 3);
  const cut = () => {
    for (const [k, side] of searchSides(where, trackOptions).entries()) {
      const into = crops.subarray(k * instance ** 2 * 3, (k + 1) * instance ** 2 * 3);
      cropBytes(start.frame, cropWindow(where, side), fill, instance, into);
    }
  };
  cut();
  const z = await backbone.embed(
    cropBytes(start.frame, cropWindow(where, where.exemplarSide), fill, exemplar),
    1,
    exemplar,
  );
  const found: Record<Part, Took[]> = { frame: [], crops: [], network: [], xcorr: [], step: [] };
  for (const [i, rgb] of frames.slice(1).entries()) {
    const [frame] = await timed(() => tracker.next(image(rgb)));
    const [cropped] = await timed(cut);
    const [network, x] = await timed(async () => {
      const searches = await backbone.embed(crops, scales, instance);
      await backbone.respond(z, searches);
      return searches;
    });
    // What they are embedded as is there by now.
    const [xcorr, responses] = await timed(() => backbone.respond(z, x));
    const [step] = await timed(() => trackStep(where, responses.values, where, trackOptions));
    x.release();
    // The first one compiles.
    if (i === 0) continue;
    const took: Readonly<Record<Part, Took>> = { frame, crops: cropped, network, xcorr, step };
    for (const part of parts) found[part].push(took[part]);
  }
  z.release();
  tracker.dispose();
  backbone.dispose();
  // A software adapter's threads are the process's own.
  const onCore = !gpu || gpu.bench.line.software;
  const ms = (part: Part) => median(found[part].map((took) => weighed(took, onCore)));
  const layers = await layerMs(model, rounds, gpu);
  const sum = [...layers.values()].reduce((a, b) => a + b, 0);
  const shares = new Map([
    ["crops", ms("crops")],
    ["backbone", Math.max(0, ms("network") - ms("xcorr"))],
    ["xcorr", ms("xcorr")],
    ["upsampling and step", ms("step")],
  ]);
  const known = [...shares.values()].reduce((a, b) => a + b, 0);
  const whole = Math.max(ms("frame"), known);
  const clock = median(found.frame.map((took) => took.ms));
  const cores = found.frame.flatMap(({ coreMs }) => coreMs ?? []);
  return {
    record: "track",
    name,
    backend: gpu ? "webgpu" : "wasm",
    bytes: file.length,
    ms: rounded(clock),
    framesPerSecond: rounded(1000 / clock, 3),
    ...(cores.length > 0 && { coreMs: rounded(median(cores)) }),
    sharesOf: onCore && cores.length > 0 ? "core" : "clock",
    share: { ...percentages(shares, whole), rest: rounded((100 * (whole - known)) / whole, 3) },
    layers: percentages(layers, sum),
    layersMs: rounded(sum),
  };
}

/** Microbatches of one tracker's networks, in turns. */
async function trainPairs(bench: BenchDevice, watch: Stopwatch, request: BenchmarkRequest, emit: Emit): Promise<void> {
  const wanted = trackerSteps({ large: true, selects: (name) => selects(request, `train ${name}`) });
  const modelOf = ({ config }: (typeof wanted)[number]) => JSON.stringify(config.model);
  for (const model of new Set(wanted.map(modelOf))) {
    const cases = wanted.filter((one) => modelOf(one) === model);
    const steps: PreparedStep[] = [];
    try {
      for (const one of cases) steps.push(await prepareStep(bench, watch, one));
      const timings = await timeInTurns(watch, steps);
      for (const [i, { name, n }] of cases.entries()) {
        const { best, median: middle } = timings[i];
        await emit({
          record: "track-training",
          name: `train ${name}`,
          ms: rounded(best),
          medianMs: rounded(middle),
          pairsPerSecond: rounded((1000 * n) / middle, 3),
        });
      }
    } finally {
      for (const step of steps) step.destroy();
    }
  }
}

const precisions = [
  ["float", {}],
  ["1-bit", { method: { kind: "rbcn" } }],
] as const;
const backends = ["wasm", "webgpu"] as const;

const followName = (precision: string, backend: string) => `follow ${WIDTHS.join("-")} ${precision} ${backend}`;

/** Of all that there is to measure. */
export function trackNames(): readonly string[] {
  const names = backends.flatMap((backend) => precisions.map(([precision]) => followName(precision, backend)));
  trackerSteps({
    large: true,
    selects(name) {
      names.push(`train ${name}`);
      return false;
    },
  });
  return names;
}

export async function benchTrack(
  bench: BenchDevice,
  watch: Stopwatch,
  request: BenchmarkRequest,
  emit: Emit,
): Promise<void> {
  for (const backend of backends) {
    for (const [precision, options] of precisions) {
      const name = followName(precision, backend);
      if (!selects(request, name)) continue;
      const file = drawnTracker({ widths: WIDTHS, ...options });
      const gpu = backend === "webgpu" ? { gpu: { bench, watch } } : {};
      await emit(await followFilm({ name, file, rounds: watch.rounds, ...gpu }));
    }
  }
  await trainPairs(bench, watch, request, emit);
}
