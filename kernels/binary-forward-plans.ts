// How a tap's words become sums, for each shape of C: popcounts with one scale, popcounts with a scale a tap, or floats.
import type { Rectify } from "../shared/rectify.ts";
import { signWords, type WindowShape } from "../shared/window.ts";
import { type Counter, declareDiffering } from "./differing-bits.ts";
import type { Storage } from "./dispatch.ts";
import { accumulators, LANES, multiplyAdd } from "./gemm.ts";
import { range } from "./range.ts";
import { type Piece, tapWords } from "./tap-words.ts";
import { type Tile, tileStep } from "./tile-space.ts";
import { unrolledLoop, unrollFactor } from "./unroll.ts";

export interface ForwardPlan {
  /** WGSL functions. */
  readonly declarations?: string;
  /** Bindings a and w. */
  readonly storage: readonly Storage[];
  /** Before the taps, at each tap (`tap` of the `taps` inside the image), and the value of an accumulator to store. */
  readonly setup: string;
  readonly atTap: string;
  readonly value: (row: number, quad: number, lane: string, column: string) => string;
}

/** Words of a tap that are written out: beyond it they take turns. */
const MOST_WORDS = 8;

/** Sums are scalars, taken column by column: few words then wait in registers, and no vec4 is made whole. */
function eachSum(tile: Tile, statement: (row: number, column: number) => string): string {
  return range(tile.columns)
    .flatMap((j) => range(tile.rows).map((i) => statement(i, j)))
    .join("\n");
}

/** The sums `name_row_column` of a quad of columns, or the one that `lane` names. */
function sums(name: string, row: number, quad: number, lane: string): string {
  const each = LANES.map((_, l) => `${name}_${row}_${4 * quad + l}`);
  return lane === "" ? each.join(", ") : each.filter((_, l) => lane === `.${LANES[l]}`).join("");
}

/** What both ways of counting share. */
function countedTaps(shape: WindowShape, tile: Tile, counter: Counter) {
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

/** One count over all taps and one scale: exact in integers until the end. */
function planOneScale(o: Counted, scale: (column: string) => string): ForwardPlan {
  const { offsets, atTap, declarations, storage } = countedTaps(o.shape, o.tile, o.counter);
  return {
    declarations,
    storage,
    setup: `${offsets}\n${eachSum(o.tile, (i, j) => `var count_${i}_${j} = 0i;`)}`,
    atTap: atTap((i, j, count) => `count_${i}_${j} += ${count};`),
    value: (i, q, lane, column) => {
      const [float, integer] = lane === "" ? ["vec4<f32>", "vec4<i32>"] : ["f32", "i32"];
      const counts = `${integer}(${sums("count", i, q, lane)})`;
      return `${float}(${integer}(i32(taps * IN)) - 2 * ${counts}) * ${scale(column)}`;
    },
  };
}

/** One count a tap, scaled by the tap's C: Σ C·(IN − 2·popcount), each term exact. */
function planTapScales(o: Counted): ForwardPlan {
  const { offsets, atTap, whole, declarations, storage } = countedTaps(o.shape, o.tile, o.counter);
  const add = (i: number, j: number, count: string) => `sum_${i}_${j} += scale * (f32(${count}) - 0.5 * f32(IN));`;
  const counted = `
${eachSum(o.tile, (i, j) => `var count_${i}_${j} = 0i;`)}
${atTap((i, j, count) => `count_${i}_${j} += ${count};`)}
${eachSum(o.tile, (i, j) => add(i, j, `count_${i}_${j}`))}`;
  return {
    declarations,
    storage,
    setup: `${offsets}\n${eachSum(o.tile, (i, j) => `var sum_${i}_${j} = 0.0;`)}`,
    atTap: `let scale = c[tap];\n${whole ? atTap(add) : counted}`,
    value: (i, q, lane) => `-2.0 * ${lane === "" ? "vec4<f32>" : "f32"}(${sums("sum", i, q, lane)})`,
  };
}

/** A scale an input channel: both operands are expanded to ±1 and multiplied as floats. */
function planInputScales({ shape, tile }: Counted): ForwardPlan {
  const channels = shape.in;
  const piece: Piece = { length: 1, step: 1, turn: "i" };
  const words = tapWords(shape, tile, [1], false);
  const sign = (word: string) => `select(1.0, -1.0, (${word} & selected) != 0u)`;
  const b = range(tile.columns / 4).map(
    (q) => `let b_${q} = scale * vec4<f32>(${LANES.map((_, l) => sign(words.column(4 * q + l, 0))).join(", ")});`,
  );
  const a = range(tile.rows).map((i) => `let s_${i} = ${sign(words.row(piece, i, 0))};`);
  const rows = { load: a.join("\n"), at: (i: number) => `s_${i}` };
  const product = multiplyAdd(tile, 1, rows, { load: b.join("\n"), at: (q) => `b_${q}` });
  // Beyond the last channel the scale is 0: every word runs the same number of bits.
  const bits = Math.min(32, channels);
  const scale =
    channels % bits === 0
      ? "c[tap * IN + 32u * i + bit]"
      : "select(0.0, c[tap * IN + min(32u * i + bit, IN - 1u)], 32u * i + bit < IN)";
  const body = `let selected = 1u << bit;\nlet scale = ${scale};\n${product}`;
  const signs = unrolledLoop("bit", bits, unrollFactor(bits, tileStep(tile, 1)), body);
  const loads = [words.loadRows(piece), ...range(tile.columns).map((j) => words.loadColumn(piece, j))].join("\n");
  return {
    storage: words.storage,
    setup: `${words.offsets}\n${accumulators(tile)}`,
    atTap: `${words.bases}\n${unrolledLoop("i", signWords(channels), 1, `${loads}\n${signs}`)}`,
    value: (i, q, lane) => `sum_${i}_${q}${lane}`,
  };
}

interface Counted {
  readonly shape: WindowShape;
  readonly tile: Tile;
  readonly counter: Counter;
}

/** @param outputs elements a store: C of `out` is read so */
export function forwardPlan(o: Counted & { readonly rectify: Rectify; readonly outputs: 4 | 1 }): ForwardPlan {
  switch (o.rectify) {
    case "kernel":
      return planTapScales(o);
    case "layer":
      return planOneScale(o, () => "c[0]");
    case "out":
      return planOneScale(o, (column) => (o.outputs === 4 ? `c[${column} / 4u]` : `c[${column}]`));
    case "filter":
      return planInputScales(o);
    default:
      return o.rectify satisfies never;
  }
}
