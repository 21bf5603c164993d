// How a product's result may be cut into register tiles, and which of them is likely to be fast.

import { outputHeight, outputWidth, type WindowShape } from "../../shared/model/window.ts";
import type { Step } from "../text/unroll.ts";
import { windowGroups } from "../text/window-loops.ts";

/**
 * What one invocation computes: `rows` × `columns` sums; columns is a multiple of 4 (accumulators are vec4 along
 * columns).
 */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  /** Neighbours of four share what they read of the rows (quads.ts): column tiles come in multiples of four. */
  readonly quads?: boolean;
}

/**
 * The extent of the result: `rows` × `columns` for each of `outer` independent products or slices, and all that for
 * each group of channels where there are groups.
 */
export interface Extent {
  readonly rows: number;
  readonly columns: number;
  readonly outer: number;
  readonly groups?: number;
}

/**
 * Invocations wanted before tiles may grow. Below it a product is bound by the length of its sum, whatever the tile.
 */
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
  /** Rows are read as vec4s, which quads can share. */
  readonly quads?: boolean;
}

export const ANY_TILE: TileSizes = { rows: [1, 2, 4, 8, 12], columns: [4, 8, 12, 16] };

/** What a column of signs costs, of which a word holds up to 32, in reads of a float. */
export const SIGN_COST = 0.25;

/** Sums of a tile: more spill from the registers of a GPU. */
export const MOST_SUMS = 144;

/** How a forward pass may be tiled: rows are samples at one output position, columns outputs. `s` is folded. */
export function forwardTiles(s: WindowShape, quads: boolean): TileSpace {
  const extent = { rows: s.n, columns: s.out, outer: outputHeight(s) * outputWidth(s), ...windowGroups(s) };
  return { extent, sizes: ANY_TILE, quads };
}

/**
 * Columns read from a sign plane of `channels`: a tile lies within one word, even where it reaches beyond the channels.
 */
export function wordColumns(channels: number): readonly number[] {
  const last = Math.min(channels, 32);
  return [4, 8, 12, 16, 24, 32].filter((columns) =>
    channels <= 32 ? Math.ceil(last / columns) * columns <= 32 : 32 % columns === 0,
  );
}

/**
 * Tiles that the sizes allow, best first: large ones that waste little at the borders and still leave enough
 * invocations.
 */
export function rankTiles(space: TileSpace): readonly Tile[] {
  return rank(space, 1).map(({ rows, columns }) => ({ rows, columns }));
}

/** Rows of a tile that pay where a lane reads a quarter of them and a column costs more. */
const QUAD_ROWS = 16;

/** Those whose rows quads can share, best first; none where the layout does not let them. */
export function rankQuadTiles(space: TileSpace): readonly Tile[] {
  if (!space.quads) return [];
  const { sizes, columnCost = 1 } = space;
  const rows = columnCost < 1 ? sizes.rows : [...sizes.rows, QUAD_ROWS];
  const fitting = rank({ ...space, sizes: { ...sizes, rows } }, 0.25).filter((tile) => fitsQuads(space, tile));
  return fitting.map(({ rows, columns }) => ({ rows, columns, quads: true }));
}

function fitsQuads({ extent, quads }: TileSpace, tile: Tile): boolean {
  return quads === true && Math.ceil(extent.columns / tile.columns) % 4 === 0;
}

/** @param rowCost what reading a row costs, shared or not */
function rank({ extent, sizes, mostSums = MOST_SUMS, columnCost = 1 }: TileSpace, rowCost: number): readonly Tile[] {
  const waste = (length: number, tile: number) => (Math.ceil(length / tile) * tile) / length;
  const cost = (tile: Tile) => {
    // Loads a multiply-add: every step reads rows + columns values for rows·columns products.
    const loads = (rowCost * tile.rows + columnCost * tile.columns) / (tile.rows * tile.columns);
    const idle = Math.max(1, ENOUGH_INVOCATIONS / (tileCount(tile, extent) * (extent.groups ?? 1)));
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
  if (!wanted.quads) return { rows, columns };
  if (fitsQuads(space, wanted)) return { rows, columns, quads: true };
  const tiles = Math.ceil(space.extent.columns / columns);
  throw new RangeError(
    space.quads
      ? `quads share the rows of a tile where column tiles come in multiples of 4, not ${tiles}: take other columns than ${columns}`
      : "quads share rows that are read as vec4s: the length of a row must be a multiple of 4",
  );
}

/** Sums of a tile whose rows quads share, where none is kept for GPUs: the larger, the fewer reads a product. */
const QUAD_SUMS = 256;

/** The tile of the fewest sums: its text, and what compilers take for it, is a fraction of a fast one's. */
export function smallestTile(space: TileSpace): Tile {
  const [smallest] = [...rankTiles(space)].sort((a, b) => a.rows * a.columns - b.rows * b.columns);
  return smallest!;
}

/** The tile of a product that no tuner chooses; `quads` share its rows where it can be cut so. */
export function likelyTile({ quads = false, ...space }: TileSpace): Tile {
  const shared = rankQuadTiles({ ...space, quads, mostSums: QUAD_SUMS });
  return shared[0] ?? pickTile(space);
}

/** The work of `depth` steps of a tile's sum. */
export function tileStep(tile: Tile, depth: number): Step {
  return { products: tile.rows * tile.columns * depth, loads: (tile.rows + tile.columns) * depth };
}

/** Tiles of a group. */
export function tileCount(tile: Tile, extent: Extent): number {
  return Math.ceil(extent.rows / tile.rows) * Math.ceil(extent.columns / tile.columns) * extent.outer;
}

/** Small products take small workgroups, so that there are several for the cores to share. */
export function tileWorkgroup(items: number): number {
  if (items < 128) return 8;
  if (items < 512) return 16;
  return items < 2048 ? 32 : 64;
}
