// What workers do with latent weights in `sync: local`, where they step themselves: the half of a method that is
// recorded on the device, under the key of its half in shared/model/methods. A method that has none trains with `sync:
// allreduce` alone.

import { latentGradient } from "../../kernels/steps/latent-gradient.ts";
import { type PluginOptions, Registry } from "../../shared/base/registry.ts";
import { RBCN_BOUND, rbcnSchema } from "../../shared/model/methods/rbcn.ts";
import type { LaunchList, Ref } from "./launch-list.ts";

/** A binary layer's tensors on the device. */
export interface DeviceLayer {
  readonly out: number;
  readonly kernel: number;
  readonly in: number;
  /** Latent W, f32 [out][kernel][kernel][in]. */
  readonly weight: Ref;
  /** ∂L/∂W̃, which becomes ∂L/∂W in place. */
  readonly gradient: Ref;
  /** Values of a companion, and where its gradient goes. */
  readonly companion: (name: string) => Ref;
  readonly companionGradient: (name: string) => Ref;
}

export interface DeviceRule {
  /** The method's. */
  readonly kind: string;
  /** Bound of latent weights after each inner step; none unless given. */
  readonly bound?: number;
  /** From the wire's gradient to those of W and of learned companions. */
  readonly recordGradients: (list: LaunchList, layer: DeviceLayer, options: PluginOptions) => void;
}

const rbcnRule: DeviceRule = {
  kind: "rbcn",
  bound: RBCN_BOUND,
  recordGradients: (list, layer, options) => {
    const { rectify, lambdaKernel: lambda, kernelGradient } = rbcnSchema.parse(options);
    const { out, kernel, in: input, gradient, weight } = layer;
    list.run(latentGradient({ out, kernel, in: input, rectify, lambda, kernelGradient }), {
      gradient,
      weight,
      c: layer.companion("c"),
      dc: layer.companionGradient("c"),
    });
  },
};

export const deviceRules = new Registry<DeviceRule>("device rule", [rbcnRule]);
