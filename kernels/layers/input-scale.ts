// XNOR-Net's K: the mean magnitude of a convolution's input in each window, by which its output is scaled (Rastegari et
// al., ECCV 2016).
import { outputHeight, outputWidth, type WindowShape } from "../../shared/model/window.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel, KernelSequence } from "../text/kernel.ts";
import { describeWindow, eachOutputTap, windowConstants } from "../text/window-loops.ts";

/**
 * x f32 [n][h][w][in] → k f32 [n][oh][ow]: the mean over channels of |x|, then over the window, in which padding is 0
 * and counts. The window's `out` is not read.
 */
export function inputScale(shape: WindowShape): KernelSequence {
  const { n, h, w, in: input, kernel: size } = shape;
  const width = vectorWidth(input);
  const type = vectorType(width);
  const magnitudes = kernel({
    label: `inputScale magnitudes ${describeWindow(shape)}`,
    constants: { COLUMNS: input / width },
    storage: [read("x", type), readWrite("scratch")],
    items: n * h * w,
    body: `
var sum = ${type}();
for (var i = 0u; i < COLUMNS; i++) { sum += abs(x[index * COLUMNS + i]); }
scratch[index] = ${width === 4 ? "((sum.x + sum.y) + (sum.z + sum.w))" : "sum"} / ${input}.0;`,
  });
  const box = kernel({
    label: `inputScale box ${describeWindow(shape)}`,
    constants: windowConstants(shape),
    storage: [read("scratch"), readWrite("k")],
    items: n * outputHeight(shape) * outputWidth(shape),
    body: `
let ow = index % OW;
let oh = (index / OW) % OH;
let first = (index / (OW * OH)) * H * W;
var sum = 0.0;
${eachOutputTap(shape, false, () => "sum += scratch[first + pixel];")}
k[index] = sum / ${size * size}.0;`,
  });
  return { kernels: [magnitudes, box], scratchBytes: 4 * n * h * w };
}

/** y (+)= x · k at each position; x, y f32 [positions][channels], k f32 [positions]. It takes dy to dx as well. */
export function scalePositions(o: {
  readonly positions: number;
  readonly channels: number;
  readonly accumulate: boolean;
}): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  return kernel({
    label: `scalePositions ${o.positions}x${o.channels}`,
    constants: { COLUMNS: o.channels / width },
    storage: [read("x", type), read("k"), readWrite("y", type)],
    items: (o.positions * o.channels) / width,
    body: `y[index] ${o.accumulate ? "+=" : "="} x[index] * k[index / COLUMNS];`,
  });
}
