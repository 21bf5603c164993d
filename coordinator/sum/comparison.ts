// Whether two answers to the same range are the same work: equal but for what one GPU rounds otherwise than another.

import type { UsualPeak } from "./contribution.ts";
import type { NormGroup, TensorSpan } from "./gradient-norms.ts";

/** A contribution as integers of its round's units. */
export interface ComparedWork {
  readonly units: Float64Array;
  /** Bits of one f32 a tensor of the layout. */
  readonly peaks: Uint32Array;
  /** Kind of device: adapter, runtime; within one, kernels round alike. */
  readonly deviceClass: string;
}

/** Of a round: what its contributions consist of. */
export interface ComparisonTerms {
  readonly spans: readonly TensorSpan[];
  readonly peaks: readonly UsualPeak[];
}

export type Comparison =
  | { readonly kind: "same" }
  | { readonly kind: "different"; readonly group: NormGroup; readonly cosine: number; readonly ratio: number }
  /** All agrees but what travelled as signs. */
  | { readonly kind: "unlike-peaks"; readonly tensor: string }
  | { readonly kind: "unlike-signs"; readonly group: NormGroup; readonly agreement: number };

/** Least cosine of two vectors of gradients, within a class of devices and across. */
export const LEAST_COSINE = { within: 0.999, across: 0.98 } as const;
/** Largest |1 − ratio| of their norms. */
export const NORM_TOLERANCE = { within: 0.01, across: 0.1 } as const;

/** Two answers' peaks of a tensor may differ by this factor; what was forged is a matter of powers. */
export const PEAK_TOLERANCE = { within: 2, across: 8 } as const;
/** Peaks below this share of the largest are rounding, e.g. of a bias that a norm takes out again. */
const PEAK_NOISE = 1e-4;

/** The first tensor of which one answer reports a far larger peak. */
function unlikePeak(a: Uint32Array, b: Uint32Array, tensors: readonly UsualPeak[], tolerance: number) {
  const [own, other] = [a, b].map((bits) => new Float32Array(Uint32Array.from(bits).buffer));
  const common = tensors.map(({ magnitude }, i) => (magnitude ? Math.min(own[i], other[i]) : 0));
  const noise = PEAK_NOISE * Math.max(0, ...common);
  return tensors.find(({ magnitude }, i) => {
    const least = Math.max(noise, common[i]);
    return magnitude && Math.max(own[i], other[i]) > tolerance * least;
  });
}

/**
 * Least agreement of two answers in signs: the share of equal ones less that of others, 0 of unrelated ones. Each
 * worker adds its own error feedback, so honest ones agree in part only: 0.30 ± 0.14 in the median round of a teacher's
 * beginning, 0.5 and more of a student (`bench attackers --codec sign`), and once in a hundred not at all, for which
 * nobody is blamed at once. Blame takes the same of the account's next audit, in which it has no feedback: were the two
 * independent, fewer than one in ten thousand audits of an honest account. What two GPUs round differently adds
 * nothing: of 23 million wide gradients that lavapipe in Deno and SwiftShader in Chromium computed for the same leases
 * of the example, none had another sign. Signs that have nothing to do with the gradient agree by 0 ± 1/√n: with the
 * example's 44,064 they pass one comparison in 70,000.
 */
export const LEAST_AGREEMENT = 0.02;

/** Share of elements with one sign less that of those with two. */
function signAgreement(a: Float64Array, b: Float64Array, spans: readonly TensorSpan[]): number {
  let [sum, elements] = [0, 0];
  for (const { offset, size } of spans) {
    elements += size;
    for (let i = offset; i < offset + size; i++) sum += Math.sign(a[i] * b[i]);
  }
  return elements === 0 ? 1 : sum / elements;
}

/** Cosine and ratio of norms of one group; two zeros are the same, a zero and anything else are not. */
function alike(a: Float64Array, b: Float64Array, spans: readonly TensorSpan[]): { cosine: number; ratio: number } {
  let [product, squareA, squareB] = [0, 0, 0];
  for (const { offset, size, unit } of spans) {
    const square = unit * unit;
    for (let i = offset; i < offset + size; i++) {
      product += square * a[i] * b[i];
      squareA += square * a[i] * a[i];
      squareB += square * b[i] * b[i];
    }
  }
  if (squareA === 0 && squareB === 0) return { cosine: 1, ratio: 1 };
  if (squareA === 0 || squareB === 0) return { cosine: 0, ratio: 0 };
  return { cosine: product / Math.sqrt(squareA * squareB), ratio: Math.sqrt(squareA / squareB) };
}

/** Compares group by group, then peaks, then what travelled as signs. */
export function compareWork(a: ComparedWork, b: ComparedWork, { spans, peaks }: ComparisonTerms): Comparison {
  const within = a.deviceClass === b.deviceClass ? "within" : "across";
  for (const group of ["gradient", "critic", "statistic", "metric"] as const) {
    const own = spans.filter((span) => span.group === group && !span.signs);
    const { cosine, ratio } = alike(a.units, b.units, own);
    if (cosine >= LEAST_COSINE[within] && Math.abs(1 - ratio) <= NORM_TOLERANCE[within]) continue;
    return { kind: "different", group, cosine, ratio };
  }
  const forged = unlikePeak(a.peaks, b.peaks, peaks, PEAK_TOLERANCE[within]);
  if (forged) return { kind: "unlike-peaks", tensor: forged.name };
  for (const group of ["gradient", "critic"] as const) {
    const own = spans.filter((span) => span.group === group && span.signs);
    const agreement = signAgreement(a.units, b.units, own);
    if (agreement < LEAST_AGREEMENT) return { kind: "unlike-signs", group, agreement };
  }
  return { kind: "same" };
}
