// What a benchmark prints: one JSON object a line, told apart by `record`.

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

/** A launch of a step, replayed alone. */
export interface LaunchLine {
  readonly record: "launch";
  readonly name: string;
  readonly class: string;
  readonly ms: number;
  /** Of the ranges that it binds. */
  readonly bytes: number;
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

export interface NoteLine {
  readonly record: "note";
  readonly text: string;
}

export type Line =
  | AdapterLine
  | PolicyLine
  | RoofLine
  | KernelLine
  | ElementwiseLine
  | StepLine
  | LaunchLine
  | PeerLine
  | RatioLine
  | AgreementLine
  | AllreduceLine
  | EventLoopLine
  | AccuracyLine
  | NoteLine;

/** Sends a line where it is printed; resolves when it has left, so that it costs no measurement anything. */
export type Emit = (line: Line) => Promise<void>;
