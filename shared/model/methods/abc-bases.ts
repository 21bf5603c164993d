// ABC-Net's weights (Lin et al., NIPS 2017): a sum of M planes of signs of W, shifted by multiples of its deviation,
// with the coefficients that bring the sum nearest to W.

import { leastSquares } from "./least-squares.ts";
import type { LatentLayer } from "./method.ts";

/** One set of coefficients a layer, or one a filter. */
export type BaseScale = "layer" | "out";

/** u_m = −1 + 2(m − 1)/(M − 1) of plane m = 1 … M; 0 of the only one. */
export function baseShifts(bases: number): readonly number[] {
  return bases === 1 ? [0] : Array.from({ length: bases }, (_, m) => -1 + (2 * m) / (bases - 1));
}

/**
 * B_m = sign(W − mean + u_m std), with mean and std (of the population) of what shares the coefficients.
 * @returns f32 [bases][W]
 */
export function abcPlanes(
  { shape, weight }: Pick<LatentLayer, "shape" | "weight">,
  bases: number,
  scale: BaseScale,
): Float32Array {
  const sets = scale === "out" ? shape[0] : 1;
  const each = weight.length / sets;
  const planes = new Float32Array(bases * weight.length);
  for (let set = 0; set < sets; set++) {
    const [from, to] = [set * each, (set + 1) * each];
    let sum = 0;
    for (let i = from; i < to; i++) sum += weight[i];
    const mean = sum / each;
    let squares = 0;
    for (let i = from; i < to; i++) squares += (weight[i] - mean) ** 2;
    const deviation = Math.sqrt(squares / each);
    baseShifts(bases).forEach((u, m) => {
      const at = m * weight.length;
      for (let i = from; i < to; i++) planes[at + i] = weight[i] - mean + u * deviation < 0 ? -1 : 1;
    });
  }
  return planes;
}

/**
 * α that makes ‖W − Σ α_m B_m‖² least, of the layer or of each filter.
 * @param planes f32 [bases][W] @returns f32 [bases], or [bases][out]
 */
export function abcScale(
  { shape, weight }: Pick<LatentLayer, "shape" | "weight">,
  planes: Float32Array,
  bases: number,
  scale: BaseScale,
): Float32Array {
  const sets = scale === "out" ? shape[0] : 1;
  const each = weight.length / sets;
  const result = new Float32Array(bases * sets);
  for (let set = 0; set < sets; set++) {
    const plane = (m: number) => planes.subarray(m * weight.length + set * each, m * weight.length + (set + 1) * each);
    const own = Array.from({ length: bases }, (_, m) => plane(m));
    // Symmetric, and every ±1 times itself is 1.
    const gram = own.map((_, i) => own.map((__, j) => (i === j ? each : 0)));
    for (let i = 0; i < bases; i++) for (let j = 0; j < i; j++) gram[i][j] = gram[j][i] = product(own[i], own[j]);
    const right = own.map((a) => product(a, weight.subarray(set * each, (set + 1) * each)));
    leastSquares(gram, right).forEach((alpha, m) => {
      result[m * sets + set] = alpha;
    });
  }
  return result;
}

function product(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** ∂L/∂W = (Σ_m α_m) G: each plane passes it straight through. @param alpha f32 [bases], or [bases][out] */
export function abcGradient(gradient: Float64Array, alpha: Float32Array, bases: number): Float64Array {
  const sets = alpha.length / bases;
  const sums = Array.from({ length: sets }, (_, set) => {
    let sum = 0;
    for (let m = 0; m < bases; m++) sum += alpha[m * sets + set];
    return sum;
  });
  const each = gradient.length / sets;
  const result = new Float64Array(gradient.length);
  sums.forEach((alpha, set) => {
    for (let i = set * each; i < (set + 1) * each; i++) result[i] = alpha * gradient[i];
  });
  return result;
}
