// The loops over a window's taps: which taps of an output (or an input) element lie inside the image, as WGSL.
import { outputHeight, outputWidth, type WindowShape } from "../shared/window.ts";
import { range } from "./range.ts";

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

/** How a tap's statements learn that it is one too many. */
export type TapMask = "none" | "inside";

/**
 * The taps of the output at (`oh`, `ow`) that lie inside the image, row-major: `tap` is the number, `pixel` = ih·W + iw. Exact
 * zero padding: taps outside are skipped. One loop runs over rows and columns of taps, because a software adapter masks the
 * registers at each. Where a row of taps is written `together`, a turn may end beyond the last tap: then `inside` is false and
 * the tap is the last once more. All rows of a tile share the position, so no lane is masked.
 */
export function eachOutputTap(s: WindowShape, together: boolean, statements: (mask: TapMask) => string): string {
  const mask = together && s.padding > 0 ? "inside" : "none";
  const first = (axis: string) => `max(PADDING, ${axis}0) - ${axis}0`;
  const end = (axis: string, size: string) => `min(KERNEL, ${size} + PADDING - min(${axis}0, ${size} + PADDING))`;
  const turn = (k: number) => `{
let place = ${mask === "inside" ? `min(turn + ${k}u, taps - 1u)` : `turn + ${k}u`};
${mask === "inside" ? `let inside = turn + ${k}u < taps;` : ""}
let ky = ky_first + place / across;
let kx = kx_first + place % across;
let tap = ky * KERNEL + kx;
let pixel = (y0 + ky - PADDING) * W + x0 + kx - PADDING;
${statements(mask)}
}`;
  const copies = together ? s.kernel : 1;
  return `
let y0 = oh * STRIDE;
let x0 = ow * STRIDE;
let ky_first = ${first("y")};
let kx_first = ${first("x")};
let across = max(${end("x", "W")}, kx_first) - kx_first;
let taps = (max(${end("y", "H")}, ky_first) - ky_first) * across;
for (var turn = 0u; turn < taps; turn += ${copies}u) {
${range(copies).map(turn).join("\n")}
}`;
}

/** The taps by which the input at (`ih`, `iw`) reaches an output, row-major: `tap`, and `pixel` = oh·OW + ow of that output. */
export function eachInputTap(statements: string): string {
  const axis = (name: string, at: string, outputs: string, count: string) => `
let ${name}0 = ${at} + PADDING;
let k${name}_first = max(${name}0 % STRIDE, ${name}0 - min(${name}0, (${outputs} - 1u) * STRIDE));
let ${count} = (max(min(KERNEL, ${name}0 + 1u), k${name}_first) - k${name}_first + STRIDE - 1u) / STRIDE;`;
  return `${axis("y", "ih", "OH", "down")}${axis("x", "iw", "OW", "across")}
for (var turn = 0u; turn < down * across; turn++) {
  let ky = ky_first + (turn / across) * STRIDE;
  let kx = kx_first + (turn % across) * STRIDE;
  let tap = ky * KERNEL + kx;
  let pixel = ((y0 - ky) / STRIDE) * OW + (x0 - kx) / STRIDE;
  ${statements}
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

/** Samples whose operands wait in registers for the sums that they are added to; more would be too many for a GPU. */
const TOGETHER = 4;

/**
 * The turns of slice `slice` of a weight gradient (weightGradientSlices), `samples` a turn, BLOCKS turns a place and LENGTH a
 * slice: `dy_base_k` and `pixel_k` are those of the samples that go together, `present_k` says whether there is one, where `whole`
 * is false. Places are counted, not divided: a software adapter divides lane by lane.
 */
export function eachTurn(o: {
  readonly samples: number;
  readonly whole: boolean;
  readonly gather: boolean;
  readonly atPosition: string;
  /** Statements of so many samples. */
  readonly statements: (samples: number) => string;
}): string {
  const { samples, whole, gather } = o;
  const declare = (k: number, sample: string) => `
${whole ? `let sample_${k} = ${sample};` : `let present_${k} = ${sample} < N;\nlet sample_${k} = min(${sample}, N - 1u);`}
let dy_base_${k} = ((sample_${k} * OH + oy) * OW + ox) * DY_STRIDE;
let pixel_${k} = (sample_${k} * H + y0) * W + x0;`;
  const together = (first: number, count: number) => `{
${range(count)
  .map((k) => declare(k, `first + ${first + k}u`))
  .join("")}
${o.statements(count)}
}`;
  const stretches = range(Math.ceil(samples / TOGETHER)).map((i) =>
    together(TOGETHER * i, Math.min(TOGETHER, samples - TOGETHER * i)),
  );
  return `${declarePlaces(gather)}
let turn_first = slice * LENGTH;
let turn_end = min(height * width * BLOCKS, turn_first + LENGTH);
var block = turn_first % BLOCKS;
var row = (turn_first / BLOCKS) / width;
var column = (turn_first / BLOCKS) % width;
for (var turn = turn_first; turn < turn_end; turn++) {
  let first = block * ${samples}u;
  let oy = oy_first + row;
  let ox = ox_first + column;
  let y0 = oy * STRIDE - PADDING${gather ? "" : " + ky"};
  let x0 = ox * STRIDE - PADDING${gather ? "" : " + kx"};
  ${o.atPosition}
  ${stretches.join("\n")}
  let place_ends = block + 1u == BLOCKS;
  let row_ends = place_ends & (column + 1u == width);
  block = select(block + 1u, 0u, place_ends);
  column = select(column + select(0u, 1u, place_ends), 0u, row_ends);
  row += select(0u, 1u, row_ends);
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
