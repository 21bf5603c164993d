// The loops over a window's taps: which taps of an output (or an input) element lie inside the image, as WGSL.
import { outputHeight, outputWidth, type WindowShape } from "../../shared/model/window.ts";
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
    ...(s.groups === undefined ? {} : { GROUPS: s.groups }),
  };
}

/** What of a dispatch a window with groups asks for. */
export function windowGroups({ groups }: WindowShape): { readonly groups?: number } {
  return groups === undefined ? {} : { groups };
}

/**
 * WGSL of the place of this group's channels at a pixel or an output, in units of a group's channels: maps are
 * [n][h][w][group][channels]. `place` is a factor. Reads GROUPS and `own_group` where there are groups.
 */
export function placeOfGroup({ groups }: WindowShape, place: string): string {
  return groups === undefined ? place : `(${place} * GROUPS + own_group)`;
}

/** WGSL that adds this group's part of `each` elements to an address, such as that of its weights. */
export function atGroup({ groups }: WindowShape, each: number | string): string {
  return groups === undefined ? "" : ` + own_group * ${typeof each === "number" ? `${each}u` : each}`;
}

export function describeWindow(s: WindowShape): string {
  const groups = s.groups === undefined ? "" : ` g${s.groups}`;
  return `${s.n}x${s.h}x${s.w}x${s.in}->${s.out} k${s.kernel} s${s.stride} p${s.padding}${groups}`;
}

/** How a tap's statements learn that it is one too many. */
export type TapMask = "none" | "inside";

/**
 * The taps of the output at (`oh`, `ow`) that lie inside the image, row-major: `tap` is the number, `pixel` = ih·W +
 * iw. Exact zero padding: taps outside are skipped. One loop runs over rows and columns of taps, because a software
 * adapter masks the registers at each. Where a row of taps is written `together`, a turn may end beyond the last tap:
 * then `inside` is false and the tap is the last once more. All rows of a tile share the position, so no lane is
 * masked. Reads `oh`, `ow` and windowConstants; declares `y0`, `x0`, `taps` before the loop, and for the statements
 * `ky`, `kx`, `tap`, `pixel`, and `inside` with that mask.
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

/**
 * The taps by which the input at (`ih`, `iw`) reaches an output, row-major: `tap`, and `pixel` = oh·OW + ow of that
 * output. Reads `ih`, `iw` and windowConstants; declares `y0`, `x0` before the loop, and for the statements `ky`, `kx`,
 * `tap`, `pixel`.
 */
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

/** A 1×1 window of stride 1 sees no neighbours: every position is a sample. */
function isPointwise(s: WindowShape): boolean {
  return s.kernel === 1 && s.stride === 1 && s.padding === 0;
}

/** The same convolution with as many samples and as few positions as possible; memory layouts are unchanged. */
export function foldPositions(s: WindowShape): WindowShape {
  if (isPointwise(s)) return { ...s, n: s.n * s.h * s.w, h: 1, w: 1 };
  return s;
}
