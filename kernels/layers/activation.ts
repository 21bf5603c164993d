// Element-wise non-linearities and their gradients, with PyTorch's conventions at the kinks.
import { columnReduce } from "../text/column-reduce.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel, KernelSequence } from "../text/kernel.ts";

export type ActivationKind = "relu" | "hardtanh";
export type PointwiseKind = ActivationKind | "prelu";

/** WGSL over a vector or scalar alias `V`: the activation of `v`, and what it passes of the gradient `g`. */
export interface Pointwise {
  readonly value: string;
  readonly gradient: string;
}

/** @param slope WGSL of prelu's slope for v ≤ 0 */
export function pointwise(kind: PointwiseKind, slope: string): Pointwise {
  switch (kind) {
    case "prelu":
      return { value: `select(${slope} * v, v, v > V())`, gradient: `select(${slope} * g, g, v > V())` };
    case "relu":
      return { value: "max(v, V())", gradient: "select(V(), g, v > V())" };
    case "hardtanh":
      return { value: "clamp(v, V(-1.0), V(1.0))", gradient: "select(V(), g, abs(v) < V(1.0))" };
    default:
      return kind satisfies never;
  }
}

/** y = x where x > 0, else weight·x. x, y f32 [rows][channels], weight f32 [channels]. */
export function preluForward(o: { readonly rows: number; readonly channels: number }): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  return kernel({
    label: `preluForward ${o.rows}x${o.channels}`,
    constants: { COLUMNS: o.channels / width },
    declarations: `alias V = ${type};`,
    storage: [read("x", type), read("weight", type), readWrite("y", type)],
    items: (o.rows * o.channels) / width,
    body: `let v = x[index];\ny[index] = ${pointwise("prelu", "weight[index % COLUMNS]").value};`,
  });
}

/** dx = dy where x > 0, else weight·dy; dweight = Σ over rows of x·dy where x ≤ 0. Shapes as in preluForward. */
export function preluBackward(o: {
  readonly rows: number;
  readonly channels: number;
  readonly accumulate: boolean;
}): KernelSequence {
  return columnReduce({
    label: "preluBackward",
    rows: o.rows,
    channels: o.channels,
    storage: (t) => [read("dy", t), read("x", t), read("weight", t), readWrite("dx", t)],
    setup: "let slope = weight[channel];",
    each: `let g = dy[at];
  let v = x[at];
  dx[at] ${o.accumulate ? "+=" : "="} ${pointwise("prelu", "slope").gradient};
  dweightSum += select(v * g, V(), v > V());`,
    outputs: ["dweight"],
  });
}

interface Activation {
  readonly kind: ActivationKind;
  readonly size: number;
}

/** y = activation(x); x, y f32 [size]. hardtanh clips to [−1, 1]. */
export function activationForward(o: Activation): Kernel {
  const width = vectorWidth(o.size);
  const type = vectorType(width);
  return kernel({
    label: `${o.kind}Forward ${o.size}`,
    declarations: `alias V = ${type};`,
    storage: [read("x", type), readWrite("y", type)],
    items: o.size / width,
    body: `let v = x[index];\ny[index] = ${pointwise(o.kind, "").value};`,
  });
}

/** dx = dy·activation'(x); dy, x, dx f32 [size]. */
export function activationBackward(o: Activation & { readonly accumulate: boolean }): Kernel {
  const width = vectorWidth(o.size);
  const type = vectorType(width);
  return kernel({
    label: `${o.kind}Backward ${o.size}`,
    declarations: `alias V = ${type};`,
    storage: [read("dy", type), read("x", type), readWrite("dx", type)],
    items: o.size / width,
    body: `let g = dy[index];
let v = x[index];
dx[index] ${o.accumulate ? "+=" : "="} ${pointwise(o.kind, "").gradient};`,
  });
}
