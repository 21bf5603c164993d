// RBCN (Liu et al., IJCAI 2019): conv(sign x, sign W ⊙ C) with a learned C, and L_Kernel that draws W and C together.
// The equations are in README.md here.

import { z } from "zod";
import { type Rectify, rectifyShape, type Surrogate } from "../rectify.ts";
import {
  clamp,
  commonBlock,
  companionOf,
  defineMethod,
  type LatentLayer,
  type Method,
  type MethodFields,
  type SignBody,
  signBody,
} from "./method.ts";
import { trainingProgram } from "./programs.ts";
import { bestRectifier, rectifierIndex, type ScaleShape } from "./shared-scale.ts";

/** How L_Kernel reaches W: `direct` holds Ŵ constant; `literal` is equation 3.71 as printed; `both` adds them. */
export type KernelGradient = "direct" | "both" | "literal";

export interface RbcnOptions {
  readonly rectify: Rectify;
  /** Surrogate of the sign of activations; the weights' is always `bireal`. */
  readonly surrogate: Surrogate;
  readonly kernelGradient: KernelGradient;
  readonly lambdaKernel: number;
}

/** One layer with what its gradients depend on. All arrays in OHWI order. */
export interface RbcnLayer {
  readonly shape: LatentLayer["shape"];
  readonly weight: Float32Array;
  /** Learnable matrix C. */
  readonly rectifier: Float32Array;
  readonly rectifierShape: ScaleShape;
  /** Aggregated ∂L/∂(Ŵ⊙C). */
  readonly gradient: Float64Array;
}

export interface RbcnGradients {
  readonly weight: Float64Array;
  readonly rectifier: Float64Array;
  /** λ/2 Σ ‖W − C⊙Ŵ‖² of this layer. */
  readonly kernelLoss: number;
}

/** ∂Ŵ/∂W: 2+2W on [−1,0), 2−2W on [0,1), 0 elsewhere (RBCN eq. 3.72; Bi-Real). */
export function weightSurrogate(w: number): number {
  return w >= -1 && w < 1 ? 2 - 2 * Math.abs(w) : 0;
}

const indexCache = new WeakMap<Float32Array, Uint32Array>();

function cachedIndex(layer: RbcnLayer): Uint32Array {
  const known = indexCache.get(layer.rectifier);
  if (known) return known;
  const index = rectifierIndex(layer.shape, layer.rectifierShape);
  indexCache.set(layer.rectifier, index);
  return index;
}

/** RBCN's gradients from the aggregated G = ∂L/∂(Ŵ⊙C): ∂W = G⊙C⊙surrogate(W), ∂C = Σ G⊙Ŵ, and L_Kernel's. */
export function rbcnGradients(
  layer: RbcnLayer,
  options: Pick<RbcnOptions, "lambdaKernel" | "kernelGradient">,
): RbcnGradients {
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

/** The surrogate of W is zero outside of ±1. */
export const RBCN_BOUND = 1;

/** @param beside companions of W other than C, of methods that build on this one */
export function rbcn(options: RbcnOptions, beside: SignBody["companions"] = () => []): Method {
  const { rectify, surrogate } = options;
  const scaleShape = ([out, kernel, , input]: LatentLayer["shape"]) => rectifyShape(rectify, out, kernel, input);
  return {
    kind: "rbcn",
    binarizesInput: true,
    block: commonBlock,
    body: signBody({
      rectify,
      surrogate,
      companions: (layer) => [
        { name: "c", role: "learned", shape: rectifyShape(rectify, layer.out, layer.kernel, layer.in) },
        ...beside(layer),
      ],
    }),
    rule: {
      companion: (_, { shape, weight }) => bestRectifier(shape, scaleShape(shape), weight),
      gradients: (layer, gradient) => {
        const { shape, weight } = layer;
        const rectifier = companionOf(layer, "c");
        const { kernelLoss, ...of } = rbcnGradients(
          { shape, weight, rectifier, rectifierShape: scaleShape(shape), gradient },
          options,
        );
        return { weight: of.weight, learned: { c: of.rectifier }, losses: { kernel: kernelLoss } };
      },
      settle: ({ weight }) => clamp(weight, RBCN_BOUND),
    },
  };
}

/** Far beyond any weight of L_Kernel that leaves the loss finite. */
export const MOST_LAMBDA = 1e6;

export const rbcnSchema = z.strictObject({
  kind: z.literal("rbcn"),
  rectify: z.enum(["kernel", "layer", "out", "filter"]).default("kernel").describe("shape of C"),
  surrogate: z.enum(["bireal", "ste"]).default("bireal").describe("derivative of the sign of activations"),
  lambdaKernel: z.number().min(0).max(MOST_LAMBDA).default(1e-4).describe("weight of L_Kernel"),
  kernelGradient: z.enum(["direct", "both", "literal"]).default("direct").describe("how L_Kernel reaches W"),
  ablation: z
    .enum(["R", "R+G", "R+G+B"])
    .default("R+G+B")
    .describe("rectified convolution; with the GAN; with the BN phase"),
});

type Ablated = Pick<z.output<typeof rbcnSchema>, "ablation">;

/** What a run does by the paper's columns, where the configuration does not say what else. */
export const byAblation = {
  objective: ({ ablation }: Ablated) => ({ kind: ablation === "R" ? "none" : "adversarial" }),
  tunes: ({ ablation }: Ablated) => ablation === "R+G+B",
  check: ({ ablation }: Ablated, { bnPhase, tuneNorms }: MethodFields) =>
    bnPhase === 0 && ablation === "R+G+B" && tuneNorms === "method"
      ? ["bnPhase: must be above 0 for ablation R+G+B; got 0 (use method.ablation R+G to leave the phase out)"]
      : [],
} as const;

export const rbcnMethod = defineMethod({
  kind: "rbcn",
  schema: rbcnSchema,
  deviceRule: true,
  ...byAblation,
  create: rbcn,
  phases: (_, run) => trainingProgram(run),
});
