// How a tile of the 1-bit forward reads the words of a tap: by fours where a tap has so many, and with quads each lane
// a word of the rows that all four want.
import { groupCount, signWords, type WindowShape } from "../../../shared/model/window.ts";
import { lineOffsets } from "../../product/operands.ts";
import type { Tile } from "../../product/tile-space.ts";
import { read, type Storage } from "../../text/dispatch.ts";
import { quadReads } from "../../text/quads.ts";
import { range } from "../../text/range.ts";
import { atGroup, placeOfGroup } from "../../text/window-loops.ts";

/** Words that are counted together: a tap's, or a piece of a tap that has many. */
export interface Piece {
  readonly length: number;
  /** Its first word in the tap is number `step`·`turn`. */
  readonly step: number;
  /** A WGSL expression. */
  readonly turn: string;
}

export interface TapWords {
  /** a u32 [n][h][w][words], w u32 [out][kh][kw][words]. */
  readonly storage: readonly Storage[];
  /** Before the taps: the addresses of rows and columns. */
  readonly offsets: string;
  /** At each tap, given `pixel` and `tap`. */
  readonly bases: string;
  /** The words of a piece, of one plane of several where `plane` names it. */
  readonly loadRows: (piece: Piece, plane?: number) => string;
  readonly loadColumn: (piece: Piece, column: number, plane?: number) => string;
  /** Word k of a row, of a column. */
  readonly row: (piece: Piece, row: number, k: number, plane?: number) => string;
  readonly column: (column: number, k: number, plane?: number) => string;
}

function wordType(width: 4 | 1): string {
  return width === 4 ? "vec4<u32>" : "u32";
}

function word(name: string, width: 4 | 1, k: number): string {
  return width === 4 ? `${name}_${k >> 2}[${k & 3}u]` : `${name}_${k}`;
}

/**
 * Declares, for each length of piece, the address of the word that a lane reads in each of its turns. `q_length_turn`;
 * reads `row0` and `quad_lane`.
 */
function quadOffsets(rows: number, words: number, s: WindowShape, lengths: readonly number[]): string {
  const own = (length: number, g: number) => {
    const place = `min(${4 * g}u + quad_lane, ${rows * length - 1}u)`;
    return `let q_${length}_${g} = min(row0 + ${place} / ${length}u, N - 1u) * ${s.h * s.w * groupCount(s) * words}u + ${place} % ${length}u;`;
  };
  return lengths.flatMap((length) => range(Math.ceil((rows * length) / 4)).map((g) => own(length, g))).join("\n");
}

/**
 * Reads `row0`, `column0`, `pixel`, `tap`; declares `r_row` (or `q_length_turn`), `c_column`, `a_base`, `w_base`, and
 * `a_…`, `w_…` of what is loaded, or `a1_…`, `w1_…` of plane 1.
 * @param lengths of the pieces @param together whether words may be read by fours
 */
export function tapWords(s: WindowShape, tile: Tile, lengths: readonly number[], together: boolean): TapWords {
  const words = signWords(s.in);
  const columnWidth = together && words % 4 === 0 ? 4 : 1;
  const rowWidth = tile.quads ? 1 : columnWidth;
  const first = (base: string, { step, turn }: Piece, width: number, skipped: number) =>
    `${base} + ${turn} * ${step / width}u${skipped === 0 ? "" : ` + ${skipped / width}u`}`;
  const named = (name: "a" | "w", plane: number | undefined) => `${name}${plane ?? ""}`;
  const rowPlane = s.n * s.h * s.w * words;
  const columnPlane = s.out * s.kernel * s.kernel * words;
  const rowOffsets = tile.quads
    ? quadOffsets(tile.rows, words, s, lengths)
    : lineOffsets({
        prefix: "r",
        first: "row0",
        count: tile.rows,
        limit: s.n,
        stride: (s.h * s.w * groupCount(s) * words) / rowWidth,
      });
  const columnStride = (s.kernel * s.kernel * words) / columnWidth;
  return {
    storage: [read("a", wordType(rowWidth)), read("w", wordType(columnWidth))],
    offsets: `${rowOffsets}
${lineOffsets({ prefix: "c", first: "column0", count: tile.columns, limit: s.out, stride: columnStride })}`,
    bases: `let a_base = ${placeOfGroup(s, "pixel")} * ${words / rowWidth}u;\nlet w_base = tap * ${words / columnWidth}u${atGroup(s, s.out * columnStride)};`,
    loadRows: (piece, plane) => {
      const base = first("a_base", piece, rowWidth, (plane ?? 0) * rowPlane);
      const name = named("a", plane);
      const { length } = piece;
      if (tile.quads) return quadReads(name, tile.rows * length, (g) => `a[${base} + q_${length}_${g}]`);
      return range(tile.rows)
        .flatMap((i) => range(length / rowWidth).map((k) => `let ${name}_${i}_${k} = a[${base} + r_${i} + ${k}u];`))
        .join("\n");
    },
    loadColumn: (piece, j, plane) => {
      const base = first("w_base", piece, columnWidth, (plane ?? 0) * columnPlane);
      return range(piece.length / columnWidth)
        .map((k) => `let ${named("w", plane)}_${j}_${k} = w[${base} + c_${j} + ${k}u];`)
        .join("\n");
    },
    row: ({ length }, i, k, plane) => {
      const name = named("a", plane);
      return tile.quads ? `${name}_${i * length + k}` : word(`${name}_${i}`, rowWidth, k);
    },
    column: (j, k, plane) => word(`${named("w", plane)}_${j}`, columnWidth, k),
  };
}
