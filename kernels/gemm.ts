// The one register-tiled matrix product behind every convolution: each invocation keeps a tile of sums in registers, as
// V. Volkov, "Better performance at lower occupancy" (GTC 2010).

import { outputHeight, outputWidth, type WindowShape } from "../shared/window.ts";
import { range } from "./range.ts";
import type { Step } from "./unroll.ts";

/** What one invocation computes: `rows` × `columns` sums; columns is a multiple of 4 (accumulators are vec4 along columns). */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/** The extent of the result: `rows` × `columns` for each of `outer` independent products or slices. */
export interface Extent {
  readonly rows: number;
  readonly columns: number;
  readonly outer: number;
}

export const LANES = ["x", "y", "z", "w"] as const;

/** Invocations wanted before tiles may grow. Below it a product is bound by the length of its sum, whatever the tile. */
const ENOUGH_INVOCATIONS = 48;

/** Tile sizes that an operand's layout allows. */
export interface TileSizes {
  readonly rows: readonly number[];
  readonly columns: readonly number[];
  /** What rows are a multiple of, where they are loaded together; 1 unless told. */
  readonly rowMultiple?: number;
}

/** What a pass leaves to choose: the result to cut, and how its operands let it be cut. */
export interface TileSpace {
  readonly extent: Extent;
  readonly sizes: TileSizes;
  /** Sums that a tile may hold, where that is not as usual. */
  readonly mostSums?: number;
  /** What reading a column costs, in reads of a row; 1 unless told. */
  readonly columnCost?: number;
}

export const ANY_TILE: TileSizes = { rows: [1, 2, 4, 8, 12], columns: [4, 8, 12, 16] };

/** What a column of signs costs, of which a word holds up to 32, in reads of a float. */
export const SIGN_COST = 0.25;

/** Sums of a tile: more spill from the registers of a GPU. */
const MOST_SUMS = 144;

/** How a forward pass may be tiled: rows are samples at one output position, columns outputs. `s` is folded. */
export function forwardTiles(s: WindowShape): TileSpace {
  return { extent: { rows: s.n, columns: s.out, outer: outputHeight(s) * outputWidth(s) }, sizes: ANY_TILE };
}

/** Columns read from a sign plane of `channels`: a tile lies within one word, even where it reaches beyond the channels. */
export function wordColumns(channels: number): readonly number[] {
  const last = Math.min(channels, 32);
  return [4, 8, 12, 16, 24, 32].filter((columns) =>
    channels <= 32 ? Math.ceil(last / columns) * columns <= 32 : 32 % columns === 0,
  );
}

/** Tiles that the sizes allow, best first: large ones that waste little at the borders and still leave enough invocations. */
export function rankTiles({ extent, sizes, mostSums = MOST_SUMS, columnCost = 1 }: TileSpace): readonly Tile[] {
  const waste = (length: number, tile: number) => (Math.ceil(length / tile) * tile) / length;
  const cost = (tile: Tile) => {
    // Loads a multiply-add: every step reads rows + columns values for rows·columns products.
    const loads = (tile.rows + columnCost * tile.columns) / (tile.rows * tile.columns);
    const idle = Math.max(1, ENOUGH_INVOCATIONS / tileCount(tile, extent));
    return waste(extent.rows, tile.rows) * waste(extent.columns, tile.columns) * (0.25 + loads) * idle;
  };
  const tiles = sizes.rows
    .flatMap((rows) => sizes.columns.map((columns) => ({ rows, columns })))
    .filter(({ rows, columns }) => rows * columns <= mostSums);
  return tiles
    .map((tile) => ({ tile, cost: Math.round(cost(tile) * 1e9) }))
    .sort((p, q) => p.cost - q.cost)
    .map(({ tile }) => tile);
}

/** The best of `sizes`, or `wanted`; throws a RangeError where the layout has no room for that. */
export function pickTile(space: TileSpace, wanted?: Tile): Tile {
  if (!wanted) return rankTiles(space)[0]!;
  const { rows, columns } = wanted;
  const { sizes } = space;
  const fits =
    sizes.columns.includes(columns) && Number.isInteger(rows) && rows > 0 && rows % (sizes.rowMultiple ?? 1) === 0;
  if (!fits) {
    throw new RangeError(
      `a tile of ${rows}x${columns} does not fit: rows come in multiples of ${sizes.rowMultiple ?? 1}, columns are ${sizes.columns.join(", ")}`,
    );
  }
  return { rows, columns };
}

/** The work of `depth` steps of a tile's sum. */
export function tileStep(tile: Tile, depth: number): Step {
  return { products: tile.rows * tile.columns * depth, loads: (tile.rows + tile.columns) * depth };
}

