// Terms of an objective against another network in float64, as SPEC.md's annex 9 reads: their values, and their
// gradients with respect to what they compare, on both sides.

import { roundHalfEven } from "../../../shared/model/methods/round-half-even.ts";
import type { Loss } from "../../../shared/model/phases.ts";

/** What a term compares: outputs [n][classes], or maps. */
export interface Pair {
  readonly own: Float64Array;
  readonly other: Float64Array;
}

export interface Term {
  readonly loss: number;
  /** Of each side; nothing where it is held constant. */
  readonly own?: Float64Array;
  readonly other?: Float64Array;
}

function softmax(z: Float64Array): Float64Array {
  const most = Math.max(...z);
  const powers = z.map((v) => Math.exp(v - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((v) => v / total);
}

/** H(q, p), or the divergence of p from q, of q's logits `targets`: row by row. */
function soft(logits: Float64Array, targets: Float64Array, n: number, divergence: boolean, loss: Loss) {
  const { temperature: t = 1, element = 0 } = loss.options ?? {};
  const classes = logits.length / n;
  const factor = (divergence ? t * t : 1) / (n * (element === 1 ? classes : 1));
  const dLogits = new Float64Array(logits.length);
  const dTargets = new Float64Array(logits.length);
  let sum = 0;
  for (let row = 0; row < n; row++) {
    const [p, q] = [logits, targets].map((z) => softmax(z.slice(row * classes, (row + 1) * classes).map((v) => v / t)));
    const cost = p.map((v, k) => (divergence ? Math.log(q[k]) : 0) - Math.log(v));
    const mean = cost.reduce((all, c, k) => all + q[k] * c, 0);
    sum += factor * mean;
    for (let k = 0; k < classes; k++) {
      dLogits[row * classes + k] = (factor * (p[k] - q[k])) / t;
      dTargets[row * classes + k] = (factor * q[k] * (cost[k] - mean)) / t;
    }
  }
  return { loss: sum, dLogits, dTargets };
}

function distance({ own, other }: Pair, factor: number, bits: number): Term {
  const levels = 2 ** bits - 1;
  const q = other.map((v) => (bits === 0 ? v : roundHalfEven(levels * Math.min(1, Math.max(0, v))) / levels));
  const gradient = own.map((v, i) => 2 * factor * (v - q[i]));
  return {
    loss: own.reduce((sum, v, i) => sum + factor * (v - q[i]) ** 2, 0),
    own: gradient,
    other: gradient.map((g, i) => (bits > 0 && (other[i] < 0 || other[i] > 1) ? 0 : -g)),
  };
}

/** A term of outputs, over n samples. */
export function outputTerm(loss: Loss, pair: Pair, n: number): Term {
  const { own, other } = pair;
  switch (loss.kind) {
    case "soft": {
      const { loss: value, dLogits, dTargets } = soft(own, other, n, false, loss);
      return { loss: value, own: dLogits, ...(loss.options?.targetGradient === 1 && { other: dTargets }) };
    }
    case "divergence": {
      const { loss: value, dLogits } = soft(own, other, n, true, loss);
      return { loss: value, own: dLogits };
    }
    case "teacher-divergence": {
      const { loss: value, dLogits } = soft(other, own, n, true, loss);
      return { loss: value, other: dLogits };
    }
    case "logits":
      return distance(pair, 1 / own.length, 0);
    default:
      throw new RangeError(`${loss.kind} is no term of outputs`);
  }
}

/** `features`, of one map of so many, over n samples. */
export function mapTerm(loss: Loss, pair: Pair, n: number, maps: number): Term {
  return distance(pair, 0.5 / n / maps, loss.options?.bits ?? 0);
}
