// The inner steps of a lease in `sync: local`, in float64: SGD on each microbatch's gradients, with RBCN's W and C.

import type { ParameterEntry } from "../../../shared/model/manifest.ts";
import type { RunConfig } from "../../../shared/run/config.ts";
import { signOf } from "./tensor.ts";

type MutableValues = Map<string, Float64Array>;

export interface InnerOptions {
  readonly optimizer: Pick<RunConfig["optimizer"], "momentum" | "weightDecay" | "latentWeightDecay" | "rectifierRate">;
  readonly method: { readonly lambdaKernel: number; readonly kernelGradient: "direct" | "both" | "literal" };
  readonly learningRate: number;
}

/** Entry of C, in OHWI order, of each element of W. */
function entryOf(weight: readonly number[], c: readonly number[], i: number): number {
  let [rest, entry, stride] = [i, 0, 1];
  for (let axis = 3; axis >= 0; axis--) {
    entry += c[axis] === 1 ? 0 : (rest % weight[axis]) * stride;
    stride *= c[axis];
    rest = Math.floor(rest / weight[axis]);
  }
  return entry;
}

/** From G = ∂L/∂W̃ to ∂W, in place, and ∂C. */
function latentGradient(
  weight: ParameterEntry,
  scale: ParameterEntry,
  values: MutableValues,
  gradient: Float64Array,
  { lambdaKernel: lambda, kernelGradient }: InnerOptions["method"],
): Float64Array {
  const [direct, through] = { direct: [1, 0], both: [1, 1], literal: [0, 1] }[kernelGradient];
  const [w, c] = [weight, scale].map(({ name }) => values.get(name)!);
  const dc = new Float64Array(c.length);
  gradient.forEach((g, i) => {
    const entry = entryOf(weight.shape, scale.shape, i);
    const residual = w[i] - c[entry] * signOf(w[i]);
    const surrogate = w[i] >= -1 && w[i] < 1 ? 2 - 2 * Math.abs(w[i]) : 0;
    const scaled = c[entry] * surrogate;
    gradient[i] = g * scaled + direct * lambda * residual - through * lambda * residual * scaled;
    dc[entry] += (g - lambda * residual) * signOf(w[i]);
  });
  return dc;
}

/** One step, of values and momenta in place. @param gradients of a microbatch, statistics among them */
export function innerStep(
  entries: readonly ParameterEntry[],
  values: MutableValues,
  momenta: MutableValues,
  gradients: ReadonlyMap<string, Float64Array>,
  { optimizer, method, learningRate }: InnerOptions,
): void {
  const all = new Map(gradients);
  for (const entry of entries.filter(({ role }) => role === "latent")) {
    const scale = entries.find(({ initial }) => initial.kind === "companion" && initial.of === entry.name)!;
    all.set(scale.name, latentGradient(entry, scale, values, all.get(entry.name)!, method));
  }
  for (const { name, role } of entries) {
    const [value, gradient] = [values.get(name)!, all.get(name)!];
    if (role === "statistic") {
      value.forEach((old, i) => {
        value[i] = 0.9 * old + 0.1 * gradient[i];
      });
      continue;
    }
    const momentum = momenta.get(name) ?? new Float64Array(value.length);
    momenta.set(name, momentum);
    const decay = role === "float" ? optimizer.weightDecay : role === "latent" ? optimizer.latentWeightDecay : 0;
    const rate = role === "learned" ? learningRate * optimizer.rectifierRate : learningRate;
    value.forEach((p, i) => {
      momentum[i] = optimizer.momentum * momentum[i] + gradient[i] + decay * p;
      const next = p - rate * momentum[i];
      value[i] = role === "latent" ? Math.max(-1, Math.min(1, next)) : next;
    });
  }
}
