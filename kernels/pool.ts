// Max, average and global average pooling of [n][h][w][c] and their gradients, in gather form so that no float atomics are needed.
import { outputHeight, outputWidth, type WindowShape } from "../shared/window.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";

export type PoolKind = "max" | "avg";

/** The most negative f32: pads a maximum. */
const LOWEST = "-0x1.fffffep+127f";

function constants(shape: WindowShape): Readonly<Record<string, number>> {
  if (shape.in !== shape.out) throw new RangeError(`pool: in ${shape.in} and out ${shape.out} channels must be equal`);
  return {
    H: shape.h,
    W: shape.w,
    OH: outputHeight(shape),
    OW: outputWidth(shape),
    COLUMNS: shape.in / vectorWidth(shape.in),
    KERNEL: shape.kernel,
    STRIDE: shape.stride,
    PADDING: shape.padding,
  };
}

function describe(shape: WindowShape): string {
  return `${shape.n}x${shape.h}x${shape.w}x${shape.in} k${shape.kernel} s${shape.stride}`;
}

/** `row`, `column` (element of x) of the tap (ky, kx) of window (oy, ox), skipping taps outside the image. */
function eachTap(statements: string): string {
  return `
for (var ky = 0u; ky < KERNEL; ky++) {
  let row = oy * STRIDE + ky - PADDING;
  if (row >= H) { continue; }
  for (var kx = 0u; kx < KERNEL; kx++) {
    let column = ox * STRIDE + kx - PADDING;
    if (column >= W) { continue; }
    ${statements}
  }
}`;
}

/**
 * x f32 [n][h][w][c] → y f32 [n][oh][ow][c]. max: padding never wins. avg: divides by kernel², padding included
 * (PyTorch's count_include_pad).
 */
export function poolForward(o: { readonly shape: WindowShape; readonly kind: PoolKind }): Kernel {
  const width = vectorWidth(o.shape.in);
  const type = vectorType(width);
  const value = "x[((sample * H + row) * W + column) * COLUMNS + channel]";
  const items = (o.shape.n * outputHeight(o.shape) * outputWidth(o.shape) * o.shape.in) / width;
  return kernel({
    label: `${o.kind}PoolForward ${describe(o.shape)}`,
    constants: constants(o.shape),
    storage: [read("x", type), readWrite("y", type)],
    items,
    body: `
let channel = index % COLUMNS;
let ox = (index / COLUMNS) % OW;
let oy = (index / (COLUMNS * OW)) % OH;
let sample = index / (COLUMNS * OW * OH);
var result = ${type}(${o.kind === "max" ? LOWEST : "0.0"});
${eachTap(o.kind === "max" ? `result = max(result, ${value});` : `result += ${value};`)}
y[index] = result${o.kind === "max" ? "" : " / f32(KERNEL * KERNEL)"};`,
  });
}

/** Every window that holds the element (`py`, `px`) = its padded position. */
function eachWindow(statements: string): string {
  return `
let py = (index / (COLUMNS * W)) % H + PADDING;
let px = (index / COLUMNS) % W + PADDING;
let lastY = min(py / STRIDE, OH - 1u);
let lastX = min(px / STRIDE, OW - 1u);
for (var oy = (max(py + 1u, KERNEL) - KERNEL + STRIDE - 1u) / STRIDE; oy <= lastY; oy++) {
  for (var ox = (max(px + 1u, KERNEL) - KERNEL + STRIDE - 1u) / STRIDE; ox <= lastX; ox++) {
    let origin = ((sample * OH + oy) * OW + ox) * COLUMNS + channel;
    ${statements}
  }
}`;
}

/**
 * Gradient of poolForward. max: bindings dy f32 [n][oh][ow][c], x, dx f32 [n][h][w][c]; the first maximum in scan order
 * receives the gradient, as in PyTorch. avg: bindings dy, dx.
 */
export function poolBackward(o: {
  readonly shape: WindowShape;
  readonly kind: PoolKind;
  readonly accumulate: boolean;
}): Kernel {
  const width = vectorWidth(o.shape.in);
  const type = vectorType(width);
  const winner = width === 4 ? "vec4<u32>" : "u32";
  const max = `
    var best = ${type}(${LOWEST});
    var first = ${winner}(0xffffffffu);
    ${eachTap(`
    let at = row * W + column;
    let v = x[(sample * H * W + at) * COLUMNS + channel];
    let wins = (v > best) | (first == ${winner}(0xffffffffu));
    best = select(best, v, wins);
    first = select(first, ${winner}(at), wins);`)}
    total += select(${type}(), dy[origin], first == ${winner}(self_at));`;
  return kernel({
    label: `${o.kind}PoolBackward ${describe(o.shape)}`,
    constants: constants(o.shape),
    storage: [read("dy", type), ...(o.kind === "max" ? [read("x", type)] : []), readWrite("dx", type)],
    items: (o.shape.n * o.shape.h * o.shape.w * o.shape.in) / width,
    body: `
let channel = index % COLUMNS;
let sample = index / (COLUMNS * W * H);
${o.kind === "max" ? "let self_at = (index / COLUMNS) % (W * H);" : ""}
var total = ${type}();
${eachWindow(o.kind === "max" ? max : "total += dy[origin];")}
dx[index] ${o.accumulate ? "+=" : "="} total${o.kind === "max" ? "" : " / f32(KERNEL * KERNEL)"};`,
  });
}

interface Global {
  readonly n: number;
  readonly positions: number;
  readonly channels: number;
}

/** x f32 [n][positions][channels] → y f32 [n][channels], the mean over positions. */
export function globalAveragePoolForward(o: Global): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  return kernel({
    label: `globalAveragePoolForward ${o.n}x${o.positions}x${o.channels}`,
    constants: { COLUMNS: o.channels / width, POSITIONS: o.positions },
    storage: [read("x", type), readWrite("y", type)],
    items: (o.n * o.channels) / width,
    body: `
let start = (index / COLUMNS) * POSITIONS * COLUMNS + index % COLUMNS;
var total = ${type}();
for (var i = 0u; i < POSITIONS; i++) { total += x[start + i * COLUMNS]; }
y[index] = total / f32(POSITIONS);`,
  });
}

/** dx = dy / positions at every position; dy f32 [n][channels], dx f32 [n][positions][channels]. */
export function globalAveragePoolBackward(o: Global & { readonly accumulate: boolean }): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  return kernel({
    label: `globalAveragePoolBackward ${o.n}x${o.positions}x${o.channels}`,
    constants: { COLUMNS: o.channels / width, POSITIONS: o.positions },
    storage: [read("dy", type), readWrite("dx", type)],
    items: (o.n * o.positions * o.channels) / width,
    body: `
let sample = index / (POSITIONS * COLUMNS);
dx[index] ${o.accumulate ? "+=" : "="} dy[sample * COLUMNS + index % COLUMNS] / f32(POSITIONS);`,
  });
}
