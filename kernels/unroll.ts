// Loops written out in the text. A software adapter masks every register at each branch, so a step must hold many products
// for one turn of a loop; a GPU gains by independent loads.
import { range } from "./gemm.ts";

/** Products in one stretch of code without a loop: beyond it the code outgrows the instruction cache of a CPU. */
export const STRETCH_PRODUCTS = 1152;

/** Copies a turn: all `count` of them, and so no loop, where that is a short stretch; else one. */
export function unrollFactor(count: number, products: number): number {
  return count * products <= STRETCH_PRODUCTS ? count : 1;
}

/** `body` for variable = 0 … count − 1, `factor` copies a turn; no loop at all where one turn is enough. */
export function unrolledLoop(variable: string, count: number, factor: number, body: string): string {
  const turn = (start: string) =>
    range(factor)
      .map((k) => `{\nlet ${variable} = ${start === "" ? `${k}u` : `${start} + ${k}u`};\n${body}\n}`)
      .join("\n");
  if (factor === count) return turn("");
  const start = `${variable}_turn`;
  return `for (var ${start} = 0u; ${start} < ${count}u; ${start} += ${factor}u) {\n${turn(start)}\n}`;
}