export function tileCount(tile: Tile, extent: Extent): number {
  return Math.ceil(extent.rows / tile.rows) * Math.ceil(extent.columns / tile.columns) * extent.outer;
}

/** Small products take small workgroups, so that there are several for the cores to share. */
export function tileWorkgroup(items: number): number {
  if (items < 128) return 8;
  if (items < 512) return 16;
  return items < 2048 ? 32 : 64;
}

/** Declares `column0`, `row0` and `outer` of this invocation's tile; neighbours share rows, so their loads of A coincide. */
export function locateTile(tile: Tile, extent: Extent): string {
  const columnTiles = Math.ceil(extent.columns / tile.columns);
  const rowTiles = Math.ceil(extent.rows / tile.rows);
  return `
let column0 = (index % ${columnTiles}u) * ${tile.columns}u;
let row0 = ((index / ${columnTiles}u) % ${rowTiles}u) * ${tile.rows}u;
let outer = index / ${columnTiles * rowTiles}u;`;
}

/** Declares the accumulators `${name}_row_quad`. */
export function accumulators(tile: Tile, name = "sum", type = "vec4<f32>"): string {
  return eachQuad(tile, (i, q) => `var ${name}_${i}_${q} = ${type}();`);
}

export function eachQuad(tile: Tile, statement: (row: number, quad: number) => string): string {
  return range(tile.rows)
    .map((i) =>
      range(tile.columns / 4)
        .map((q) => statement(i, q))
        .join(" "),
    )
    .join("\n");
}

/** A side of the product: statements that load `depth` steps, and the value of one step afterwards. */
export interface Rows {
  readonly load: string;
  /** f32 expression of row i at step k. */
  readonly at: (row: number, k: number) => string;
}

export interface Columns {
  readonly load: string;
  /** Name of the vec4<f32> of four columns at step k. */
  readonly at: (quad: number, k: number) => string;
}

/**
 * sum += A·B over `depth` steps, each sum by itself through all of them: a software adapter then keeps it in a register, where
 * a vec4 of products, and a sum a step, would each go to memory and back.
 */
export function multiplyAdd(tile: Tile, depth: number, a: Rows, b: Columns): string {
  const terms = (i: number, q: number, lane: string) =>
    range(depth).map((k) => `${a.at(i, k)} * ${b.at(q, k)}.${lane}`);
  const sum = (i: number, q: number, lane: string) => [`sum_${i}_${q}.${lane}`, ...terms(i, q, lane)].join(" + ");
  const sums = eachQuad(
    tile,
    (i, q) => `sum_${i}_${q} = vec4<f32>(${LANES.map((lane) => sum(i, q, lane)).join(", ")});`,
  );
  return [a.load, b.load, sums].join("\n");
}

export interface Store {
  readonly tile: Tile;
  readonly extent: Extent;
  /** Elements a store: 4 when the columns of a row divide so. */
  readonly width: 4 | 1;
  /** Element address of (row, column 0), given the WGSL expression of the row. */
  readonly rowAddress: (row: string) => string;
  /** The value of four columns (width 4; lane is empty) or of one (lane is `.x` …); `column` is the first element column. */
  readonly value: (row: number, quad: number, lane: string, column: string) => string;
  /** Stores `value` at `at`, an address in units of `width` elements; `column` is the element column. */
  readonly write: (at: string, value: string, column: string) => string;
}

/** Stores the tile, leaving out rows and columns beyond the extent. */
export function storeTile(o: Store): string {
  const fullRows = o.extent.rows % o.tile.rows === 0;
  const fullColumns = o.extent.columns % o.tile.columns === 0;
  return range(o.tile.rows)
    .map((i) => {
      const row = `(row0 + ${i}u)`;
      const quads = range(o.tile.columns / 4).map((q) => {
        const parts = o.width === 4 ? [""] : LANES.map((lane) => `.${lane}`);
        return parts
          .map((lane, l) => {
            const column = `(column0 + ${4 * q + l}u)`;
            const at = o.width === 4 ? `(at_${i} + column0) / 4u + ${q}u` : `at_${i} + ${column}`;
            const write = o.write(at, o.value(i, q, lane, column), column);
            return fullColumns ? write : `if (${column} < ${o.extent.columns}u) { ${write} }`;
          })
          .join("\n");
      });
      const guard = fullRows ? "{" : `if (${row} < ${o.extent.rows}u) {`;
      return `${guard}\nlet at_${i} = ${o.rowAddress(row)};\n${quads.join("\n")}\n}`;
    })
    .join("\n");
}
