// How a case of a method of the literature is told to the product: a file here a method, a line in table.ts. What is
// the same for all of them, the layer, its companions, the weight that the convolution sees, is in layer.ts.

import type { Graph } from "../../../shared/model/graph.ts";
import type { LatentLayer, Method, WeightRule } from "../../../shared/model/methods/method.ts";
import type { Comparison } from "../compare.ts";
import type { OracleCase } from "../oracle-case.ts";

/** What a case of a whole convolution says beside its weights. */
export interface ConvolutionAttributes {
  readonly activation: { readonly kind: string; readonly [option: string]: unknown };
  /** What becomes of the sum: `box`, `gamma`. */
  readonly output?: string | undefined;
}

/** A layer as the product has it for a case, with what made it. */
export interface CaseLayer {
  readonly test: OracleCase;
  readonly rule: WeightRule;
  /** The one convolution. */
  readonly graph: Graph;
  readonly layer: LatentLayer;
}

export interface CaseMethod {
  /**
   * The product's method with its options. Where it offers what the convolution has beside its weights, so configured;
   * else combined.ts builds the layer.
   * @param weight attributes of the weights
   * @param convolution of a whole convolution; absent where the case is of weights alone
   * @throws NotSupported
   */
  readonly create: (weight: unknown, convolution?: ConvolutionAttributes) => Method;
  /** Companions that the case gives, by name; the others have their first values. None unless given. */
  readonly companions?: (test: OracleCase) => Readonly<Record<string, Float32Array>>;
  /** What happens to W before it is sent, where the case's is from before that; its own copy, changed in place. */
  readonly prepare?: (rule: WeightRule, layer: LatentLayer, weight: unknown) => void;
  /** W̃, where the planes and companions of the layer are not all that makes it. */
  readonly effective?: (layer: CaseLayer) => Float32Array;
  /** What a worker sends of a ∂L/∂W̃, where that is another; both in OHWI order. As it is unless given. */
  readonly sent?: (layer: CaseLayer, gradient: Float64Array) => Float64Array;
  /** ∂L/∂W of what a worker sends; the rule's gradient unless given. */
  readonly dweight?: (layer: CaseLayer, gradient: Float64Array) => Float64Array;
  /** What else the case has of the weights: codes, gradients of what is learned. */
  readonly outs?: (layer: CaseLayer, gradient: Float64Array) => readonly Comparison[];
  /**
   * What else the case has of a whole convolution, by what the device gave: gradients of parameters that workers
   * measure.
   * @param terms what a sum over the output's positions may be off by
   */
  readonly measured?: (
    test: OracleCase,
    arena: ReadonlyMap<string, Float32Array>,
    terms: { readonly positions: number; readonly product: number },
  ) => readonly Comparison[];
  /** Greatest factor of the sums, of weights that scale them behind the convolution; 1 unless given. */
  readonly gain?: (test: OracleCase) => number;
}

/** The option `kind` with the others, as a configuration has them. */
export type Options = { readonly kind: string } & Readonly<Record<string, unknown>>;
