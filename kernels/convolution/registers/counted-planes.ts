// A tile's popcounts of every pair of planes at one tap: words are read once, and serve all pairs; what a row's or a
// column's planes count alone is counted once, too.
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import type { Tile } from "../../product/tile-space.ts";
import type { Storage } from "../../text/dispatch.ts";
import { range } from "../../text/range.ts";
import { unrolledLoop } from "../../text/unroll.ts";
import { type PlaneOperands, planeForm } from "../pass/planes.ts";
import type { Counter } from "../pass/tiling.ts";
import { declareWeighed } from "./differing-bits.ts";
import { type Piece, tapWords } from "./tap-words.ts";

/** Words of all planes of a row that are read together: eight of three planes let carry-save adders pay. */
const MOST_ROW_WORDS = 32;

/** Words of a tap that are counted together: a power of two, that fours may be read. */
function pieceLength(all: number, planes: number): number {
  const fitting = [8, 4, 2].find((length) => length * planes <= MOST_ROW_WORDS) ?? 1;
  return Math.min(all, fitting);
}

export interface CountedPlanes {
  /** Bindings a and w, and WGSL functions. */
  readonly storage: readonly Storage[];
  readonly declarations: string;
  /** Before the taps, and at each tap. */
  readonly setup: string;
  readonly atTap: string;
  /** The exact integer of a row and column, a plane of weights and a group: i32, knows `taps`. */
  readonly sum: (row: number, column: number, plane: number, group: number) => string;
}

/**
 * What P is of counts K = Σ popcount(a ⊙ w): for signs twice, taps·IN − 2K with ⊙ = ^; for activations 0 and 1,
 * popcount(a) − 2K with &; for weights 0 and 1 (ternary ones of one sign), popcount(w) − 2K with &; for both, K. Reads
 * what tapWords reads, and `taps`; declares `count_row_column_plane_group`, `row_row_group`, `column_column_plane`.
 */
export function countedPlanes(o: {
  readonly operands: PlaneOperands;
  readonly shape: WindowShape;
  readonly tile: Tile;
  readonly counter: Counter;
}): CountedPlanes {
  const { shape, tile, counter } = o;
  const form = planeForm(o.operands);
  const all = signWords(shape.in);
  const size = pieceLength(all, form.activations);
  const turns = Math.floor(all / size);
  const rest = all % size;
  const lengths = [size, ...(rest > 0 ? [rest] : [])];
  const words = tapWords(
    shape,
    tile,
    lengths,
    lengths.every((length) => length % 4 === 0),
  );
  const levels = form.groups[0]!.length;
  const operation = form.signedActivations && form.signedWeights ? "^" : "&";
  const countsRows = !form.signedActivations && form.signedWeights;
  const countsColumns = form.signedActivations && !form.signedWeights;

  const rowWords = (piece: Piece, i: number, g: number) =>
    form.groups[g]!.flatMap((p) => range(piece.length).map((k) => words.row(piece, i, k, p)));
  const columnWords = (piece: Piece, j: number, m: number) =>
    range(piece.length).map((k) => (form.signedWeights ? words.column(j, k, m) : `part${m}_${j}_${k}`));
  // The complement of a tail is set where signs and mask are 0: `sum` takes it off again.
  const part = (j: number, k: number) => {
    const [sign, mask] = [words.column(j, k, 0), words.column(j, k, 1)];
    return `let part0_${j}_${k} = ~(${sign} | ${mask});\nlet part1_${j}_${k} = ${sign} & ~${mask};`;
  };

  const inPiece = (piece: Piece) => {
    const { length } = piece;
    const rows = range(tile.rows).flatMap((i) =>
      form.groups.map((_, g) => `row_${i}_${g} += total_${length}(${rowWords(piece, i, g).join(", ")});`),
    );
    const column = (j: number) => [
      ...range(form.weights).map((m) => words.loadColumn(piece, j, m)),
      ...(form.signedWeights ? [] : range(length).map((k) => part(j, k))),
      ...(countsColumns
        ? range(form.weights).map((m) => `column_${j}_${m} += held_${length}(${columnWords(piece, j, m).join(", ")});`)
        : []),
      ...range(tile.rows).flatMap((i) =>
        range(form.weights).flatMap((m) =>
          form.groups.map((_, g) => {
            const operands = [...rowWords(piece, i, g), ...columnWords(piece, j, m)];
            return `count_${i}_${j}_${m}_${g} += counted_${length}(${operands.join(", ")});`;
          }),
        ),
      ),
    ];
    return [
      ...range(form.activations).map((p) => words.loadRows(piece, p)),
      ...(countsRows ? rows : []),
      ...range(tile.columns).flatMap(column),
    ].join("\n");
  };

  const declared = (length: number) => [
    declareWeighed({ name: `counted_${length}`, counter, words: length, levels, operation }),
    ...(countsRows ? [declareWeighed({ name: `total_${length}`, counter, words: length, levels })] : []),
    ...(countsColumns ? [declareWeighed({ name: `held_${length}`, counter, words: length, levels: 1 })] : []),
  ];
  const zero = (name: string) => `var ${name} = 0i;`;
  const each = range(tile.columns).flatMap((j) =>
    range(tile.rows).flatMap((i) =>
      range(form.weights).flatMap((m) => form.groups.map((_, g) => zero(`count_${i}_${j}_${m}_${g}`))),
    ),
  );
  const rowCounts = range(tile.rows).flatMap((i) => form.groups.map((_, g) => zero(`row_${i}_${g}`)));
  const columnCounts = range(tile.columns).flatMap((j) => range(form.weights).map((m) => zero(`column_${j}_${m}`)));
  const tail = 32 * all - shape.in;
  const last = rest > 0 ? inPiece({ length: rest, step: turns * size, turn: "1u" }) : "";
  return {
    storage: words.storage,
    declarations: lengths.flatMap(declared).join("\n"),
    setup: [words.offsets, ...each, ...(countsRows ? rowCounts : []), ...(countsColumns ? columnCounts : [])].join(
      "\n",
    ),
    atTap: `${words.bases}
${unrolledLoop("piece", turns, 1, inPiece({ length: size, step: size, turn: "piece" }))}
{
${last}
}`,
    sum: (i, j, m, g) => {
      const count = `count_${i}_${j}_${m}_${g}`;
      if (countsRows) return `row_${i}_${g} - 2 * ${count}`;
      if (countsColumns) {
        return `column_${j}_${m} - ${m === 0 && tail > 0 ? `i32(taps * ${tail}u) - ` : ""}2 * ${count}`;
      }
      return form.signedWeights ? `i32(taps * IN) - 2 * ${count}` : count;
    },
  };
}
