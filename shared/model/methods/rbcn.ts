// The registry of methods: full precision (the teacher) and RBCN.

import type { LatentGradients, LatentLayer, Method, RbcnOptions } from "./method.ts";

/** Real convolutions, no sign: the teacher's method. */
export const fullPrecision: Method = {
  name: "full-precision",
  binarizesInput: false,
  body: (graph, layer) => graph.add({ op: "conv", ...layer }),
};

/**
 * Index into C for each element of W, both in OHWI order; an axis of C with size 1 is shared.
 * @returns u32 of W's size
 */
export function rectifierIndex(w: LatentLayer["shape"], c: LatentLayer["rectifierShape"]): Uint32Array {
  const index = new Uint32Array(w[0] * w[1] * w[2] * w[3]);
  const stride = [c[1] * c[2] * c[3], c[2] * c[3], c[3], 1].map((s, axis) => (c[axis] === 1 ? 0 : s));
  let at = 0;
  for (let o = 0; o < w[0]; o++) {
    for (let y = 0; y < w[1]; y++) {
      for (let x = 0; x < w[2]; x++) {
        const base = o * stride[0] + y * stride[1] + x * stride[2];
        for (let i = 0; i < w[3]; i++) index[at++] = base + i * stride[3];
      }
    }
  }
  return index;
}

/** ∂Ŵ/∂W: 2+2W on [−1,0), 2−2W on [0,1), 0 elsewhere (RBCN eq. 3.72; Bi-Real). */
export function weightSurrogate(w: number): number {
  return w >= -1 && w < 1 ? 2 - 2 * Math.abs(w) : 0;
}

/**
 * For fixed W the best C is the mean of |W| over the elements that share it, so C starts there.
 * @returns f32 of C's size
 */
export function bestRectifier(
  shape: LatentLayer["shape"],
  rectifierShape: LatentLayer["rectifierShape"],
  weight: Float32Array,
): Float32Array {
  const index = rectifierIndex(shape, rectifierShape);
  const sum = new Float64Array(rectifierShape.reduce((a, b) => a * b));
  for (let i = 0; i < weight.length; i++) sum[index[i]] += Math.abs(weight[i]);
  const share = weight.length / sum.length;
  return Float32Array.from(sum, (s) => s / share);
}

const indexCache = new WeakMap<Float32Array, Uint32Array>();

function cachedIndex(layer: LatentLayer): Uint32Array {
  const known = indexCache.get(layer.rectifier);
  if (known) return known;
  const index = rectifierIndex(layer.shape, layer.rectifierShape);
  indexCache.set(layer.rectifier, index);
  return index;
}

/** RBCN's gradients from the aggregated G = ∂L/∂(Ŵ⊙C): ∂W = G⊙C⊙surrogate(W), ∂C = Σ G⊙Ŵ, and L_Kernel's. */
export function rbcnGradients(layer: LatentLayer, options: RbcnOptions): LatentGradients {
  const { weight, rectifier, gradient } = layer;
  const { lambdaKernel, kernelGradient } = options;
  const index = cachedIndex(layer);
  const dWeight = new Float64Array(weight.length);
  const dRectifier = new Float64Array(rectifier.length);
  let loss = 0;
  for (let i = 0; i < weight.length; i++) {
    const w = weight[i];
    const sign = w < 0 ? -1 : 1;
    const c = rectifier[index[i]];
    const surrogate = weightSurrogate(w);
    const residual = w - c * sign;
    loss += residual * residual;
    const direct = kernelGradient === "literal" ? 0 : lambdaKernel * residual;
    const throughSign = kernelGradient === "direct" ? 0 : -lambdaKernel * residual * c * surrogate;
    dWeight[i] = gradient[i] * c * surrogate + direct + throughSign;
    dRectifier[index[i]] += gradient[i] * sign - lambdaKernel * residual * sign;
  }
  return { weight: dWeight, rectifier: dRectifier, kernelLoss: (lambdaKernel / 2) * loss };
}

export function rbcn(options: RbcnOptions): Method {
  return {
    name: "rbcn",
    binarizesInput: true,
    body: (graph, layer) =>
      graph.add({ op: "rbconv", rectify: options.rectify, surrogate: options.surrogate, ...layer }),
    latentGradients: (layer) => rbcnGradients(layer, options),
    clampWeight: 1,
  };
}
