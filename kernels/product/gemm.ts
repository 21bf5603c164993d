// The one register-tiled matrix product behind every convolution: each invocation keeps a tile of sums in registers, as
// V. Volkov, "Better performance at lower occupancy" (GTC 2010).

import { range } from "../text/range.ts";
import type { Extent, Tile } from "./tile-space.ts";

export const LANES = ["x", "y", "z", "w"] as const;

/**
 * Declares `column0`, `row0` and `outer` of this invocation's tile; neighbours share rows, so their loads of A
 * coincide. Reads `index`.
 */
export function locateTile(tile: Tile, extent: Extent): string {
  const columnTiles = Math.ceil(extent.columns / tile.columns);
  const rowTiles = Math.ceil(extent.rows / tile.rows);
  return `
let column0 = (index % ${columnTiles}u) * ${tile.columns}u;
let row0 = ((index / ${columnTiles}u) % ${rowTiles}u) * ${tile.rows}u;
let outer = index / ${columnTiles * rowTiles}u;`;
}

/** Declares the accumulators `${name}_row_quad`. Reads nothing. */
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
 * sum += A·B over `depth` steps, each sum by itself through all of them: a software adapter then keeps it in a
 * register, where a vec4 of products, and a sum a step, would each go to memory and back. Reads what `a` and `b` load;
 * adds to the `sum_row_quad` of accumulators.
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
  /**
   * The value of four columns (width 4; lane is empty) or of one (lane is `.x` …); `column` is the first element
   * column.
   */
  readonly value: (row: number, quad: number, lane: string, column: string) => string;
  /** Stores `value` at `at`, an address in units of `width` elements; `column` is the element column. */
  readonly write: (at: string, value: string, column: string) => string;
}

/**
 * Stores the tile, leaving out rows and columns beyond the extent. Reads `row0`, `column0` and what `value` says;
 * declares `at_row`.
 */
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
