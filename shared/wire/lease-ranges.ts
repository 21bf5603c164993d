// The positions of a lease: ranges in the order in which they are computed, so that one worker may be lent what it
// holds the data of, wherever in the round that lies.

import type { Range } from "../base/intervals.ts";

/** Most microbatches of one lease that a worker can be asked for; the configuration's limit is below. */
export const MAX_MICROBATCHES = 1024;
/** Ranges of one lease: each is a microbatch or more. */
export const MAX_LEASE_RANGES = MAX_MICROBATCHES;

/** Positions in ranges that do not overlap. */
export function samplesOf(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { from, to }) => sum + to - from, 0);
}

/** The microbatches of ranges, in their order: each begins at a multiple of `size`. */
export function microbatchesOf(ranges: readonly Range[], size: number): readonly Range[] {
  const microbatches: Range[] = [];
  for (const range of ranges) {
    for (let { from } = range; from < range.to; ) {
      const to = Math.min((Math.floor(from / size) + 1) * size, range.to);
      microbatches.push({ from, to });
      from = to;
    }
  }
  return microbatches;
}

/** What keeps ranges from being a lease's of a split of so many samples; undefined where nothing does. */
export function faultOfRanges(
  ranges: readonly Range[],
  { samples, microbatch, most }: { readonly samples: number; readonly microbatch: number; readonly most: number },
): string | undefined {
  const ascending = [...ranges].sort((a, b) => a.from - b.from);
  let asked = 0;
  for (const [index, { from, to }] of ascending.entries()) {
    const show = `[${from}, ${to})`;
    if (from >= to || to > samples) return `covers ${show} of ${samples} samples`;
    const last = index === ascending.length - 1;
    // The pass may end before the split does, within a microbatch.
    if (from % microbatch !== 0 || (!last && to % microbatch !== 0))
      return `covers ${show}, which is no whole microbatches of ${microbatch}`;
    if (index > 0 && from < ascending[index - 1].to) return `covers ${show} after what reaches into it`;
    asked += Math.ceil((to - from) / microbatch);
  }
  if (asked > most) return `is of ${asked} microbatches; lease.maxMicrobatches is ${most}`;
  return undefined;
}

/** In words: `0 to 64, 128 to 160`. */
export function rangesInWords(ranges: readonly Range[], most = 3): string {
  const shown = ranges.slice(0, most).map(({ from, to }) => `${from} to ${to}`);
  const more = ranges.length - shown.length;
  return more > 0 ? `${shown.join(", ")} and ${more} more` : shown.join(", ");
}
