// The activation side of a weight gradient: how its columns, pairs of a tap and an input, are numbered and read.
import { signWords, type WindowShape } from "../../shared/model/window.ts";
import { read, type Storage, vectorType, vectorWidth } from "../text/dispatch.ts";
import { range } from "../text/range.ts";
import type { Columns } from "./gemm.ts";
import { acrossTile, elementOffsets, type Floats } from "./operands.ts";
import { alignSigns, signColumns } from "./sign-operands.ts";
import { ANY_TILE, SIGN_COST, type Tile, wordColumns } from "./tile-space.ts";

export interface ActivationColumns {
  readonly storage: Storage;
  /** Whether a tile keeps to one tap: its columns are then that tap's inputs, else all (tap, input) pairs. */
  readonly perTap: boolean;
  readonly tileColumns: readonly number[];
  /** Statements before the position loop; `column0` and, per tap, `ky`, `kx` are known. */
  readonly setup: (tile: Tile, shape: WindowShape) => string;
  /** Statements at each position; without perTap `y0`, `x0` are its corner of the window, less padding. */
  readonly atPosition?: (tile: Tile) => string;
  /** Values at the input pixels whose numbers, of a group's channels, are `pixel_0` … `pixel_depth−1`. */
  readonly columns: (tile: Tile, shape: WindowShape, depth: number) => Columns;
  /** What reading a column costs, in reads of a row. */
  readonly columnCost: number;
}

/**
 * Whether a float weight gradient takes (tap, input) pairs as columns: with fewer inputs one tap would not fill a tile.
 */
export function isGathered(s: WindowShape): boolean {
  return s.in < 4 && s.kernel > 1;
}

export function activationColumns(s: WindowShape): ActivationColumns {
  return isGathered(s) ? gatheredColumns(s) : channelColumns(s.in);
}

/** Inputs of one tap as columns. Reads `column0` and `pixel_k`; declares `c_i`, `x_base_k`, `b_quad_k`. */
function channelColumns(input: number): ActivationColumns {
  const x: Floats = { name: "x", width: vectorWidth(input) };
  return {
    storage: read("x", vectorType(x.width)),
    perTap: true,
    tileColumns: ANY_TILE.columns,
    setup: (tile) => elementOffsets({ prefix: "c", source: x, first: "column0", count: tile.columns, limit: input }),
    columnCost: 1,
    columns: (tile, _, depth) => ({
      load: [
        ...range(depth).map((k) => `let x_base_${k} = pixel_${k} * ${input / x.width}u;`),
        acrossTile({
          source: x,
          prefix: "b",
          offsets: "c",
          count: tile.columns,
          base: (k) => `x_base_${k}`,
          depth,
        }),
      ].join("\n"),
      at: (q, k) => `b_${q}_${k}`,
    }),
  };
}

/**
 * Inputs of one tap as columns, ±1 from a sign plane `a`. Reads `column0` and `pixel_k`; declares what alignSigns and
 * signColumns declare.
 */
export function signedColumns(input: number): ActivationColumns {
  return {
    storage: read("a", "u32"),
    perTap: true,
    tileColumns: wordColumns(input),
    columnCost: SIGN_COST,
    setup: (tile) => alignSigns(tile.columns),
    columns: (tile, _, depth) =>
      signColumns({
        name: "a",
        columns: tile.columns,
        base: (k) => `pixel_${k} * ${signWords(input)}u`,
        depth,
      }),
  };
}

/**
 * (tap, input) pairs as columns: for images of 1 or 3 channels, where one tap would not fill a tile. Reads `column0`,
 * `pixel_k`, `y0`, `x0` and windowConstants; declares `column_j`, `ky_j`, `kx_j`, `c_j`, `inside_j`, `b_quad_k`.
 */
function gatheredColumns(s: WindowShape): ActivationColumns {
  const columns = s.kernel * s.kernel * s.in;
  const padded = s.padding > 0;
  const value = (k: number, j: number) => {
    const at = `pixel_${k} * IN + c_${j}`;
    // Outside the image the number of a pixel wraps around.
    return padded ? `select(0.0, x[select(0u, ${at}, inside_${j})], inside_${j})` : `x[${at}]`;
  };
  const inside = (j: number) => `let inside_${j} = (y0 + ky_${j} < H) & (x0 + kx_${j} < W);`;
  return {
    storage: read("x"),
    perTap: false,
    tileColumns: ANY_TILE.columns,
    setup: (tile: Tile) =>
      range(tile.columns)
        .map(
          (j) => `
let column_${j} = min(column0 + ${j}u, ${columns - 1}u);
let ky_${j} = column_${j} / (KERNEL * IN);
let kx_${j} = (column_${j} / IN) % KERNEL;
let c_${j} = (ky_${j} * W + kx_${j}) * ${s.groups === undefined ? "IN" : "(GROUPS * IN)"} + column_${j} % IN;`,
        )
        .join(""),
    ...(padded ? { atPosition: (tile: Tile) => range(tile.columns).map(inside).join("\n") } : {}),
    columnCost: 1,
    columns: (tile, _, depth) => {
      const quad = (k: number, q: number) => {
        const lanes = range(4).map((l) => value(k, 4 * q + l));
        return `let b_${q}_${k} = vec4<f32>(${lanes.join(", ")});`;
      };
      return {
        load: range(depth)
          .flatMap((k) => range(tile.columns / 4).map((q) => quad(k, q)))
          .join("\n"),
        at: (q, k) => `b_${q}_${k}`,
      };
    },
  };
}
