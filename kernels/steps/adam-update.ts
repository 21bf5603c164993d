// One step of Adam or AdamW on the device, for the inner steps of `sync: local` (Kingma and Ba, ICLR 2015; Loshchilov
// and Hutter, ICLR 2019).
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/**
 * m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; parameter ← (1 − rates[at+2])·parameter − rates[at]·m / (√v·rates[at+1] + ε),
 * clamped to ±bound where one is given. rates[at] is the learning rate over 1−β₁ᵗ, rates[at+1] is 1/√(1−β₂ᵗ),
 * rates[at+2] the decoupled decay, learning rate times weight decay, 0 for plain Adam. All else is f32 [size].
 */
export function adamUpdate(o: {
  readonly size: number;
  readonly betas: readonly [number, number];
  readonly epsilon: number;
  readonly at: number;
  readonly bound?: number;
}): Kernel {
  const width = vectorWidth(o.size);
  const type = vectorType(width);
  const [beta1, beta2] = o.betas;
  const { bound } = o;
  const next = `p - rates[AT + 2u] * p - rates[AT] * m / (sqrt(v) * rates[AT + 1u] + ${type}(EPSILON))`;
  return kernel({
    label: `adamUpdate ${o.size}`,
    constants: { AT: o.at },
    floats: {
      BETA1: beta1,
      REST1: 1 - beta1,
      BETA2: beta2,
      REST2: 1 - beta2,
      EPSILON: o.epsilon,
      ...(bound === undefined ? {} : { BOUND: bound }),
    },
    storage: [
      readWrite("parameter", type),
      read("gradient", type),
      readWrite("first", type),
      readWrite("second", type),
      read("rates"),
    ],
    items: o.size / width,
    body: `
let p = parameter[index];
let g = gradient[index];
let m = BETA1 * first[index] + REST1 * g;
let v = BETA2 * second[index] + REST2 * g * g;
first[index] = m;
second[index] = v;
parameter[index] = ${bound === undefined ? next : `clamp(${next}, ${type}(-BOUND), ${type}(BOUND))`};`,
  });
}
