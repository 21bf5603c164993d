// A tensor times a constant, where it stands: the gradient of a loss with a weight.
import { kernel, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/** y *= factor, f32 [size]. */
export function scale(o: { readonly size: number; readonly factor: number }): Kernel {
  const width = vectorWidth(o.size);
  return kernel({
    label: `scale ${o.size}`,
    floats: { FACTOR: o.factor },
    storage: [readWrite("y", vectorType(width))],
    items: o.size / width,
    body: "y[index] *= FACTOR;",
  });
}
