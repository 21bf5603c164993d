// How a convolution pass is cut into work. Whatever the tiling, every sum is added in the same order (README.md), so a
// tuner's choice changes the speed and never a bit of the result.

/** How the 1-bit forward counts differing bits: one by one, or behind carry-save adders. */
export type Counter = "popcount" | "carrySave";

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

export const NAIVE: NaiveTiling = { kind: "naive" };

/**
 * `naive`, `r8x16` (with `c` for carry-save adders, `q` for quads), or `w64x64.8x4.16` (the workgroup's tile, the
 * invocation's, the depth) with `h` for f16 signs.
 */
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
