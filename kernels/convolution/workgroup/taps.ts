// A sum over the taps of a window and the channels of each, cut into slabs: which tap and channel a step is, and which
// pixel a row sees there.

import type { Operand } from "./memory.ts";

/**
 * Taps row-major, channels ascending in each. `taps` and `across`, the taps of a row, are WGSL and uniform in the
 * workgroup.
 */
export interface TapSum {
  readonly channels: number;
  readonly depth: number;
  readonly taps: string;
  readonly across: string;
}

/** A slab lies within one tap, so that its place is found once and not for every value. */
function wholeTaps(sum: TapSum): boolean {
  return sum.channels % sum.depth === 0;
}

export function tapSlabs(sum: TapSum): string {
  return `((${sum.taps}) * ${sum.channels}u + ${sum.depth - 1}u) / ${sum.depth}u`;
}

function splitTap(sum: TapSum): string {
  return `let tap_y = tap / (${sum.across});\nlet tap_x = tap % (${sum.across});`;
}

/**
 * Statements at a slab. Reads `slab`; declares `tap`, `channel0`, `tap_y`, `tap_x` where a slab lies within one tap,
 * else nothing.
 */
export function tapsAtSlab(sum: TapSum): string {
  if (!wholeTaps(sum)) return "";
  const slabs = sum.channels / sum.depth;
  return `let tap = slab / ${slabs}u;\nlet channel0 = (slab % ${slabs}u) * ${sum.depth}u;\n${splitTap(sum)}`;
}

/**
 * Declares `tap`, `tap_y`, `tap_x`, `channel` of a step; beyond the last, `tap` is not below `taps`. Reads `slab`, or
 * `channel0` of tapsAtSlab.
 */
export function tapAtStep(sum: TapSum, step: string): string {
  if (wholeTaps(sum)) return `let channel = channel0 + ${step};`;
  return `
let term = slab * ${sum.depth}u + ${step};
let tap = term / ${sum.channels}u;
let channel = term % ${sum.channels}u;
${splitTap(sum)}`;
}

/** Pixels [sample][height][width] that rows [sample][high][wide] of the result see: sizes are WGSL. */
export interface WindowRows {
  readonly rows: number;
  readonly high: string;
  readonly wide: string;
  readonly height: string;
  readonly width: string;
  /** Pixel at tap (0, 0), given the row's place: WGSL. */
  readonly firstY: (y: string) => string;
  readonly firstX: (x: string) => string;
  /** How the pixel moves with the tap. */
  readonly towards: "+" | "-";
}

/**
 * Declares `y_id`, `x_id`, `image_id` of row `line_id`; a row that does not exist sees only pixels outside. Reads
 * `line`.
 */
export function windowRow(w: WindowRows, id: string, line = `line_${id}`): string {
  const place = `(${line}) % (${w.high} * ${w.wide})`;
  return `
let y_${id} = select(0x40000000u, ${w.firstY(`((${place}) / ${w.wide})`)}, (${line}) < ${w.rows}u);
let x_${id} = ${w.firstX(`((${place}) % ${w.wide})`)};
let image_${id} = (${line}) / (${w.high} * ${w.wide}) * (${w.height} * ${w.width});`;
}

/**
 * Declares `inside` and `pixel` of row `id` at tap (`tap_y`, `tap_x`), which is one of `taps`. Reads `tap`, `tap_y`,
 * `tap_x`, and `y_id`, `x_id`, `image_id` of windowRow; declares `pixel_y` and `pixel_x` too.
 */
export function pixelAtTap(w: WindowRows, id: string, taps: string): string {
  return `
let pixel_y = y_${id} ${w.towards} tap_y;
let pixel_x = x_${id} ${w.towards} tap_x;
let inside = (tap < ${taps}) & (pixel_y < ${w.height}) & (pixel_x < ${w.width});
let pixel = image_${id} + pixel_y * ${w.width} + pixel_x;`;
}

/**
 * The rows of a product as an operand along the sum: what each sees through its window, 0 outside the image. Reads
 * `line_id`, `slab`, and `tap`, `tap_y`, `tap_x` of tapsAtSlab; declares what windowRow, tapAtStep and pixelAtTap
 * declare.
 */
export function windowOperand(
  rows: WindowRows,
  sum: TapSum,
  o: Pick<Operand, "width" | "half"> & {
    /** Address and value, WGSL that knows `pixel`, `channel` and what `atPixel` declares. */
    readonly at: string;
    readonly value: (at: string) => string;
    readonly atPixel?: string;
  },
): Operand {
  const { at, value, atPixel = "", ...layout } = o;
  return {
    name: "a",
    layout: "steps",
    ...layout,
    setup: (id) => windowRow(rows, id),
    element: (id, step) => ({
      statements: tapAtStep(sum, step) + pixelAtTap(rows, id, sum.taps) + atPixel,
      inside: "inside",
      at,
      value,
    }),
  };
}
