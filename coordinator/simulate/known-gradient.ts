// Contributions whose right sum is known: the first element of each tensor is a hash of (run's parameters, pass, microbatch),
// all else is zero. So a sum tells of each microbatch in it whether it was added once, and to the right parameters.

import { encodedBytes, encodeInt8, type GradientCodec } from "../../shared/codec.ts";
import type { ContributionLayout, ContributionTensor } from "../../shared/contribution.ts";
import type { Range } from "../../shared/intervals.ts";
import type { LeaseMessage } from "../../shared/protocol.ts";
import { unitOf } from "../exponents.ts";

/** What of a round decides its contributions. */
export type KnownTerms = Pick<LeaseMessage, "kind" | "pass" | "parametersHash" | "exponents" | "codec">;

/** First elements of the tensors, in units, and the peaks: a contribution without its zeros. */
export interface KnownSum {
  readonly units: Float64Array<ArrayBuffer>;
  readonly peaks: Float32Array<ArrayBuffer>;
}

/** A microbatch's hash takes so many bits beside the sign. */
const hashBits = 10;

/** One sample's value is a multiple of 2^-this: small enough for parameters to live through many steps, and whole units of every round. */
function fractionBits(kind: ContributionTensor["kind"]): number {
  switch (kind) {
    case "gradient":
      return 16;
    case "statistic":
      return 8;
    case "metric":
      return 12;
    default:
      return kind satisfies never;
  }
}

/** 32 well mixed bits of two words (the finalizer of MurmurHash3: Appleby, 2011). */
function mix(a: number, b: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * The right sum over `ranges`, which begin at multiples of `microbatch`. Like a worker's, each microbatch is rounded to
 * units alone, so that the sum does not depend on how the ranges are cut.
 * @param salt 0 for honest work; others give other numbers that are as well formed
 */
export function knownSum(
  terms: KnownTerms,
  layout: ContributionLayout,
  ranges: readonly Range[],
  microbatch: number,
  salt = 0,
): KnownSum {
  const { tensors } = layout;
  const units = new Float64Array(tensors.length);
  const seed = mix(Number.parseInt(terms.parametersHash.slice(0, 8), 16) | 0, terms.pass * 4 + salt);
  const scales = tensors.map(({ kind }, tensor) => 2 ** -fractionBits(kind) / unitOf(terms.exponents[tensor]));
  for (const { from, to } of ranges) {
    for (let at = from; at < to; at += microbatch) {
      const samples = Math.min(microbatch, to - at);
      const position = mix(seed, at / microbatch);
      for (let tensor = 0; tensor < units.length; tensor++) {
        const hash = (mix(position, tensor) >> (32 - hashBits - 1)) * samples;
        units[tensor] += Math.round(hash * scales[tensor]);
      }
    }
  }
  // The same whatever the hashes came to, so that units do not wander from round to round.
  const peaks = Float32Array.from(tensors, ({ kind }) => microbatch * 2 ** (hashBits - fractionBits(kind)));
  return { units, peaks };
}

/** The whole arena of a sum in the round's codec. */
export function knownBody({ codec, exponents }: KnownTerms, layout: ContributionLayout, units: Float64Array) {
  const body = new Uint8Array(encodedBytes(codec, layout.size));
  if (codec === "exact") {
    const words = new Int32Array(body.buffer);
    layout.tensors.forEach(({ offset }, tensor) => {
      words[offset] = Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), units[tensor]));
    });
    return body;
  }
  const values = new Float32Array(layout.size);
  layout.tensors.forEach(({ offset }, tensor) => {
    values[offset] = units[tensor] * unitOf(exponents[tensor]);
  });
  return encodedValues(codec, values);
}

function encodedValues(
  codec: Exclude<GradientCodec, "exact">,
  values: Float32Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  switch (codec) {
    case "f32":
      return new Uint8Array(values.buffer);
    case "int8":
      return encodeInt8(values);
    default:
      return codec satisfies never;
  }
}
