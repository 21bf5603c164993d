// How a tap's words become sums, for each shape of C: popcounts with one scale, popcounts with a scale a tap, or floats.
import type { Rectify } from "../shared/rectify.ts";
import { type Counter, declareDiffering } from "./differing-bits.ts";
import { accumulators, eachQuad, multiplyAdd } from "./gemm.ts";
import { range } from "./range.ts";
import { type Tile, tileStep } from "./tile-space.ts";
import { unrolledLoop, unrollFactor } from "./unroll.ts";

export interface ForwardPlan {
  /** WGSL functions. */
  readonly declarations?: string;
  /** Before the taps, at each tap (`tap` of the `taps` inside the image), and the value of an accumulator to store. */
  readonly setup: string;
  readonly atTap: string;
  readonly value: (row: number, quad: number, lane: string, column: string) => string;
}

/** Words of a tap that are written out: beyond it they take turns. */
const MOST_WORDS = 8;

/** Loads the tile's words number `first` … of a tap, a_row_k and w_column_k. */
function loadWords(tile: Tile, words: number, first: string): string {
  return range(words)
    .flatMap((k) => [
      ...range(tile.rows).map((i) => `let a_${i}_${k} = a[a_base + ${first} + r_${i}${k > 0 ? ` + ${k}u` : ""}];`),
      ...range(tile.columns).map((j) => `let w_${j}_${k} = w[w_base + ${first} + c_${j}${k > 0 ? ` + ${k}u` : ""}];`),
    ])
    .join("\n");
}

/** `statement` of each quad of sums, given the differing bits of `words` words as vec4<i32>. */
function eachCount(tile: Tile, words: number, statement: (row: number, quad: number, count: string) => string): string {
  return eachQuad(tile, (i, q) => {
    const counts = range(4).map((l) => `differing_${words}(${differingArguments(words, i, 4 * q + l)})`);
    return statement(i, q, `vec4<i32>(${counts.join(", ")})`);
  });
}

function differingArguments(words: number, row: number, column: number): string {
  return [...range(words).map((k) => `a_${row}_${k}`), ...range(words).map((k) => `w_${column}_${k}`)].join(", ");
}

/** How the words of a tap are cut into pieces: `turns` of `words` each, then `rest`. */
function pieces(words: number): { readonly turns: number; readonly words: number; readonly rest: number } {
  const size = Math.min(words, MOST_WORDS);
  return { turns: Math.floor(words / size), words: size, rest: words % size };
}

/** The functions that a tap of `words` calls. */
function declareCounts(counter: Counter, words: number): string {
  const { words: size, rest } = pieces(words);
  return [size, ...(rest > 0 ? [rest] : [])].map((length) => declareDiffering(counter, length)).join("\n");
}

/** count_row_quad += the differing bits of a tap. */
function addCounts(tile: Tile, words: number): string {
  const cut = pieces(words);
  const piece = (length: number, first: string) =>
    `${loadWords(tile, length, first)}
${eachCount(tile, length, (i, q, count) => `count_${i}_${q} += ${count};`)}`;
  const rest = cut.rest > 0 ? `{\n${piece(cut.rest, `${words - cut.rest}u`)}\n}` : "";
  return `${unrolledLoop("piece", cut.turns, 1, piece(cut.words, `piece * ${cut.words}u`))}\n${rest}`;
}

function bases(words: number): string {
  return `let a_base = pixel * ${words}u;\nlet w_base = tap * ${words}u;`;
}

/** One count over all taps and one scale: exact in integers until the end. */
function planOneScale(tile: Tile, counter: Counter, words: number, scale: (column: string) => string): ForwardPlan {
  return {
    declarations: declareCounts(counter, words),
    setup: accumulators(tile, "count", "vec4<i32>"),
    atTap: `${bases(words)}\n${addCounts(tile, words)}`,
    value: (i, q, lane, column) => {
      const [float, integer] = lane === "" ? ["vec4<f32>", "vec4<i32>"] : ["f32", "i32"];
      return `${float}(${integer}(i32(taps * IN)) - 2 * count_${i}_${q}${lane}) * ${scale(column)}`;
    },
  };
}

/** One count a tap, scaled by the tap's C: Σ C·(IN − 2·popcount), each term exact. */
function planTapScales(tile: Tile, counter: Counter, words: number): ForwardPlan {
  const add = (i: number, q: number, count: string) =>
    `sum_${i}_${q} += scale * (vec4<f32>(${count}) - vec4<f32>(0.5 * f32(IN)));`;
  const body =
    words <= MOST_WORDS
      ? `${loadWords(tile, words, "0u")}\n${eachCount(tile, words, add)}`
      : `${accumulators(tile, "count", "vec4<i32>")}
${addCounts(tile, words)}
${eachQuad(tile, (i, q) => add(i, q, `count_${i}_${q}`))}`;
  return {
    declarations: declareCounts(counter, words),
    setup: accumulators(tile),
    atTap: `let scale = c[tap];\n${bases(words)}\n${body}`,
    value: (i, q, lane) => `-2.0 * sum_${i}_${q}${lane}`,
  };
}

/** A scale an input channel: both operands are expanded to ±1 and multiplied as floats. */
function planInputScales(tile: Tile, words: number, channels: number): ForwardPlan {
  const sign = (word: string) => `select(1.0, -1.0, (${word} & selected) != 0u)`;
  const b = range(tile.columns / 4).map(
    (q) =>
      `let b_${q} = scale * vec4<f32>(${range(4)
        .map((l) => sign(`w_${4 * q + l}_0`))
        .join(", ")});`,
  );
  const a = range(tile.rows).map((i) => `let s_${i} = ${sign(`a_${i}_0`)};`);
  const product = multiplyAdd(
    tile,
    1,
    { load: a.join("\n"), at: (i) => `s_${i}` },
    { load: b.join("\n"), at: (q) => `b_${q}` },
  );
  // Beyond the last channel the scale is 0: every word runs the same number of bits.
  const bits = Math.min(32, channels);
  const scale =
    channels % bits === 0
      ? "c[tap * IN + 32u * i + bit]"
      : "select(0.0, c[tap * IN + min(32u * i + bit, IN - 1u)], 32u * i + bit < IN)";
  const body = `let selected = 1u << bit;\nlet scale = ${scale};\n${product}`;
  const signs = unrolledLoop("bit", bits, unrollFactor(bits, tileStep(tile, 1)), body);
  return {
    setup: accumulators(tile),
    atTap: `${bases(words)}\n${unrolledLoop("i", words, 1, `${loadWords(tile, 1, "i")}\n${signs}`)}`,
    value: (i, q, lane) => `sum_${i}_${q}${lane}`,
  };
}

export function forwardPlan(
  rectify: Rectify,
  tile: Tile,
  counter: Counter,
  words: number,
  channels: number,
  outputs: 4 | 1,
): ForwardPlan {
  switch (rectify) {
    case "kernel":
      return planTapScales(tile, counter, words);
    case "layer":
      return planOneScale(tile, counter, words, () => "c[0]");
    case "out":
      return planOneScale(tile, counter, words, (column) => (outputs === 4 ? `c[${column} / 4u]` : `c[${column}]`));
    case "filter":
      return planInputScales(tile, words, channels);
    default:
      return rectify satisfies never;
  }
}
