// Max and average pooling of [n][h][w][c] and their gradients, which write every element once and so need no float
// atomics.
import { outputHeight, outputWidth, type WindowShape } from "../../shared/model/window.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { range } from "../text/range.ts";
import { describePool, eachPoolTap, firstMaximum, LOWEST, poolConstants, where } from "./pool-windows.ts";

export type PoolKind = "max" | "avg";

/**
 * x f32 [n][h][w][c] → y f32 [n][oh][ow][c]. max: padding never wins. avg: divides by kernel², padding included
 * (PyTorch's count_include_pad).
 */
export function poolForward(o: { readonly shape: WindowShape; readonly kind: PoolKind }): Kernel {
  const width = vectorWidth(o.shape.in);
  const type = vectorType(width);
  const items = (o.shape.n * outputHeight(o.shape) * outputWidth(o.shape) * o.shape.in) / width;
  const pad = `${type}(${o.kind === "max" ? LOWEST : "0.0"})`;
  return kernel({
    label: `${o.kind}PoolForward ${describePool(o.shape)}`,
    constants: poolConstants(o.shape),
    storage: [read("x", type), readWrite("y", type)],
    items,
    body: `
let channel = index % COLUMNS;
let ox = (index / COLUMNS) % OW;
let oy = (index / (COLUMNS * OW)) % OH;
let sample = index / (COLUMNS * OW * OH);
var result = ${pad};
${eachPoolTap(o.shape, (_, inside) => {
  const at = `((sample * H + ${where(inside, "row", "0u")}) * W + ${where(inside, "column", "0u")}) * COLUMNS + channel`;
  const value = where(inside, `x[${at}]`, pad);
  return o.kind === "max" ? `result = max(result, ${value});` : `result += ${value};`;
})}
y[index] = result${o.kind === "max" ? "" : " / f32(KERNEL * KERNEL)"};`,
  });
}

/**
 * Windows that do not overlap: one invocation a window writes every element of the stride × stride cell that it owns.
 */
function eachCell(o: PoolBackward, width: 4 | 1, gradient: (tap: string) => string): string {
  const { shape } = o;
  const { stride } = shape;
  const type = vectorType(width);
  const exists =
    outputHeight(shape) * stride === shape.h && outputWidth(shape) * stride === shape.w
      ? undefined
      : "(cell_y < OH) & (cell_x < OW)";
  // A cell without a window reads the last one, and takes nothing of it.
  const window = (cell: string, count: string) => (exists === undefined ? cell : `min(${cell}, ${count} - 1u)`);
  const cells = range(stride * stride).map((cell) => {
    const y = Math.floor(cell / stride);
    const x = cell % stride;
    const covered = y < shape.kernel && x < shape.kernel;
    const value = covered ? gradient(`${y * shape.kernel + x}u`) : `${type}()`;
    const store = `dx[((sample * H + top + ${y}u) * W + left + ${x}u) * COLUMNS + channel] ${o.accumulate ? "+=" : "="} ${value};`;
    return exists === undefined ? store : `if (top + ${y}u < H && left + ${x}u < W) { ${store} }`;
  });
  return `
let cell_x = (index / COLUMNS) % CELLS_X;
let cell_y = (index / (COLUMNS * CELLS_X)) % CELLS_Y;
let sample = index / (COLUMNS * CELLS_X * CELLS_Y);
let top = cell_y * STRIDE;
let left = cell_x * STRIDE;
let ox = ${window("cell_x", "OW")};
let oy = ${window("cell_y", "OH")};
let g = ${where(exists, "dy[((sample * OH + oy) * OW + ox) * COLUMNS + channel]", `${type}()`)};
${o.kind === "max" ? firstMaximum(shape, width) : ""}
${cells.join("\n")}`;
}

/** Windows that overlap: one invocation an element gathers from every window that holds it; `tap` is its tap there. */
function eachElement(o: PoolBackward, width: 4 | 1, gradient: (tap: string) => string): string {
  return `
let sample = index / (COLUMNS * W * H);
let py = (index / (COLUMNS * W)) % H + PADDING;
let px = (index / COLUMNS) % W + PADDING;
let last_y = min(py / STRIDE, OH - 1u);
let last_x = min(px / STRIDE, OW - 1u);
var total = ${vectorType(width)}();
for (var oy = (max(py + 1u, KERNEL) - KERNEL + STRIDE - 1u) / STRIDE; oy <= last_y; oy++) {
  for (var ox = (max(px + 1u, KERNEL) - KERNEL + STRIDE - 1u) / STRIDE; ox <= last_x; ox++) {
    let tap = (py - oy * STRIDE) * KERNEL + px - ox * STRIDE;
    let g = dy[((sample * OH + oy) * OW + ox) * COLUMNS + channel];
    ${o.kind === "max" ? firstMaximum(o.shape, width) : ""}
    total += ${gradient("tap")};
  }
}
dx[index] ${o.accumulate ? "+=" : "="} total;`;
}

interface PoolBackward {
  readonly shape: WindowShape;
  readonly kind: PoolKind;
  readonly accumulate: boolean;
}

/**
 * Gradient of poolForward. max: bindings dy f32 [n][oh][ow][c], x, dx f32 [n][h][w][c]; the first maximum in scan order
 * receives the gradient, as in PyTorch. avg: bindings dy, dx.
 */
export function poolBackward(o: PoolBackward): Kernel {
  const { shape } = o;
  const width = vectorWidth(shape.in);
  const type = vectorType(width);
  const tapType = width === 4 ? "vec4<u32>" : "u32";
  const gradient = (tap: string) =>
    o.kind === "max" ? `select(${type}(), g, first == ${tapType}(${tap}))` : "g / f32(KERNEL * KERNEL)";
  const apart = shape.kernel <= shape.stride && shape.padding === 0;
  const cellsX = Math.ceil(shape.w / shape.stride);
  const cellsY = Math.ceil(shape.h / shape.stride);
  const places = apart ? cellsX * cellsY : shape.h * shape.w;
  return kernel({
    label: `${o.kind}PoolBackward ${describePool(shape)}`,
    constants: { ...poolConstants(shape), CELLS_X: cellsX, CELLS_Y: cellsY },
    storage: [read("dy", type), ...(o.kind === "max" ? [read("x", type)] : []), readWrite("dx", type)],
    items: (shape.n * places * shape.in) / width,
    body: `let channel = index % COLUMNS;\n${apart ? eachCell(o, width, gradient) : eachElement(o, width, gradient)}`,
  });
}

export { globalAveragePoolBackward, globalAveragePoolForward } from "./global-average-pool.ts";
