// The same linear layer of several networks in one dispatch: small products that would each leave a GPU idle.

import { accumulators, multiplyAdd, storeTile } from "../product/gemm.ts";
import { columnsAlongSum, type Floats, lineOffsets, rowsAlongSum } from "../product/operands.ts";
import { ANY_TILE, likelyTile, smallestTile, type Tile, type TileSpace, tileStep } from "../product/tile-space.ts";
import { tiledKernel } from "../product/tiled-kernel.ts";
import { read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { unrolledLoop, unrollFactor } from "../text/unroll.ts";

/**
 * Layer `in` → `out` of `groups` networks. Its tensors are f32 [groups][members][n][width], where a member is one batch
 * of n rows that goes through the group's network; each member starts `memberStride` elements after the one before.
 */
export interface GroupedLinear {
  readonly groups: number;
  /** Rows of a member. */
  readonly n: number;
  readonly in: number;
  readonly out: number;
  /**
   * Neighbours of four share the rows that they read, where the product can be cut so (quads.ts); needs the feature
   * `subgroups`.
   */
  readonly quads?: boolean;
  /** By the smallest tile, which compiles soonest; the bits are the same. */
  readonly small?: boolean;
}

/** The tile of a layer's product. */
export function productTile({ small = false }: GroupedLinear, space: TileSpace): Tile {
  return small ? smallestTile(space) : likelyTile(space);
}

/** Elements of [n][width] with padding, so that each member can be bound on its own (256 bytes). */
export function memberStride(n: number, width: number): number {
  return Math.ceil((n * width) / 64) * 64;
}

/** LeakyReLU's slope; v > 0 passes, as in PyTorch. It keeps the sign, so the derivative can be told from the result. */
export const LEAKY = { SLOPE: 0.2 } as const;

export function describeGrouped(o: GroupedLinear, members: number): string {
  return `${o.groups}x${members}x${o.n}x${o.in}->${o.out}`;
}

/**
 * y = x·Wᵀ + b for every member, then LeakyReLU(0.2) where `leaky`. Bindings x f32 [groups][members][n][in], w f32
 * [out][in] every `weightStride` elements, bias f32 [out] every `biasStride`, y f32 [groups][members][n][out].
 */
export function groupedLinearForward(
  o: GroupedLinear & {
    readonly members: number;
    readonly weightStride: number;
    readonly biasStride: number;
    readonly leaky: boolean;
  },
): Kernel {
  const width = vectorWidth(o.in);
  const outputs = vectorWidth(o.out);
  const extent = { rows: o.n, columns: o.out, outer: o.groups * o.members };
  const tile = productTile(o, { extent, sizes: ANY_TILE, quads: o.quads === true && width === 4 });
  const steps = o.in / width;
  const x: Floats = { name: "x", width };
  const w: Floats = { name: "w", width };
  const product = multiplyAdd(
    tile,
    width,
    rowsAlongSum({ source: x, tile, offsets: "r", base: "x_base + i" }),
    columnsAlongSum(w, tile.columns, "c", "w_base + i"),
  );
  const type = vectorType(outputs);
  return tiledKernel({
    label: `groupedLinearForward ${describeGrouped(o, o.members)}`,
    floats: LEAKY,
    storage: [read("x", vectorType(width)), read("w", vectorType(width)), read("bias", type), readWrite("y", type)],
    tile,
    extent,
    body: `let group = outer / ${o.members}u;
let x_base = outer * ${memberStride(o.n, o.in) / width}u;
let w_base = group * ${o.weightStride / width}u;
let bias_base = group * ${o.biasStride / outputs}u;
${lineOffsets({ prefix: "r", first: "row0", count: tile.rows, limit: o.n, stride: steps })}
${lineOffsets({ prefix: "c", first: "column0", count: tile.columns, limit: o.out, stride: steps })}
${accumulators(tile)}
${unrolledLoop("i", steps, unrollFactor(steps, tileStep(tile, width)), product)}
${storeTile({
  tile,
  extent,
  width: outputs,
  rowAddress: (row) => `outer * ${memberStride(o.n, o.out)}u + ${row} * ${o.out}u`,
  value: (i, q, lane) => `sum_${i}_${q}${lane}`,
  write: (at, value, column) =>
    `{ let v = ${value} + bias[bias_base + ${column} / ${outputs}u]; y[${at}] = ${o.leaky ? `select(SLOPE * v, v, v > ${type}())` : "v"}; }`,
})}`,
  });
}
