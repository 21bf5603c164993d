// The contract of a training method: what stands where a layer can be binary, and how an aggregated gradient becomes gradients of the latent parameters.

import type { ConvolutionFields, GraphBuilder, NodeId } from "../graph.ts";
import type { Rectify, Surrogate } from "../rectify.ts";

/** How L_Kernel reaches W (METHOD: `direct` holds Ŵ constant; `literal` is equation 3.71 as printed; `both` adds them). */
export type KernelGradient = "direct" | "both" | "literal";

export interface RbcnOptions {
  readonly rectify: Rectify;
  /** Surrogate of the sign of activations; the weights' is always `bireal`. */
  readonly surrogate: Surrogate;
  readonly kernelGradient: KernelGradient;
  readonly lambdaKernel: number;
}

/** One binary layer at a commit. All arrays f32 in OHWI order. */
export interface LatentLayer {
  readonly shape: readonly [out: number, kh: number, kw: number, input: number];
  /** Latent weights W. */
  readonly weight: Float32Array;
  /** Learnable matrix C. */
  readonly rectifier: Float32Array;
  /** C's shape, see `rectifyShape`; an axis of 1 is shared. */
  readonly rectifierShape: readonly [number, number, number, number];
  /** Aggregated ∂L/∂(Ŵ⊙C). */
  readonly gradient: Float64Array;
}

export interface LatentGradients {
  readonly weight: Float64Array;
  readonly rectifier: Float64Array;
  /** λ/2 Σ ‖W − C⊙Ŵ‖² of this layer. */
  readonly kernelLoss: number;
}

/** A method of the literature; `full-precision` is the teacher. */
export interface Method {
  readonly name: "full-precision" | "rbcn";
  /** True where the layer takes the sign of its input, so that the activation before it would be pointless. */
  readonly binarizesInput: boolean;
  /** Adds the layer to a graph. */
  readonly body: (graph: GraphBuilder, layer: ConvolutionFields) => NodeId;
  /** Gradients of the latent parameters; absent where the wire's gradient is already the parameter's. */
  readonly latentGradients?: (layer: LatentLayer) => LatentGradients;
  /** Bound of latent weights after each update; the surrogate is zero outside. */
  readonly clampWeight?: number;
}
