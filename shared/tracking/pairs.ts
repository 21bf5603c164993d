// Which frames of a sequence are good enough to learn from, and which two of them make a pair (siamfc-pytorch's rules).

import type { Rng } from "../base/rng.ts";
import type { Box } from "./box.ts";

/** Of a target in pixels: its area, and its sides. */
const LEAST_AREA = 20;
const SIDES = [20, 500] as const;
/** Of a target's side, as a share of the frame's. */
const SHARES = [0.01, 0.5] as const;
/** Width by height. */
const RATIOS = [0.25, 4] as const;
/** Frames less than so many apart are a pair. */
export const USUAL_GAP = 100;

const within = (value: number, [least, most]: readonly [number, number]) => value >= least && value <= most;

/**
 * Whether each frame can be half of a pair.
 * @param size of all frames
 * @param cover 0 nothing of the target is seen … 8 all of it, where that is known
 */
export function usableFrames(
  boxes: readonly Pick<Box, "w" | "h">[],
  size: { readonly width: number; readonly height: number },
  cover?: readonly number[],
): boolean[] {
  const least = cover && Math.max(1, 0.3 * cover.reduce((most, level) => Math.max(most, level), 0));
  return boxes.map(({ w, h }, i) => {
    const fits =
      w * h >= LEAST_AREA &&
      within(w, SIDES) &&
      within(h, SIDES) &&
      within(w / size.width, SHARES) &&
      within(h / size.height, SHARES) &&
      within(w / Math.max(1, h), RATIOS);
    return fits && (least === undefined || cover![i]! > least);
  });
}

/** So many of the usable frames, spread evenly over them, the first and the last among them. */
export function spreadFrames(frames: readonly number[], most: number): number[] {
  if (frames.length <= most) return [...frames];
  if (most < 2) return frames.slice(0, most);
  return Array.from({ length: most }, (_, i) => frames[Math.floor((i * (frames.length - 1)) / (most - 1))]!);
}

/**
 * Two of a sequence's frames less than `gap` apart, every such pair equally likely; where no two are so near, two
 * neighbours.
 * @param frames numbers of at least two frames, rising
 * @returns places in the list: of the earlier, which is the exemplar, and the later
 */
export function drawPair(
  frames: readonly number[],
  gap: number,
  draws: Rng,
): readonly [exemplar: number, search: number] {
  if (frames.length < 2) throw new RangeError(`a pair is of two frames; there are ${frames.length}`);
  const nearAfter: number[] = [];
  let pairs = 0;
  for (let first = 0, next = 0; first < frames.length; first++) {
    next = Math.max(next, first + 1);
    while (next < frames.length && frames[next]! - frames[first]! < gap) next++;
    nearAfter.push(next - first - 1);
    pairs += next - first - 1;
  }
  if (pairs === 0) {
    const first = draws.below(frames.length - 1);
    return [first, first + 1];
  }
  let drawn = draws.below(pairs);
  let first = 0;
  while (drawn >= nearAfter[first]!) drawn -= nearAfter[first++]!;
  return [first, first + 1 + drawn];
}
