// Where a window looks, as a table that the kernels read: which taps lie inside the image is decided here, once, and
// not at every output.

import { outputHeight, outputWidth, type WindowShape } from "../../../shared/model/window.ts";

/** Elements that lie side by side in the input, and in the weights of one output. */
export interface Run {
  /** Of the first, from the window's upper left corner, which may lie outside the image. */
  readonly input: number;
  /** Of the first, from the first weight. */
  readonly weight: number;
  readonly length: number;
  /** ky · kernel + kx of the first. */
  readonly tap: number;
}

/** Outputs side by side in a row whose windows hold the same taps. */
export interface Segment {
  /** Of the first one's window, in elements. */
  readonly input: number;
  /** Position of the first, oy · ow + ox. */
  readonly output: number;
  readonly count: number;
  /** Which of the tap sets. */
  readonly taps: number;
}

/** Taps [top, bottom) × [left, right) of a window. */
export interface TapSet {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

export interface WindowTable {
  readonly segments: readonly Segment[];
  readonly sets: readonly TapSet[];
  /** Runs of each set. */
  readonly runs: readonly (readonly Run[])[];
}

export interface TableOptions {
  /** Elements of a pixel, in the input and in the weights. */
  readonly pixel: number;
  /** Of them, those from the first on that a group sees: so many are in the weights. All unless given. */
  readonly seen?: number;
  /** Longest run. */
  readonly most: number;
  /** Each tap is a run of its own, or several. */
  readonly apart?: boolean;
}

/** The taps of an output of one axis that lie in the image. */
function inside(at: number, size: number, { kernel, stride, padding }: WindowShape): readonly [number, number] {
  const first = at * stride - padding;
  return [Math.max(0, -first), Math.min(kernel, size - first)];
}

export function windowTable(window: WindowShape, options: TableOptions): WindowTable {
  const { h, w, stride, padding } = window;
  const sets: TapSet[] = [];
  const known = new Map<string, number>();
  const setOf = (set: TapSet): number => {
    const key = Object.values(set).join();
    const index = known.get(key) ?? sets.push(set) - 1;
    known.set(key, index);
    return index;
  };
  const [rows, columns] = [outputHeight(window), outputWidth(window)];
  const segments: Segment[] = [];
  for (let y = 0; y < rows; y++) {
    const [top, bottom] = inside(y, h, window);
    for (let x = 0; x < columns; ) {
      const [left, right] = inside(x, w, window);
      let end = x + 1;
      while (end < columns && inside(end, w, window).join() === `${left},${right}`) end++;
      const corner = (y * stride - padding) * w + x * stride - padding;
      const taps = setOf({ top, bottom, left, right });
      segments.push({ input: corner * options.pixel, output: y * columns + x, count: end - x, taps });
      x = end;
    }
  }
  return { segments, sets, runs: sets.map((set) => runsOf(set, window, options)) };
}

function runsOf(set: TapSet, { kernel, w }: WindowShape, { pixel, seen = pixel, most, apart }: TableOptions): Run[] {
  const runs: Run[] = [];
  for (let ky = set.top; ky < set.bottom; ky++) {
    const together = apart || seen < pixel ? 1 : set.right - set.left;
    for (let kx = set.left; kx < set.right; kx += together) {
      const at = ky * kernel + kx;
      for (let from = 0; from < together * seen; from += most) {
        runs.push({
          input: (ky * w + kx) * pixel + from,
          weight: at * seen + from,
          length: Math.min(most, together * seen - from),
          tap: at,
        });
      }
    }
  }
  return runs;
}

/** Taps of a set, as ky · kernel + kx. */
export function tapsOf({ top, bottom, left, right }: TapSet, kernel: number): number[] {
  const taps: number[] = [];
  for (let ky = top; ky < bottom; ky++) for (let kx = left; kx < right; kx++) taps.push(ky * kernel + kx);
  return taps;
}
