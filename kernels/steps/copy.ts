// Moves a tensor into place: batch statistics into the gradient arena, teacher and student rows into one batch.
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/** y[toOffset + i] = x[i] for i < size, both f32; offsets in elements, so they need no binding alignment. */
export function copy(o: { readonly size: number; readonly toOffset?: number }): Kernel {
  return kernel({
    label: `copy ${o.size}`,
    constants: { TO: o.toOffset ?? 0 },
    storage: [read("x"), readWrite("y")],
    items: o.size,
    body: "y[TO + index] = x[index];",
  });
}
