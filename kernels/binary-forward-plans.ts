// How a tap's words become sums, for each shape of C: popcounts with one scale, popcounts with a scale a tap, or floats.
import type { Rectify } from "../shared/rectify.ts";
import { accumulators, eachQuad, multiplyAdd, type Tile, tileStep } from "./gemm.ts";
import { range } from "./range.ts";
import { type Step, unrolledLoop, unrollFactor } from "./unroll.ts";
import type { TapMask } from "./window-loops.ts";

export interface ForwardPlan {
  /** Before the taps, at each tap, and the value of an accumulator to store. */
  readonly setup: string;
  readonly atTap: (mask: TapMask) => string;
  readonly value: (row: number, quad: number, lane: string, column: string) => string;
}

/** A word of 32 popcounts weighs about two float products: xor, count, add. */
export function wordStep(tile: Tile): Step {
  return { products: 2 * tile.rows * tile.columns, loads: tile.rows + tile.columns };
}

/** `body` for every word i of a tap, with the tile's words a_row and w_column loaded. */
function eachWord(tile: Tile, words: number, body: string): string {
  const load = [
    ...range(tile.rows).map((i) => `let a_${i} = a[a_base + i + r_${i}];`),
    ...range(tile.columns).map((j) => `let w_${j} = w[w_base + i + c_${j}];`),
  ];
  return [
    `let a_base = pixel * ${words}u;`,
    `let w_base = tap * ${words}u;`,
    unrolledLoop("i", words, unrollFactor(words, wordStep(tile)), `${load.join("\n")}\n${body}`),
  ].join("\n");
}

/** Popcounts of (a ^ w), only under `mask` where given, added to `${target}_row_quad`. */
function popcounts(tile: Tile, words: number, target: string, mask?: string): string {
  const quads = range(tile.columns / 4).map(
    (q) =>
      `let b_${q} = vec4<u32>(${range(4)
        .map((l) => `w_${4 * q + l}`)
        .join(", ")});`,
  );
  const counts = eachQuad(tile, (i, q) => {
    const differing = `vec4<u32>(a_${i}) ^ b_${q}`;
    return `${target}_${i}_${q} += countOneBits(${mask === undefined ? differing : `(${differing}) & ${mask}`});`;
  });
  return eachWord(tile, words, [...quads, counts].join("\n"));
}

/** One count over all taps and one scale: exact in integers until the end. */
function planOneScale(tile: Tile, words: number, scale: (column: string) => string): ForwardPlan {
  return {
    setup: `${accumulators(tile, "count", "vec4<u32>")}\nvar taps = 0u;`,
    atTap: (mask) =>
      mask === "inside"
        ? `taps += select(0u, 1u, inside);
let within = vec4<u32>(select(0u, 0xffffffffu, inside));
${popcounts(tile, words, "count", "within")}`
        : `taps++;\n${popcounts(tile, words, "count")}`,
    value: (i, q, lane, column) => {
      const [float, integer] = lane === "" ? ["vec4<f32>", "vec4<i32>"] : ["f32", "i32"];
      return `${float}(${integer}(i32(taps * IN)) - 2 * ${integer}(count_${i}_${q}${lane})) * ${scale(column)}`;
    },
  };
}

/** One count a tap, scaled by the tap's C: Σ C·(IN − 2·popcount), each term exact. */
function planTapScales(tile: Tile, words: number): ForwardPlan {
  return {
    setup: accumulators(tile),
    atTap: (mask) => `let scale = ${mask === "inside" ? "select(0.0, c[tap], inside)" : "c[tap]"};
${accumulators(tile, "count", "vec4<u32>")}
${popcounts(tile, words, "count")}
${eachQuad(tile, (i, q) => `sum_${i}_${q} += scale * (vec4<f32>(count_${i}_${q}) - vec4<f32>(0.5 * f32(IN)));`)}`,
    value: (i, q, lane) => `-2.0 * sum_${i}_${q}${lane}`,
  };
}

/** A scale an input channel: both operands are expanded to ±1 and multiplied as floats. */
function planInputScales(tile: Tile, words: number, channels: number): ForwardPlan {
  const sign = (word: string) => `bitcast<f32>(0x3f800000u | ((${word} << (31u - bit)) & 0x80000000u))`;
  const b = range(tile.columns / 4).map(
    (q) =>
      `let b_${q} = scale * vec4<f32>(${range(4)
        .map((l) => sign(`w_${4 * q + l}`))
        .join(", ")});`,
  );
  const a = range(tile.rows).map((i) => `let s_${i} = ${sign(`a_${i}`)};`);
  const product = multiplyAdd(
    tile,
    1,
    { load: a.join("\n"), at: (i) => `s_${i}` },
    { load: b.join("\n"), at: (q) => `b_${q}` },
  );
  // Beyond the last channel the scale is 0: every word runs the same number of bits.
  const bits = Math.min(32, channels);
  const scale = (entry: string) => (channels % bits === 0 ? entry : `select(0.0, ${entry}, 32u * i + bit < IN)`);
  return {
    setup: accumulators(tile),
    atTap: (mask) => {
      const entry = scale("c[tap * IN + 32u * i + bit]");
      const body = `let scale = ${mask === "inside" ? `select(0.0, ${entry}, inside)` : entry};\n${product}`;
      return eachWord(tile, words, unrolledLoop("bit", bits, unrollFactor(bits, tileStep(tile, 1)), body));
    },
    value: (i, q, lane) => `sum_${i}_${q}${lane}`,
  };
}

export function forwardPlan(
  rectify: Rectify,
  tile: Tile,
  words: number,
  channels: number,
  outputs: 4 | 1,
): ForwardPlan {
  switch (rectify) {
    case "kernel":
      return planTapScales(tile, words);
    case "layer":
      return planOneScale(tile, words, () => "c[0]");
    case "out":
      return planOneScale(tile, words, (column) => (outputs === 4 ? `c[${column} / 4u]` : `c[${column}]`));
    case "filter":
      return planInputScales(tile, words, channels);
    default:
      return rectify satisfies never;
  }
}
