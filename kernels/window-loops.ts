// The loops over a window's taps: which taps of an output (or an input) element lie inside the image, as WGSL.
import { outputHeight, outputWidth, type WindowShape } from "../shared/window.ts";
import { unrolledLoop } from "./unroll.ts";

/** Constants that the loops use. */
export function windowConstants(s: WindowShape): Readonly<Record<string, number>> {
  return {
    N: s.n,
    H: s.h,
    W: s.w,
    IN: s.in,
    OH: outputHeight(s),
    OW: outputWidth(s),
    OUT: s.out,
    KERNEL: s.kernel,
    STRIDE: s.stride,
    PADDING: s.padding,
  };
}

export function describeWindow(s: WindowShape): string {
  return `${s.n}x${s.h}x${s.w}x${s.in}->${s.out} k${s.kernel} s${s.stride} p${s.padding}`;
}

/** How a tap's statements learn that it lies outside the image. */
export type TapMask = "skipped" | "inside";

/**
 * The taps of the output at (`oh`, `ow`): `tap` is the number, `pixel` = ih·W + iw. Exact zero padding: taps outside the
 * image are skipped, or, where a row of taps is written out, `inside` is false (and `pixel` some pixel of the image).
 * All rows of a tile share the position, so no lane is masked.
 */
export function eachOutputTap(s: WindowShape, writeOut: boolean, statements: (mask: TapMask) => string): string {
  const rows = `
let y0 = oh * STRIDE;
let x0 = ow * STRIDE;
let ky_end = min(KERNEL, H + PADDING - min(y0, H + PADDING));
for (var ky = max(PADDING, y0) - y0; ky < ky_end; ky++) {
  let line = (y0 + ky - PADDING) * W;`;
  if (!writeOut) {
    return `${rows}
  let kx_end = min(KERNEL, W + PADDING - min(x0, W + PADDING));
  for (var kx = max(PADDING, x0) - x0; kx < kx_end; kx++) {
    let tap = ky * KERNEL + kx;
    let pixel = line + x0 + kx - PADDING;
    ${statements("skipped")}
  }
}`;
  }
  const padded = s.padding > 0;
  const column = `
let tap = ky * KERNEL + kx;
let column = x0 + kx - PADDING;
${padded ? "let inside = column < W;" : ""}
let pixel = line + ${padded ? "min(column, W - 1u)" : "column"};
${statements(padded ? "inside" : "skipped")}`;
  return `${rows}\n${unrolledLoop("kx", s.kernel, s.kernel, column)}\n}`;
}

/** The taps by which the input at (`ih`, `iw`) reaches an output: `tap`, and `pixel` = oh·OW + ow of that output. */
export function eachInputTap(statements: string): string {
  return `
let y0 = ih + PADDING;
let x0 = iw + PADDING;
for (var ky = max(y0 % STRIDE, y0 - min(y0, (OH - 1u) * STRIDE)); ky < min(KERNEL, y0 + 1u); ky += STRIDE) {
  for (var kx = max(x0 % STRIDE, x0 - min(x0, (OW - 1u) * STRIDE)); kx < min(KERNEL, x0 + 1u); kx += STRIDE) {
    let tap = ky * KERNEL + kx;
    let pixel = ((y0 - ky) / STRIDE) * OW + (x0 - kx) / STRIDE;
    ${statements}
  }
}`;
}

/**
 * Declares the output positions that a weight gradient sums over: place p, of `height`·`width`, is (`oy_first` + p / width,
 * `ox_first` + p % width). They are those whose pixel at tap (`ky`, `kx`) lies in the image, so nothing is masked; or all, for
 * `gathered` columns, which hold many taps.
 */
export function declarePlaces(gathered: boolean): string {
  if (gathered) return "let oy_first = 0u;\nlet ox_first = 0u;\nlet height = OH;\nlet width = OW;";
  return ["y", "x"]
    .map((axis) => {
      const [size, outputs, length] = axis === "y" ? ["H", "OH", "height"] : ["W", "OW", "width"];
      return `
let o${axis}_first = (max(PADDING, k${axis}) - k${axis} + STRIDE - 1u) / STRIDE;
let o${axis}_end = min(${outputs}, (${size} + PADDING - min(k${axis}, ${size} + PADDING) + STRIDE - 1u) / STRIDE);
let ${length} = max(o${axis}_end, o${axis}_first) - o${axis}_first;`;
    })
    .join("");
}

/**
 * The turns of slice `slice` of a weight gradient (weightGradientSlices): `dy_base` and `pixel` are those of one sample.
 * `together` of a block's `samples` are written out, a divisor of them.
 */
export function eachTurn(o: {
  readonly shape: WindowShape;
  readonly samples: number;
  readonly together: number;
  readonly gather: boolean;
  readonly atPosition: string;
  readonly statements: string;
}): string {
  const { shape: s, samples, together, gather } = o;
  const whole = s.n % samples === 0;
  const turn = `
${whole ? "let sample = first + k;" : "let present = first + k < N;\nlet sample = min(first + k, N - 1u);"}
let dy_base = ((sample * OH + oy) * OW + ox) * DY_STRIDE;
let pixel = (sample * H + y0) * W + x0;
${o.statements}`;
  return `${declarePlaces(gather)}
let turn_end = min(height * width * BLOCKS, (slice + 1u) * LENGTH);
for (var turn = slice * LENGTH; turn < turn_end; turn++) {
  let first = (turn % BLOCKS) * ${samples}u;
  let place = turn / BLOCKS;
  let oy = oy_first + place / width;
  let ox = ox_first + place % width;
  let y0 = oy * STRIDE - PADDING${gather ? "" : " + ky"};
  let x0 = ox * STRIDE - PADDING${gather ? "" : " + kx"};
  ${o.atPosition}
  ${unrolledLoop("k", samples, together, turn)}
}`;
}

/** A 1×1 window of stride 1 sees no neighbours: every position is a sample. */
function isPointwise(s: WindowShape): boolean {
  return s.kernel === 1 && s.stride === 1 && s.padding === 0;
}

/** The same convolution with as many samples and as few positions as possible; memory layouts are unchanged. */
export function foldPositions(s: WindowShape): WindowShape {
  if (isPointwise(s)) return { ...s, n: s.n * s.h * s.w, h: 1, w: 1 };
  return s;
}
