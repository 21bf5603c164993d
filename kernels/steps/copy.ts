// Moves a tensor into place: batch statistics into the gradient arena, teacher and student rows into one batch.
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/** y[toOffset + i] = x[fromOffset + i] for i < size, both f32; offsets in elements, so they need no alignment. */
export function copy(o: { readonly size: number; readonly toOffset?: number; readonly fromOffset?: number }): Kernel {
  // A copy from the beginning has the text that caches know.
  const from = o.fromOffset ?? 0;
  return kernel({
    label: `copy ${o.size}`,
    constants: { TO: o.toOffset ?? 0, ...(from > 0 ? { FROM: from } : {}) },
    storage: [read("x"), readWrite("y")],
    items: o.size,
    body: `y[TO + index] = x[${from > 0 ? "FROM + " : ""}index];`,
  });
}
