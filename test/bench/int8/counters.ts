// Σ over eight bit planes of 2^plane·popcount, four columns at a time.
import { range } from "../../../kernels/text/range.ts";

/**
 * `popcount`: one countOneBits a plane. `merged`: planes are added in ever wider fields (H. Warren, Hacker's Delight §5-1), so
 * the horizontal sum is taken once for all eight: fewer instructions where a popcount is many.
 */
export type Counter = "popcount" | "merged";

/** Declares `weighted`: vec4<u32>; `planes` are vec4<u32> expressions, the lowest first. */
export function eachPlaneCount(counter: Counter, planes: readonly string[]): string {
  if (counter === "popcount") {
    return `let weighted = ${planes.map((plane, b) => `(countOneBits(${plane}) << vec4<u32>(${b}u))`).join(" + ")};`;
  }
  const mask = (text: string) => `vec4<u32>(${text}u)`;
  const shift = (value: string, by: number) => `(${value} >> vec4<u32>(${by}u))`;
  const lines = planes.flatMap((plane, b) => [
    `let x_${b} = ${plane};`,
    `let y_${b} = x_${b} - (${shift(`x_${b}`, 1)} & ${mask("0x55555555")});`,
    `let z_${b} = (y_${b} & ${mask("0x33333333")}) + (${shift(`y_${b}`, 2)} & ${mask("0x33333333")});`,
  ]);
  // Fields of 4 bits hold 4 + 2·4 = 12, of 8 bits 24 + 4·24 = 120, of 16 bits 240 + 16·240.
  const nibbles = range(4).map((p) => `let p_${p} = z_${2 * p} + (z_${2 * p + 1} << vec4<u32>(1u));`);
  const bytes = range(4).map(
    (p) => `let q_${p} = (p_${p} & ${mask("0x0f0f0f0f")}) + (${shift(`p_${p}`, 4)} & ${mask("0x0f0f0f0f")});`,
  );
  const halves = range(2).flatMap((h) => [
    `let s_${h} = q_${2 * h} + (q_${2 * h + 1} << vec4<u32>(2u));`,
    `let t_${h} = (s_${h} & ${mask("0x00ff00ff")}) + (${shift(`s_${h}`, 8)} & ${mask("0x00ff00ff")});`,
  ]);
  return [
    ...lines,
    ...nibbles,
    ...bytes,
    ...halves,
    "let wide = t_0 + (t_1 << vec4<u32>(4u));",
    `let weighted = (wide & ${mask("0x0000ffff")}) + ${shift("wide", 16)};`,
  ].join("\n");
}
