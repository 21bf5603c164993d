// How the tiles of a product read their operands: contiguous along the sum or along the rows/columns, float or sign
// bits.
import { vectorType } from "../text/dispatch.ts";
import { quadReads } from "../text/quads.ts";
import { range } from "../text/range.ts";
import { type Columns, LANES, type Rows } from "./gemm.ts";
import type { Tile } from "./tile-space.ts";

/** A float tensor read through `name[…]`, with elements of `width` floats. */
export interface Floats {
  readonly name: string;
  readonly width: 4 | 1;
}

/** How many loads `elements` are. */
export function loads(source: Floats, elements: number): number {
  return elements / source.width;
}

/**
 * Declares `prefix_i`, the address of line `first + i` (kept below `limit`) with `stride` loads a line. Reads `first`.
 */
export function lineOffsets(o: {
  readonly prefix: string;
  readonly first: string;
  readonly count: number;
  readonly limit: number;
  readonly stride: number;
}): string {
  const full = o.limit % o.count === 0;
  return range(o.count)
    .map((i) => {
      const line = full ? `(${o.first} + ${i}u)` : `min(${o.first} + ${i}u, ${o.limit - 1}u)`;
      return `let ${o.prefix}_${i} = ${line} * ${o.stride}u;`;
    })
    .join("\n");
}

/**
 * Declares `prefix_i`, the address of element (or quad) `first + i` (kept below `limit`) within a line. Reads `first`.
 */
export function elementOffsets(o: {
  readonly prefix: string;
  readonly source: Floats;
  readonly first: string;
  readonly count: number;
  readonly limit: number;
}): string {
  const { width } = o.source;
  return range(o.count / width)
    .map((i) => {
      const at = `${o.first} + ${i * width}u`;
      const clamped = o.limit % o.count === 0 ? `(${at})` : `min(${at}, ${o.limit - width}u)`;
      return `let ${o.prefix}_${i} = ${clamped} / ${width}u;`;
    })
    .join("\n");
}

/**
 * Loads `width` consecutive values of the sum for each of `count` lines, at load `base` + lineOffsets; 0 where not
 * `mask`.
 */
function alongSum(source: Floats, count: number, prefix: string, offsets: string, base: string, mask?: string): string {
  const zero = `${vectorType(source.width)}()`;
  return range(count)
    .map((i) => {
      const value = `${source.name}[${base} + ${offsets}_${i}]`;
      return `let ${prefix}_${i} = ${mask === undefined ? value : `select(${zero}, ${value}, ${mask})`};`;
    })
    .join("\n");
}

function step(source: Floats, value: string, k: number): string {
  return source.width === 4 ? `${value}.${LANES[k]}` : value;
}

/**
 * Rows whose values are contiguous along the sum; a load gives `width` steps. Reads `offsets_row`, `base`, `mask`, and
 * `quad_lane` where the tile has quads; declares `a_…` (and `sa_row` with a scale).
 */
export function rowsAlongSum(o: {
  readonly source: Floats;
  readonly tile: Tile;
  readonly offsets: string;
  readonly base: string;
  /** Values are 0 where this is false. */
  readonly mask?: string;
  /** Factor of what is loaded, or, given `[quad_lane]`, of one value of it. */
  readonly scale?: (lane: string) => string;
}): Rows {
  const { source, tile, offsets, base, mask, scale } = o;
  const factor = (lane: string) => (scale ? ` * ${scale(lane)}` : "");
  if (tile.quads) {
    const own = (i: number) => `${source.name}[${base} + ${offsets}_${i}][quad_lane]`;
    const masked = (i: number) => (mask === undefined ? own(i) : `select(0.0, ${own(i)}, ${mask})`);
    return {
      load: quadReads("a", 4 * tile.rows, (i) => `${masked(i)}${factor("[quad_lane]")}`),
      at: (i, k) => `a_${4 * i + k}`,
    };
  }
  const load = alongSum(source, tile.rows, "a", offsets, base, mask);
  if (!scale) return { load, at: (i, k) => step(source, `a_${i}`, k) };
  const scaled = range(tile.rows).map((i) => `let sa_${i} = a_${i}${factor("")};`);
  return { load: [load, ...scaled].join("\n"), at: (i, k) => step(source, `sa_${i}`, k) };
}

/**
 * Columns whose values are contiguous along the sum; transposed in registers. Reads `offsets_column` and `base`;
 * declares `w_column` and `b_quad_k`.
 */
export function columnsAlongSum(source: Floats, columns: number, offsets: string, base: string): Columns {
  const quads = range(columns / 4).flatMap((q) =>
    range(source.width).map((k) => {
      const parts = range(4).map((l) => step(source, `w_${4 * q + l}`, k));
      return `let b_${q}_${k} = vec4<f32>(${parts.join(", ")});`;
    }),
  );
  return {
    load: [alongSum(source, columns, "w", offsets, base), ...quads].join("\n"),
    at: (q, k) => `b_${q}_${k}`,
  };
}

/**
 * Declares quads `prefix_quad_k` of values contiguous across the tile, at load `base(k)` + elementOffsets. Reads
 * `offsets_i` and `base(k)`.
 */
export function acrossTile(o: {
  readonly source: Floats;
  readonly prefix: string;
  readonly offsets: string;
  readonly count: number;
  readonly base: (k: number) => string;
  readonly depth: number;
}): string {
  const value = (k: number, i: number) => `${o.source.name}[${o.base(k)} + ${o.offsets}_${i}]`;
  return range(o.depth)
    .flatMap((k) =>
      range(o.count / 4).map((q) => {
        const quad =
          o.source.width === 4
            ? value(k, q)
            : `vec4<f32>(${range(4)
                .map((l) => value(k, 4 * q + l))
                .join(", ")})`;
        return `let ${o.prefix}_${q}_${k} = ${quad};`;
      }),
    )
    .join("\n");
}
