// The windows of a pool as WGSL: their taps, written out, and which tap holds the maximum.
import { outputHeight, outputWidth, type WindowShape } from "../../shared/model/window.ts";
import { vectorType, vectorWidth } from "../text/dispatch.ts";
import { range } from "../text/range.ts";

/** The most negative f32: pads a maximum. */
export const LOWEST = "-0x1.fffffep+127f";
/** `first` before any tap has won. */
const NO_TAP = "0xffffffffu";

export function poolConstants(shape: WindowShape): Readonly<Record<string, number>> {
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

export function describePool(shape: WindowShape): string {
  return `${shape.n}x${shape.h}x${shape.w}x${shape.in} k${shape.kernel} s${shape.stride}`;
}

/**
 * Statements for every tap of window (oy, ox), written out: `row` and `column` of x, and whether they are `inside` it.
 */
export function eachPoolTap(
  shape: WindowShape,
  statements: (tap: number, inside: string | undefined) => string,
): string {
  const padded = shape.padding > 0;
  return range(shape.kernel * shape.kernel)
    .map((tap) => {
      const ky = Math.floor(tap / shape.kernel);
      const kx = tap % shape.kernel;
      return `{
let row = oy * STRIDE + ${ky}u - PADDING;
let column = ox * STRIDE + ${kx}u - PADDING;
${padded ? "let inside = (row < H) & (column < W);" : ""}
${statements(tap, padded ? "inside" : undefined)}
}`;
    })
    .join("\n");
}

/** `value` where `mask` holds, else `other`; no mask is true. */
export function where(mask: string | undefined, value: string, other: string): string {
  return mask === undefined ? value : `select(${other}, ${value}, ${mask})`;
}

/** Declares `first`, the tap of window (oy, ox) that holds its first maximum in scan order. */
export function firstMaximum(shape: WindowShape, width: 4 | 1): string {
  const type = vectorType(width);
  const tapType = width === 4 ? "vec4<u32>" : "u32";
  return `
var best = ${type}(${LOWEST});
var first = ${tapType}(${NO_TAP});
${eachPoolTap(shape, (tap, inside) => {
  const wins = `(v > best) | (first == ${tapType}(${NO_TAP}))`;
  return `let v = x[((sample * H + ${where(inside, "row", "0u")}) * W + ${where(inside, "column", "0u")}) * COLUMNS + channel];
let wins = ${inside === undefined ? wins : `(${wins}) & ${width === 4 ? "vec4<bool>(inside)" : "inside"}`};
best = select(best, v, wins);
first = select(first, ${tapType}(${tap}u), wins);`;
})}`;
}
