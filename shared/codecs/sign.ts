// `sign`: one bit an element with error feedback: what a bit cannot say stays with the worker and is said later
// (Seide et al., Interspeech 2014; Karimireddy et al., "Error feedback fixes SignSGD", ICML 2019).

import { BitswarmError } from "../base/errors.ts";
import { powerOfTwo } from "../base/powers-of-two.ts";
import type { Codec, Coded, CodedTerms } from "./codec.ts";

/**
 * A residual is kept within this many mean magnitudes of its tensor: rare large values must not be repeated for ever.
 */
export const residualBound = 8;

/**
 * Encodes c = gradient + residual as its signs, 1 for negative (0 counts as positive), element i at bit i % 8 of byte
 * i / 8, and leaves in `residual` what the signs, taken as ±samples·2^exponent, did not say:
 *
 *     e ← clip(c − samples·sign(c)·2^s, ±8·samples·max(2^s, mean|c|))
 *
 * Everything is a sum over samples, as contributions are, so that leases of any size hand on the same residual:
 * what was sent and what is left always add up to the gradients, save for the clip.
 * @param bits written; as many bytes as hold the elements, zero before
 * @returns mean |c| a sample: the coordinator chooses the scale of the next step from it
 * @throws GRADIENT_NOT_FINITE; nothing is changed then
 */
export function encodeSigns(
  gradient: Float32Array,
  residual: Float32Array,
  samples: number,
  exponent: number,
  bits: Uint8Array,
): number {
  let magnitudes = 0;
  for (let i = 0; i < gradient.length; i++) magnitudes += Math.abs(gradient[i] + residual[i]);
  if (!(magnitudes < Infinity)) {
    const at = gradient.findIndex((value) => !(Math.abs(value) < Infinity));
    throw new BitswarmError("GRADIENT_NOT_FINITE", `gradient: element ${at} of a coded tensor is ${gradient[at]}`);
  }
  const mean = gradient.length === 0 ? 0 : magnitudes / gradient.length;
  const said = samples * powerOfTwo(exponent);
  const bound = residualBound * Math.max(said, mean);
  for (let i = 0; i < gradient.length; i++) {
    const c = gradient[i] + residual[i];
    if (c < 0) bits[i >> 3] |= 1 << (i & 7);
    const left = c < 0 ? c + said : c - said;
    residual[i] = Math.min(bound, Math.max(-bound, left));
  }
  return mean / samples;
}

/** One bit an element; each tensor's scale is its unit. */
function encodeTensors(values: Float32Array, terms: CodedTerms, residual: Float32Array): Coded {
  const bytes = new Uint8Array(values.length / 8);
  const means = terms.tensors.map(({ index, at, size }) =>
    encodeSigns(
      values.subarray(at, at + size),
      residual.subarray(at, at + size),
      terms.samples,
      terms.exponents[index],
      bytes.subarray(at / 8, Math.ceil((at + size) / 8)),
    ),
  );
  return { bytes, means };
}

export const sign: Codec = {
  kind: "sign",
  number: 5,
  accumulate: "float",
  exactSums: false,
  coding: {
    bytes: (elements) => elements / 8,
    encode: (values, terms, residual) => encodeTensors(values, terms, residual()),
    // A sign counts as the unit, once for each sample.
    read:
      (bytes, { samples }) =>
      (i) =>
        bytes.getUint8(i >> 3) & (1 << (i & 7)) ? -samples : samples,
    unit: { from: "mean" },
    errorFeedback: true,
  },
};
