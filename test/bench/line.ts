// What a benchmark prints: one JSON object a line, told apart by `record`.

import type { MainThreadTasks } from "./main-thread.ts";

/** What of an adapter is worth knowing when a tiling is chosen for it. */
export interface AdapterLine {
  readonly record: "adapter";
  readonly vendor: string;
  readonly architecture: string;
  readonly description: string;
  readonly software: boolean;
  readonly runtime: string;
  readonly features: readonly string[];
  readonly limits: Readonly<Record<string, number>>;
}

/** How the figures below came to be. */
export interface PolicyLine {
  readonly record: "policy";
  readonly text: string;
}

/** The most that this adapter does of one thing. */
export interface RoofLine {
  readonly record: "roof";
  readonly name: RoofName;
  readonly value: number;
  readonly unit: string;
}

export type RoofName = "multiplyAdd" | "popcount" | "copy" | "dispatch" | "wait";

/** One tiling of a convolution pass. */
export interface KernelLine {
  readonly record: "kernel";
  readonly name: string;
  readonly pass: string;
  readonly tiling: string;
  /** Best and median milliseconds of a run. */
  readonly ms: number;
  readonly medianMs: number;
  /** Multiply-adds of the dense definition (padding included), counted as two operations. */
  readonly giga: number;
  readonly unit: "GFLOP/s" | "Gop/s";
  /** Of the adapter's roof for these operations. */
  readonly share: number;
  /** By timestamp queries where the adapter has them. */
  readonly gpuMs?: number;
  /** Set instead of figures where the tiling did not run. */
  readonly error?: string;
}

/** A kernel of a step that is no convolution. */
export interface ElementwiseLine {
  readonly record: "elementwise";
  readonly name: string;
  readonly ms: number;
  readonly bytes: number;
  readonly gigabytesPerSecond: number;
  readonly share: number;
}

/** A whole microbatch. */
export interface StepLine {
  readonly record: "step";
  readonly name: string;
  readonly ms: number;
  readonly medianMs: number;
  readonly launches: number;
  /** Sum of the classes, each replayed alone. */
  readonly replayedMs: number;
  /** Percent of GPU time by class of kernel, each class replayed alone. */
  readonly share: Readonly<Record<string, number>>;
  /** The same by timestamp queries. */
  readonly timestampShare?: Readonly<Record<string, number>>;
  /** Milliseconds of host work between two submits. */
  readonly hostMs: number;
  readonly hostPercent: number;
  /** Bytes of the slots that were allocated, and of a plan that keeps everything in f32. */
  readonly planBytes: number;
  readonly keptInF32: number;
  /** Pipelines that had not been compiled before, and the milliseconds that they took together. */
  readonly pipelines: number;
  readonly compileMs: number;
}

/** A method's microbatch, beside those of others of the same network that took turns with it. */
export interface MethodLine {
  readonly record: "method";
  readonly name: string;
  readonly method: string;
  readonly ms: number;
  readonly medianMs: number;
  /** Its time over that of the network in full precision, and of RBCN's: medians of pairs. */
  readonly ofFull: number;
  readonly ofRbcn: number;
  /** Of each convolution: forward passes over pairs of bit planes; 0 of one that multiplies floats. */
  readonly passes: Readonly<Record<string, number>>;
  /** Multiplications of its forward, as pairs of floats and of bits. */
  readonly forward: { readonly float: number; readonly binary: number };
}

/** A launch of a step, replayed alone. */
export interface LaunchLine {
  readonly record: "launch";
  readonly name: string;
  readonly class: string;
  readonly ms: number;
  /** Of the ranges that it binds. */
  readonly bytes: number;
}

/** The forward of one layer, its operands in so many bit planes. */
export interface PassesLine {
  readonly record: "passes";
  readonly name: string;
  /** Popcounts of a pair of words; 0 of a float layer. */
  readonly passes: number;
  readonly tiling: string;
  readonly ms: number;
  readonly medianMs: number;
  /** Its time over that of the 1-bit and of the float convolution: medians of pairs, measured one after the other. */
  readonly ofBinary: number;
  readonly ofFloat: number;
}

/** A library's time for one case. */
export interface PeerLine {
  readonly record: "peer";
  readonly name: string;
  readonly library: string;
  readonly ms: number;
  readonly medianMs: number;
  readonly runs: number;
}

/** How many times faster ours was: the median of pairs that were measured one after the other. */
export interface RatioLine {
  readonly record: "ratio";
  readonly name: string;
  readonly of: string;
  readonly ratio: number;
}

