// The element-by-element verbs of a plan: adding two tensors, adding into one.
import { kernel, read, readWrite, type Storage, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

function elementwise(
  label: string,
  size: number,
  storage: (type: string) => readonly Storage[],
  statement: string,
): Kernel {
  const width = vectorWidth(size);
  return kernel({
    label: `${label} ${size}`,
    storage: storage(vectorType(width)),
    items: size / width,
    body: statement,
  });
}

/** y = a + b, all f32 [size]. */
export function add(o: { readonly size: number }): Kernel {
  return elementwise(
    "add",
    o.size,
    (t) => [read("a", t), read("b", t), readWrite("y", t)],
    "y[index] = a[index] + b[index];",
  );
}

/** y += x, both f32 [size]. */
export function addTo(o: { readonly size: number }): Kernel {
  return elementwise("addTo", o.size, (t) => [read("x", t), readWrite("y", t)], "y[index] += x[index];");
}

/** y += weight·x, both f32 [size]. */
export function addWeighted(o: { readonly size: number; readonly weight: number }): Kernel {
  return kernel({
    label: `addWeighted ${o.size}`,
    floats: { WEIGHT: o.weight },
    storage: [read("x"), readWrite("y")],
    items: o.size,
    body: "y[index] += WEIGHT * x[index];",
  });
}
