// A matrix product whose workgroups share operand tiles in workgroup memory: V. Volkov and J. Demmel, "Benchmarking
// GPUs to tune dense linear algebra" (SC 2008). The next slab of the operands is on its way while the last one is
// multiplied.

import { multiplyAdd } from "../../product/gemm.ts";
import type { Extent } from "../../product/tile-space.ts";
import type { Storage } from "../../text/dispatch.ts";
import type { Kernel } from "../../text/kernel.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { type Fill, type Operand, operandFill, tileLines } from "./memory.ts";
import { columnsInMemory, rowsInMemory } from "./reads.ts";

export interface WorkgroupProduct {
  readonly label: string;
  readonly tiling: WorkgroupTiling;
  /** Rows and columns of the result, for each of `outer`. */
  readonly extent: Extent;
  readonly constants: Readonly<Record<string, number>>;
  readonly declarations?: string;
  readonly storage: readonly Storage[];
  readonly fills: readonly Fill[];
  /**
   * Statements ahead of all; `row0`, `column0`, `outer` of the workgroup's tile are known, and uniform, as is
   * `own_group` where there are groups.
   */
  readonly setup: string;
  /** Slabs of the sum: a WGSL expression, uniform in the workgroup. */
  readonly slabs: string;
  /** Statements at slab `slab`, which may be the one after the last. */
  readonly atSlab: string;
  /** Statements that declare the sums, and those that add slab `slab` − 1 to them. */
  readonly sums: string;
  readonly multiply: string;
  readonly store: WorkgroupStore;
}

export interface WorkgroupStore {
  /** Elements a store: 4 when the columns of a row divide so. */
  readonly width: 4 | 1;
  /**
   * Declares `start`, the element address of (row, column 0); and `held`, whether the row exists, unless all below the
   * extent do.
   */
  readonly locateRow: string;
  readonly holes?: boolean;
  /** The value of four columns (width 4; lane is empty) or of one (lane is `.x` …). */
  readonly value: (row: number, quad: number, lane: string, column: string) => string;
  /** Stores `value` at `at`, an address in units of `width` elements. */
  readonly write: (at: string, value: string, column: string) => string;
}

/** A verb's product, the kernels after it and their scratch buffer. */
export interface WorkgroupPlan {
  readonly product: WorkgroupProduct;
  readonly after: readonly Kernel[];
  readonly scratchBytes: number;
}

/** Bytes of workgroup memory. */
export function workgroupBytes(o: WorkgroupProduct): number {
  return o.fills.reduce((sum, fill) => sum + fill.bytes * fill.length, 0);
}

/** Elements of the operand tiles that an invocation fetches for a slab. */
export function fetchedAtOnce(o: WorkgroupProduct): number {
  return o.fills.reduce((sum, fill) => sum + Math.ceil(fill.elements / workgroupInvocations(o.tiling)), 0);
}

/** Words of them: an element may have four. */
export function fetchedWordsAtOnce(o: WorkgroupProduct): number {
  const words = (fill: Fill) => (Math.ceil(fill.elements / workgroupInvocations(o.tiling)) * fill.bytes) / 4;
  return o.fills.reduce((sum, fill) => sum + words(fill), 0);
}

export function workgroupInvocations(tiling: WorkgroupTiling): number {
  return tiling.down * tiling.across;
}

/** Workgroups of a product of this extent, of each group. */
export function workgroupCount(tiling: WorkgroupTiling, extent: Extent): number {
  return (
    Math.ceil(extent.rows / tileLines(tiling, "a")) * Math.ceil(extent.columns / tileLines(tiling, "b")) * extent.outer
  );
}

/**
 * The tiles and the products of two float operands. The products read `lane_row`, `lane_column`, `tile_a`, `tile_b`;
 * they declare `quad` and add to `sum_row_quad`.
 */
export function floatProduct(
  tiling: WorkgroupTiling,
  a: Operand,
  b: Operand,
): Pick<WorkgroupProduct, "fills" | "multiply"> {
  const steps = multiplyAdd(tiling, 4, rowsInMemory(a, tiling), columnsInMemory(b, tiling));
  return {
    fills: [operandFill(a, tiling), operandFill(b, tiling)],
    multiply: `for (var quad = 0u; quad < ${tiling.depth / 4}u; quad++) {\n${steps}\n}`,
  };
}