/** The largest difference between two libraries' results, relative to the largest value. */
export interface AgreementLine {
  readonly record: "agreement";
  readonly name: string;
  readonly library: string;
  readonly tensor: string;
  readonly error: number;
  readonly tolerance: number;
  readonly agrees: boolean;
}

/** Contributions that the coordinator absorbs. */
export interface AllreduceLine {
  readonly record: "allreduce";
  readonly codec: string;
  /** Of a whole frame. */
  readonly bytes: number;
  /** Bytes of the same values as float32, over these. */
  readonly ofFloat: number;
  /**
   * From a frame's bytes to the sum: copied, its CRC and every number checked, added. By the clock: best and median.
   */
  readonly ms: number;
  readonly medianMs: number;
  /** The median of what a core computed for it, and how many a second that is. */
  readonly coreMs: number;
  readonly perSecond: number;
  /** Medians of the parts: check and sum, copy and CRC, and the end of a round. */
  readonly sumMs: number;
  readonly checksumMs: number;
  readonly finishMs: number;
  /** How many times the plain sum's time that is: above 1 is faster. */
  readonly ofPlain: number;
}

/** How long the coordinator's event loop was kept from its turn while contributions came and steps were made. */
export interface EventLoopLine {
  readonly record: "event-loop";
  readonly codec: string;
  readonly parameters: number;
  readonly steps: number;
  readonly contributions: number;
  /** Of the contributions, as they came. */
  readonly bytes: number;
  readonly seconds: number;
  /** Longest turn of the run's steps, and of those after the first. */
  readonly worstMs: number;
  readonly afterFirstMs: number;
  /** Of the longest turn, what its thread itself computed; null where the system does not tell. */
  readonly ownMs: number | null;
  /** Of the worst step. */
  readonly p99Ms: number;
  /** Longest turn while nothing was to be done: what the machine's other programs take. */
  readonly idleMs: number;
}

/** Top-1 on the held-out images, from 0 to 1, of a run that was trained with one codec. */
export interface AccuracyLine {
  readonly record: "accuracy";
  readonly codec: string;
  readonly steps: number;
  readonly scores: Readonly<Record<string, { readonly name: string; readonly value: number }>>;
}

/** Images that one core takes in a second. */
export interface ImagesLine {
  readonly record: "images";
  readonly name: string;
  /** By what the core computed: medians of the turns. */
  readonly perSecond: number;
  readonly coreMs: number;
  /** By the clock. */
  readonly ms: number;
  /** Shares of the time. */
  readonly parts: Readonly<Record<string, number>>;
  /** What took turns with it, how many it takes in a second, and how many times that ours are: the median of pairs. */
  readonly beside?: string;
  readonly theirs?: number;
  readonly ratio?: number;
  readonly sameBytes?: boolean;
}

/** A microbatch whose images are decoded beside the GPU, in turns with the same decoded before. */
export interface GpuWaitLine {
  readonly record: "gpu-wait";
  readonly name: string;
  readonly adapter: string;
  /** By the clock, of a microbatch: medians. */
  readonly ms: number;
  readonly decodedBeforeMs: number;
  /** Share of the time that decoding adds, what its thread takes of a software adapter's cores too: median of pairs. */
  readonly slower: number;
  /** Share of the time in which the trainer waited for a microbatch. */
  readonly waited: number;
}

/** What a warm epoch's data cost all workers together. */
export interface TrafficLine {
  readonly record: "traffic";
  readonly name: string;
  readonly workers: number;
  /** What each may keep, of a set of 41 GB. */
  readonly cacheGB: number;
  /** Downloads in multiples of the set: requests a chunk, too. */
  readonly sets: number;
  /** Most of the set that is downloaded in one step. */
  readonly peakOfSet: number;
}

/** Parts of shards that are served. */
export interface RangesLine {
  readonly record: "ranges";
  readonly name: string;
  /** By the clock. */
  readonly perSecond: number;
  readonly mebibytesPerSecond: number;
  /** For each second that the process computed, where the system tells. */
  readonly perCoreSecond?: number;
  readonly mebibytesPerCoreSecond?: number;
}

export interface NoteLine {
  readonly record: "note";
  readonly text: string;
}

/** The dashboard's feed, for a simulated run that pages look on at. */
export interface DashboardLine {
  readonly record: "dashboard";
  readonly workers: number;
  readonly viewers: number;
  readonly looks: number;
  /** CPU time of a look, with encoding and sending to all. */
  readonly msPerLook: number;
  /** Of a core, at a look a second. */
  readonly share: number;
  /** To each page: of a change on average, and of the whole. */
  readonly bytesPerLook: number;
  readonly wholeBytes: number;
}

