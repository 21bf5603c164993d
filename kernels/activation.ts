// Element-wise non-linearities and their gradients, with PyTorch's conventions at the kinks.
import { columnReduce } from "./column-reduce.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import type { Kernel, KernelSequence } from "./kernel.ts";

/** y = x where x > 0, else weight·x. x, y f32 [rows][channels], weight f32 [channels]. */
export function preluForward(o: { readonly rows: number; readonly channels: number }): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  return kernel({
    label: `preluForward ${o.rows}x${o.channels}`,
    constants: { COLUMNS: o.channels / width },
    storage: [read("x", type), read("weight", type), readWrite("y", type)],
    items: (o.rows * o.channels) / width,
    body: `let v = x[index];\ny[index] = select(weight[index % COLUMNS] * v, v, v > ${type}());`,
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
  let positive = v > V();
  dx[at] ${o.accumulate ? "+=" : "="} select(slope * g, g, positive);
  dweightSum += select(v * g, V(), positive);`,
    outputs: ["dweight"],
  });
}

export type ActivationKind = "relu" | "hardtanh" | "leakyRelu";

interface Activation {
  readonly kind: ActivationKind;
  readonly size: number;
  /** Slope of leakyRelu for x ≤ 0; 0.01 when not given, as in PyTorch. */
  readonly slope?: number;
}

function forwardExpression(kind: ActivationKind): string {
  switch (kind) {
    case "relu":
      return "max(v, V())";
    case "hardtanh":
      return "clamp(v, V(-1.0), V(1.0))";
    case "leakyRelu":
      return "select(SLOPE * v, v, v > V())";
    default:
      return kind satisfies never;
  }
}

function backwardExpression(kind: ActivationKind): string {
  switch (kind) {
    case "relu":
      return "select(V(), g, v > V())";
    case "hardtanh":
      return "select(V(), g, abs(v) < V(1.0))";
    case "leakyRelu":
      return "select(SLOPE * g, g, v > V())";
    default:
      return kind satisfies never;
  }
}

/** y = activation(x); x, y f32 [size]. hardtanh clips to [−1, 1]. */
export function activationForward(o: Activation): Kernel {
  const width = vectorWidth(o.size);
  const type = vectorType(width);
  return kernel({
    label: `${o.kind}Forward ${o.size}`,
    floats: { SLOPE: o.slope ?? 0.01 },
    declarations: `alias V = ${type};`,
    storage: [read("x", type), readWrite("y", type)],
    items: o.size / width,
    body: `let v = x[index];\ny[index] = ${forwardExpression(o.kind)};`,
  });
}

/** dx = dy·activation'(x); dy, x, dx f32 [size]. */
export function activationBackward(o: Activation & { readonly accumulate: boolean }): Kernel {
  const width = vectorWidth(o.size);
  const type = vectorType(width);
  return kernel({
    label: `${o.kind}Backward ${o.size}`,
    floats: { SLOPE: o.slope ?? 0.01 },
    declarations: `alias V = ${type};`,
    storage: [read("dy", type), read("x", type), readWrite("dx", type)],
    items: o.size / width,
    body: `let g = dy[index];
let v = x[index];
dx[index] ${o.accumulate ? "+=" : "="} ${backwardExpression(o.kind)};`,
  });
}
