// Loops written out in the text. A software adapter masks every register at each branch, so a step must hold many
// products for one turn of a loop; a GPU gains by independent loads.
import { range } from "./range.ts";

/** Products in one stretch of code without a loop: beyond it the code outgrows the instruction cache of a CPU. */
export const STRETCH_PRODUCTS = 1152;
/** Scalars loaded in one stretch: on a software adapter each is a gather of its own. */
export const STRETCH_LOADS = 256;

/** What one step of a loop does. */
export interface Step {
  readonly products: number;
  readonly loads: number;
}

export function fitsStretch(count: number, step: Step): boolean {
  return count * step.products <= STRETCH_PRODUCTS && count * step.loads <= STRETCH_LOADS;
}

/** Copies a turn: all `count` of them, and so no loop, where that is a short stretch; else one. */
export function unrollFactor(count: number, step: Step): number {
  return fitsStretch(count, step) ? count : 1;
}

/**
 * `body` for variable = 0 … count − 1, `factor` copies a turn; no loop at all where one turn is enough. Declares
 * `variable` for the body, and reads nothing.
 */
export function unrolledLoop(variable: string, count: number, factor: number, body: string): string {
  const turn = (start: string) =>
    range(factor)
      .map((k) => `{\nlet ${variable} = ${start === "" ? `${k}u` : `${start} + ${k}u`};\n${body}\n}`)
      .join("\n");
  if (factor === count) return turn("");
  const start = `${variable}_turn`;
  return `for (var ${start} = 0u; ${start} < ${count}u; ${start} += ${factor}u) {\n${turn(start)}\n}`;
}
