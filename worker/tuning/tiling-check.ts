// Judges a tiling by its result beside the naive kernel's, which adds the same products in the same order.

import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import { rng } from "../../shared/base/rng.ts";
import { signWords } from "../../shared/model/window.ts";
import { type Operand, operandElements, sumTerms } from "./pass-operands.ts";

/** Factor over the size of a random walk of roundings. */
const SAFETY = 8;
/** Relative rounding of f32. */
const EPSILON = 2 ** -24;
/** Numbers drawn; a prime, so that no row of channels meets the same ones. */
const DRAWN = 4093;
/** Largest magnitude of `operandData`'s values, of C among them, and of a surrogate's derivative. */
const LARGEST = 2;

export type OperandData = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/**
 * Reproducible content of an operand: values in ±1 and beyond, zeros among them; a result begins as NaN, to show what
 * is not written.
 */
export function operandData(operand: Operand): OperandData {
  const { name, role, rows, channels } = operand;
  const source = rng(1, "tiling check", name);
  const drawn = Uint32Array.from({ length: DRAWN }, () => source.uint32());
  switch (role) {
    case "values":
    case "sum":
      return Float32Array.from({ length: rows * channels }, (_, i) =>
        i % 13 === 7 ? 0 : drawn[i % DRAWN] / 2 ** 30 - 2,
      );
    case "result":
      return new Float32Array(rows * channels).fill(Number.NaN);
    case "signs": {
      const words = signWords(channels);
      const tail = channels % 32 === 0 ? 0xffffffff : 2 ** (channels % 32) - 1;
      return Uint32Array.from({ length: operandElements(operand) }, (_, i) => {
        const word = drawn[i % DRAWN];
        return i % words === words - 1 ? word & tail : word;
      });
    }
    default:
      return role satisfies never;
  }
}

/**
 * `same`: bit for bit, ±0 apart. `close`: within the rounding of its sums, as a compiler that fuses otherwise gives.
 */
export type Verdict = "same" | "close" | "wrong";

/**
 * Compares results of `pass` on `operandData`. Close is within c·√K·2⁻²⁴·max(product, |result|) for sums of K products.
 */
export function judge(pass: ConvolutionPass, result: Float32Array, reference: Float32Array): Verdict {
  let error = 0;
  let largest = LARGEST ** 3;
  for (let i = 0; i < reference.length; i++) {
    const difference = Math.abs(result[i] - reference[i]);
    // NaN is no difference: it is wrong wherever it stands.
    if (!(difference < Number.POSITIVE_INFINITY)) return "wrong";
    error = Math.max(error, difference);
    largest = Math.max(largest, Math.abs(reference[i]));
  }
  if (error === 0) return "same";
  return error <= SAFETY * Math.sqrt(sumTerms(pass)) * EPSILON * largest ? "close" : "wrong";
}
