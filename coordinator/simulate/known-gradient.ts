// Contributions whose right sum is known: the first element of each tensor is a hash of (run's parameters, pass,
// microbatch), all else is zero. So a sum tells of each microbatch in it whether it was added once, and to the right
// parameters.

import type { Range } from "../../shared/base/intervals.ts";
import { powerOfTwo } from "../../shared/base/powers-of-two.ts";
import { blockSize, clipUnits, reportsMean } from "../../shared/codecs/codec.ts";
import { codecs } from "../../shared/codecs/codecs.ts";
import type { ContributionLayout, ContributionTensor } from "../../shared/wire/contribution.ts";
import { encodeBody } from "../../shared/wire/contribution-body.ts";
import { addContribution } from "../../shared/wire/naive-sum.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";

/** What of a round decides its contributions. */
export type KnownTerms = Pick<LeaseMessage, "pass" | "parametersHash" | "exponents" | "codec">;

/** First elements of the tensors, in units, and the peaks: a contribution without its zeros. */
export interface KnownSum {
  readonly units: Float64Array<ArrayBuffer>;
  readonly peaks: Float32Array<ArrayBuffer>;
}

/** A microbatch's hash takes so many bits beside the sign. */
const hashBits = 10;

/**
 * One sample's value is a multiple of 2^-this: small enough for parameters to live through many steps, and whole units
 * of every round.
 */
function fractionBits(kind: ContributionTensor["kind"]): number {
  switch (kind) {
    case "gradient":
    case "difference":
      return 16;
    case "statistic":
      return 8;
    case "metric":
      return 12;
    default:
      return kind satisfies never;
  }
}

/** A hash for what is measured: positive, and of much the same size everywhere, as losses and variances are. */
function measured(hash: number): number {
  return 2 ** (hashBits - 1) + (hash >> 2);
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
  const codec = codecs.get(terms.codec);
  const units = new Float64Array(tensors.length);
  const seed = mix(Number.parseInt(terms.parametersHash.slice(0, 8), 16) | 0, terms.pass * 4 + salt);
  const signed = tensors.map(({ kind }) => kind === "gradient" || kind === "difference");
  const scales = tensors.map(({ kind }, tensor) => 2 ** -fractionBits(kind) / powerOfTwo(terms.exponents[tensor]));
  for (const { from, to } of ranges) {
    for (let at = from; at < to; at += microbatch) {
      const samples = Math.min(microbatch, to - at);
      const position = mix(seed, at / microbatch);
      for (let tensor = 0; tensor < units.length; tensor++) {
        const hash = mix(position, tensor) >> (32 - hashBits - 1);
        units[tensor] += Math.round((signed[tensor] ? hash : measured(hash)) * samples * scales[tensor]);
      }
    }
  }
  // The same whatever the hashes came to, so that units do not wander from round to round. Differences grow with the
  // lease.
  const samples = ranges.reduce((total, { from, to }) => total + to - from, 0);
  const peaks = Float32Array.from(tensors, (tensor) => {
    const most = 2 ** (hashBits - fractionBits(tensor.kind));
    // Where the codec reports means, that over all elements.
    if (reportsMean(codec, tensor)) return most / tensor.size;
    return (tensor.kind === "difference" ? samples : microbatch) * most;
  });
  return { units, peaks };
}

/** The body of a contribution of `samples` in the round's codec, without error feedback. */
export function knownBody(
  { codec, exponents }: Pick<KnownTerms, "codec" | "exponents">,
  layout: ContributionLayout,
  units: ArrayLike<number>,
  samples: number,
): Uint8Array<ArrayBuffer> {
  const wire = wireLayout(layout, codec);
  const exact = wire.codec.accumulate === "exact";
  const arena = exact ? new Int32Array(layout.size) : new Float32Array(layout.size);
  layout.tensors.forEach(({ offset }, tensor) => {
    arena[offset] = exact
      ? Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), units[tensor]))
      : units[tensor] * powerOfTwo(exponents[tensor]);
  });
  const sum = new Uint8Array(arena.buffer);
  return encodeBody({ wire, sum, exponents, samples, residual: () => new Float32Array(wire.wide) }).body;
}

/** Of one block: as a codec treats the first of every tensor of known gradients. */
function blockLayout(wide: boolean): ContributionLayout {
  const tensor = { name: "block", kind: "gradient", role: "float", offset: 0, size: blockSize, wide } as const;
  return { tensors: [tensor], size: blockSize, segments: Uint32Array.of(0), metrics: [] };
}
const [narrowBlock, wideBlock] = [blockLayout(false), blockLayout(true)];

/** Of one contribution's tensor, before any codec. */
export interface KnownTensor {
  readonly wide: boolean;
  readonly exponent: number;
  /** Of its first element. */
  readonly units: number;
  readonly samples: number;
}

/** Units that the sum of a round gets of it, by the naive sum: for its first element, and for each other. */
export function receivedUnits(codec: string, { wide, exponent, units, samples }: KnownTensor) {
  // Integers travel as they are.
  const { accumulate, coding } = codecs.get(codec);
  if (accumulate === "exact" && coding === null)
    return { first: Math.min(clipUnits, Math.max(-clipUnits, units)), rest: 0 };
  const layout = wide ? wideBlock : narrowBlock;
  const sum = new Float64Array(blockSize);
  const body = knownBody({ codec, exponents: [exponent] }, layout, [units], samples);
  addContribution(wireLayout(layout, codec), body, samples, [exponent], sum);
  return { first: sum[0], rest: sum[1] };
}
