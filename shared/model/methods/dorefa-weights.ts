// DoReFa-Net's k-bit weights (Zhou et al. 2016), which Zhuang et al. train with, too: tanh W over its largest
// magnitude, in 2^k levels from −1 to 1; one bit is sign W times the layer's mean of |W|.

import { linearPlanes } from "./bit-planes.ts";
import { roundHalfEven } from "./round-half-even.ts";

/** What a layer's W is quantised to. */
export interface DorefaWeights {
  /** f32 [bits][W]: ±1. W̃ = Σ scale[m] planes[m]. */
  readonly planes: Float32Array;
  /** f32 [bits] */
  readonly scale: Float32Array;
}

/** 0 … 2^bits − 1 of each weight: round((2^bits − 1) z), z = tanh W / (2 max|tanh W|) + ½, ties to even. */
export function dorefaCodes(weight: Float32Array, bits: number): Uint8Array {
  const levels = 2 ** bits - 1;
  const most = largestTanh(weight);
  const codes = new Uint8Array(weight.length);
  for (let i = 0; i < codes.length; i++) codes[i] = roundHalfEven(levels * (Math.tanh(weight[i]) / (2 * most) + 0.5));
  return codes;
}

export function dorefaPlanes(weight: Float32Array, bits: number): Float32Array {
  return bits === 1 ? weight.map((w) => (w < 0 ? -1 : 1)) : linearPlanes(dorefaCodes(weight, bits), bits);
}

/** E = mean|W| of one bit; 2^m / (2^bits − 1) of plane m of more, since 2·code/(2^bits − 1) − 1 is their sum. */
export function dorefaScale(weight: Float32Array, bits: number): Float32Array {
  if (bits > 1) return Float32Array.from({ length: bits }, (_, m) => 2 ** m / (2 ** bits - 1));
  let sum = 0;
  for (const w of weight) sum += Math.abs(w);
  return Float32Array.of(sum / weight.length);
}

/**
 * ∂L/∂W from G = ∂L/∂W̃. One bit: G, E constant. More: with T = max|tanh W|, G (1 − tanh²W)/T, round being passed
 * straight through; and with `maxGradient` through T, which is shared evenly by the weights that have it:
 * −sign W (1 − T²) Σ G tanh W / T².
 */
export function dorefaGradient(
  weight: Float32Array,
  gradient: Float64Array,
  bits: number,
  maxGradient: boolean,
): Float64Array {
  if (bits === 1) return gradient.slice();
  const most = largestTanh(weight);
  const result = new Float64Array(weight.length);
  let ofMost = 0;
  const holders: number[] = [];
  for (let i = 0; i < weight.length; i++) {
    const t = Math.tanh(weight[i]);
    result[i] = ((1 - t * t) * gradient[i]) / most;
    ofMost -= (gradient[i] * t) / (most * most);
    if (Math.abs(t) === most) holders.push(i);
  }
  if (maxGradient) {
    for (const i of holders) result[i] += ((1 - most * most) * Math.sign(weight[i]) * ofMost) / holders.length;
  }
  return result;
}

/** 1 where every weight is 0, whose quotient is then 0. */
function largestTanh(weight: Float32Array): number {
  let largest = 0;
  for (const w of weight) largest = Math.max(largest, Math.abs(w));
  return Math.tanh(largest) || 1;
}
