// How a convolution pass is cut into work. Whatever the tiling, every sum is added in the same order (README.md), so a tuner's
// choice changes the speed and never a bit of the result.

import type { Counter } from "./registers/differing-bits.ts";

/** `rows` × `columns` sums an invocation in registers, no shared memory: the fastest way on software adapters. */
export interface RegisterTiling {
  readonly kind: "registers";
  readonly rows: number;
  readonly columns: number;
  /** Neighbours of four share what they read of the rows (quads.ts); needs `subgroups`. */
  readonly quads?: boolean;
  /** How the 1-bit forward counts; `popcount` unless told. Other passes count nothing. */
  readonly counter?: Counter;
}

/** A workgroup shares operand tiles of `depth` steps in workgroup memory: the fastest way on GPUs. */
export interface WorkgroupTiling {
  readonly kind: "workgroup";
  /** Sums of an invocation. */
  readonly rows: number;
  readonly columns: number;
  /** Invocations along rows and columns. */
  readonly down: number;
  readonly across: number;
  /** Steps of the sum (words, for the 1-bit forward) that are shared at a time. */
  readonly depth: number;
  /** Keep ±1 operands as f16 in workgroup memory, where they are exact; needs `shader-f16`. */
  readonly half: boolean;
}

/** One sum an invocation, plain loops: the reference that the others are checked against. */
export interface NaiveTiling {
  readonly kind: "naive";
}

export type Tiling = RegisterTiling | WorkgroupTiling | NaiveTiling;

/** What of an adapter decides which kernels it can run and which it is likely to like. */
export interface AdapterTraits {
  /** A CPU stands in for the GPU. */
  readonly software: boolean;
  /** Bytes of workgroup memory; 16,384 is guaranteed. */
  readonly workgroupMemory: number;
  /** Invocations of a workgroup; 256 is guaranteed. */
  readonly invocations: number;
  readonly f16: boolean;
  readonly subgroups: boolean;
}

/** What every WebGPU device has (WebGPU §3.6.2). */
export const GUARANTEED_TRAITS: AdapterTraits = {
  software: true,
  workgroupMemory: 16_384,
  invocations: 256,
  f16: false,
  subgroups: false,
};

export const NAIVE: NaiveTiling = { kind: "naive" };

/** `naive`, `r8x16` (with `c` for carry-save adders, `q` for quads), or `w64x64.8x4.16` (the workgroup's tile, the invocation's, the depth) with `h` for f16 signs. */
export function tilingName(tiling: Tiling): string {
  switch (tiling.kind) {
    case "naive":
      return "naive";
    case "registers":
      return `r${tiling.rows}x${tiling.columns}${tiling.counter === "carrySave" ? "c" : ""}${tiling.quads ? "q" : ""}`;
    case "workgroup": {
      const { rows, columns, down, across, depth, half } = tiling;
      return `w${rows * down}x${columns * across}.${rows}x${columns}.${depth}${half ? "h" : ""}`;
    }
    default:
      return tiling satisfies never;
  }
}
