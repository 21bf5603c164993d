// A tile's popcounts at one tap of a binary layer: the words of rows and columns, piece by piece, and the count of each
// sum.
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import { LANES } from "../../product/gemm.ts";
import type { Tile } from "../../product/tile-space.ts";
import { range } from "../../text/range.ts";
import { unrolledLoop } from "../../text/unroll.ts";
import type { Counter } from "../pass/tiling.ts";
import { declareDiffering } from "./differing-bits.ts";
import { type Piece, tapWords } from "./tap-words.ts";

export interface Counted {
  readonly shape: WindowShape;
  readonly tile: Tile;
  readonly counter: Counter;
}

/** Words of a tap that are written out: beyond it they take turns. */
const MOST_WORDS = 8;

/** Sums are scalars, taken column by column: few words then wait in registers, and no vec4 is made whole. */
export function eachSum(tile: Tile, statement: (row: number, column: number) => string): string {
  return range(tile.columns)
    .flatMap((j) => range(tile.rows).map((i) => statement(i, j)))
    .join("\n");
}

/** The sums `name_row_column` of a quad of columns, or the one that `lane` names. */
export function sums(name: string, row: number, quad: number, lane: string): string {
  const each = LANES.map((_, l) => `${name}_${row}_${4 * quad + l}`);
  return lane === "" ? each.join(", ") : each.filter((_, l) => lane === `.${LANES[l]}`).join("");
}

/**
 * The counts of every sum, tap by tap. Reads what tapWords reads, and its `piece`; calls `differing_words`, which its
 * `declarations` declare.
 */
export function countedTaps({ shape, tile, counter }: Counted) {
  const all = signWords(shape.in);
  const size = Math.min(all, MOST_WORDS);
  const turns = Math.floor(all / size);
  const rest = all % size;
  const lengths = [size, ...(rest > 0 ? [rest] : [])];
  const words = tapWords(shape, tile, lengths, true);
  type Statement = (row: number, column: number, count: string) => string;
  const inPiece = (piece: Piece, statement: Statement) => {
    const count = (i: number, j: number) => {
      const operands = [
        ...range(piece.length).map((k) => words.row(piece, i, k)),
        ...range(piece.length).map((k) => words.column(j, k)),
      ];
      return `differing_${piece.length}(${operands.join(", ")})`;
    };
    const column = (j: number) => [
      words.loadColumn(piece, j),
      ...range(tile.rows).map((i) => statement(i, j, count(i, j))),
    ];
    return [words.loadRows(piece), ...range(tile.columns).flatMap(column)].join("\n");
  };
  return {
    storage: words.storage,
    declarations: lengths.map((length) => declareDiffering(counter, length)).join("\n"),
    offsets: words.offsets,
    /** Whether the count of a tap is one expression. */
    whole: turns === 1 && rest === 0,
    /** `statement` of each sum and the count of each piece of a tap. */
    atTap: (statement: Statement) => {
      const piece = inPiece({ length: size, step: size, turn: "piece" }, statement);
      const last = rest > 0 ? inPiece({ length: rest, step: turns * size, turn: "1u" }, statement) : "";
      return `${words.bases}\n${unrolledLoop("piece", turns, 1, piece)}\n{\n${last}\n}`;
    },
  };
}
