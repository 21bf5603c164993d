// How the tiles of a product read ±1 from sign planes.

import { range } from "../text/range.ts";
import type { Columns } from "./gemm.ts";

/**
 * ±1 of bits `4·quad … 4·quad + 3` of a u32 expression. A software adapter shifts vectors lane by lane, and so nothing
 * is shifted.
 */
export function signQuad(word: string, quad: number): string {
  const bits = range(4).map((l) => `${(2 ** (4 * quad + l)).toString()}u`);
  return `select(vec4<f32>(1.0), vec4<f32>(-1.0), (vec4<u32>(${word}) & vec4<u32>(${bits.join(", ")})) != vec4<u32>())`;
}

/**
 * Declares `to_top`, which takes the bit of the tile's last column to the top of its word; before the loops. Reads
 * `column0`.
 */
export function alignSigns(columns: number): string {
  return columns === 32 ? "" : `let to_top = 1u << (${32 - columns}u - column0 % 32u);`;
}

/**
 * ±1 columns of a sign plane: one word a step, at word `base(k)` + column0/32. The tile lies within one word, whose
 * bits are brought to the top by doubling, one after the other: a software adapter shifts lane by lane, and selects in
 * four instructions. Reads `column0`, `base(k)`, and `to_top` of alignSigns; declares `s_column_k` and `b_quad_k`.
 */
export function signColumns(o: {
  readonly name: string;
  readonly columns: number;
  readonly base: (k: number) => string;
  readonly depth: number;
}): Columns {
  const last = o.columns - 1;
  const sign = (j: number, k: number) => `bitcast<f32>((s_${j}_${k} & 0x80000000u) | 0x3f800000u)`;
  const lines = range(o.depth).flatMap((k) => [
    `let s_${last}_${k} = ${o.name}[${o.base(k)} + column0 / 32u]${o.columns === 32 ? "" : " * to_top"};`,
    ...range(last).map((j) => `let s_${last - 1 - j}_${k} = s_${last - j}_${k} + s_${last - j}_${k};`),
    ...range(o.columns / 4).map((q) => {
      const lanes = range(4).map((l) => sign(4 * q + l, k));
      return `let b_${q}_${k} = vec4<f32>(${lanes.join(", ")});`;
    }),
  ]);
  return { load: lines.join("\n"), at: (q, k) => `b_${q}_${k}` };
}

/** ±1 of bit `bit` of a word, or of four bits from there on. */
export function signValue(width: 4 | 1, word: string, bit: string): string {
  if (width === 4) return signQuad(`(${word} >> (${bit}))`, 0);
  return `bitcast<f32>(0x3f800000u | ((${word} << (31u - (${bit}))) & 0x80000000u))`;
}