/** What a kernel, or the kernels of a pass by one tiling, cost before they run. */
export interface CompileLine {
  readonly record: "compile";
  readonly name: string;
  readonly tiling: string;
  readonly compileMs: number;
  /** Of a pass: what its first run takes beyond the next, and that. */
  readonly firstMs?: number;
  readonly ms?: number;
}

/** What a volunteer waits for: medians, in seconds after Start; null where it did not happen, or nobody says when. */
export interface VisitLine {
  readonly record: "visit";
  readonly runtime: string;
  /** `first`, `reloaded`: the page, in the same browser, `again`: of another process, with what was kept. */
  readonly visit: string;
  readonly rounds: number;
  readonly adapter: number | null;
  readonly welcome: number | null;
  /** Kernels that the first lease needs. */
  readonly kernels: number | null;
  /** They are compiled; a lease was asked for before. */
  readonly prepared: number | null;
  readonly lease: number | null;
  /** The first contribution was accepted; also the latest of all rounds. */
  readonly accepted: number | null;
  readonly worst: number;
  /** The first three seconds in which it was as fast as at the end begin here. */
  readonly full: number | null;
  /** Samples a second at the end. */
  readonly speed: number | null;
}

/** A visit to the volunteers' page, before Start. */
export interface PageLine {
  readonly record: "page";
  /** `first` of somebody who was never there, `again` of a reload. */
  readonly visit: string;
  readonly visits: number;
  /** Median of the visits, from the navigation on. */
  readonly firstPaintMs: number;
  readonly scripts: number;
  /** As they come over the line. */
  readonly scriptBytes: number;
}

/** All scripts that a visitor loads who trains. */
export interface ScriptsLine {
  readonly record: "scripts";
  readonly scripts: number;
  readonly scriptBytes: number;
}

/** The page's main thread, from Start to the first samples, or while it trains. */
export interface MainThreadLine extends MainThreadTasks {
  readonly record: "main-thread";
  readonly stage: string;
  readonly adapter: string;
}

/** A network or a layer: what of it is counted in bits, and its twin in floats. */
export interface InferenceLine {
  readonly record: "inference";
  readonly name: string;
  readonly runtime: string;
  /** Milliseconds a picture, the median and the least of the rounds. */
  readonly ours: { readonly ms: number; readonly leastMs: number; readonly bytes: number };
  readonly onnx: { readonly ms: number; readonly leastMs: number; readonly bytes: number };
  /** Of the medians: how many times as long onnxruntime-web takes; of the bytes. */
  readonly faster: number;
  readonly smaller: number;
}

/** A tracker that follows a film. */
export interface TrackLine {
  readonly record: "track";
  readonly name: string;
  readonly backend: "wasm" | "webgpu";
  /** Of the exported file. */
  readonly bytes: number;
  /** Medians of the frames. */
  readonly ms: number;
  readonly framesPerSecond: number;
  /** What all threads of the process computed for a frame, where the runtime tells. */
  readonly coreMs?: number;
  /** What the shares are of: that, where a CPU computes, or the time by the clock. */
  readonly sharesOf: "core" | "clock";
  /** Percent of a frame's time. */
  readonly share: Readonly<Record<string, number>>;
  /** Percent of the backbone's, each layer run by itself, and what they take together. */
  readonly layers: Readonly<Record<string, number>>;
  readonly layersMs: number;
}

/** Pairs that a tracker's network trains on, best and median of a microbatch. */
export interface TrackTrainingLine {
  readonly record: "track-training";
  readonly name: string;
  readonly ms: number;
  readonly medianMs: number;
  readonly pairsPerSecond: number;
}

export type Line =
  | TrackLine
  | TrackTrainingLine
  | PageLine
  | InferenceLine
  | ScriptsLine
  | MainThreadLine
  | AdapterLine
  | PolicyLine
  | RoofLine
  | KernelLine
  | ElementwiseLine
  | StepLine
  | LaunchLine
  | MethodLine
  | PassesLine
  | PeerLine
  | RatioLine
  | AgreementLine
  | AllreduceLine
  | EventLoopLine
  | AccuracyLine
  | ImagesLine
  | RangesLine
  | GpuWaitLine
  | TrafficLine
  | DashboardLine
  | CompileLine
  | VisitLine
  | NoteLine;

/** Sends a line where it is printed; resolves when it has left, so that it costs no measurement anything. */
export type Emit = (line: Line) => Promise<void>;
