// Puts one more loss of a microbatch behind those that collect-metrics.ts brings together.
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/** Elements from one term of a loss to the next: where a range may begin. */
export const LOSS_STRIDE = 64;

/** terms f32 [terms][64], of which the first counts → metrics[at] = scale·Σ of them. */
export function collectLoss(o: { readonly at: number; readonly terms: number; readonly scale: number }): Kernel {
  return kernel({
    label: `collectLoss ${o.terms}`,
    constants: { AT: o.at, TERMS: o.terms },
    floats: { SCALE: o.scale },
    storage: [read("terms"), readWrite("metrics")],
    items: 1,
    workgroupSize: 1,
    body: `
var sum = 0.0;
for (var i = 0u; i < TERMS; i++) { sum += terms[i * ${LOSS_STRIDE}u]; }
metrics[AT] = SCALE * sum;`,
  });
}
