// What the inner steps of a lease come to (DiLoCo, Douillard et al. 2023): how far the replica went from where it
// started.
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/** delta = rates[weight]·(origin − replica), all f32 [size]. */
export function pseudoGradient(o: {
  readonly size: number;
  /** Index in `rates` of the lease's samples: sums of sums over samples make the weighted mean. */
  readonly weight: number;
}): Kernel {
  const width = vectorWidth(o.size);
  const type = vectorType(width);
  return kernel({
    label: `pseudoGradient ${o.size}`,
    constants: { AT: o.weight },
    storage: [read("origin", type), read("replica", type), read("rates"), readWrite("delta", type)],
    items: o.size / width,
    body: "delta[index] = rates[AT] * (origin[index] - replica[index]);",
  });
}

/** y = rates[weight]·x, both f32 [size]: values that are averaged and not subtracted, the running statistics. */
export function weighted(o: { readonly size: number; readonly weight: number }): Kernel {
  const width = vectorWidth(o.size);
  const type = vectorType(width);
  return kernel({
    label: `weighted ${o.size}`,
    constants: { AT: o.weight },
    storage: [read("x", type), read("rates"), readWrite("y", type)],
    items: o.size / width,
    body: "y[index] = rates[AT] * x[index];",
  });
}
