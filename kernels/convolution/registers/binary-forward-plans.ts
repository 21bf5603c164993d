// How a tap's words become sums, for each shape of C: popcounts with one scale, popcounts with a scale a tap, or
// floats.
import type { Rectify } from "../../../shared/model/rectify.ts";
import { signWords } from "../../../shared/model/window.ts";
import { accumulators, LANES, multiplyAdd } from "../../product/gemm.ts";
import { tileStep } from "../../product/tile-space.ts";
import type { Storage } from "../../text/dispatch.ts";
import { range } from "../../text/range.ts";
import { unrolledLoop, unrollFactor } from "../../text/unroll.ts";
import { atGroup } from "../../text/window-loops.ts";
import { type Counted, countedTaps, eachSum, sums } from "./counted-taps.ts";
import { type Piece, tapWords } from "./tap-words.ts";

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

/**
 * One count over all taps and one scale: exact in integers until the end. Reads what tapWords reads, and `taps`;
 * declares `count_row_column`.
 */
function planOneScale(o: Counted, scale: (column: string) => string): ForwardPlan {
  const { offsets, atTap, declarations, storage } = countedTaps(o);
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

/**
 * One count a tap, scaled by the tap's C: Σ C·(IN − 2·popcount), each term exact. Reads what tapWords reads; declares
 * `sum_row_column`, and `scale` at a tap.
 */
function planTapScales(o: Counted): ForwardPlan {
  const { offsets, atTap, whole, declarations, storage } = countedTaps(o);
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

/**
 * A scale an input channel: both operands are expanded to ±1 and multiplied as floats. Reads what tapWords reads;
 * declares the `sum_row_quad` of accumulators, and at a tap `i`, `bit`, `selected`, `scale`, `s_row`, `b_quad`.
 */
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

/** @param outputs elements a store: C of `out` is read so */
export function forwardPlan(o: Counted & { readonly rectify: Rectify; readonly outputs: 4 | 1 }): ForwardPlan {
  switch (o.rectify) {
    case "kernel":
      return planTapScales(o);
    case "layer":
      return planOneScale(o, () => "c[0]");
    case "out":
      return planOneScale(
        o,
        (column) => `c[${o.outputs === 4 ? `${column} / 4u` : column}${atGroup(o.shape, o.shape.out / o.outputs)}]`,
      );
    case "filter":
      return planInputScales(o);
    default:
      return o.rectify satisfies never;
  }
}
