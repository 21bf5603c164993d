// Whom of a round's microbatches to give a worker: those of which it holds most, of these what few others hold; and
// then what few hold, so that there is left for others what they hold.

import type { WorkerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import type { Chooser } from "./slots.ts";

/** What is known of who holds which chunks. */
export interface Held {
  /** A bit a chunk, the lowest of a byte first: what a worker holds; undefined where that is nothing. */
  readonly of: (worker: WorkerId) => Uint8Array | undefined;
  /** Workers that hold a chunk. */
  readonly holders: (chunk: number) => number;
}

/** @param chunksOf the chunks of each microbatch */
export function heldFirst(chunksOf: readonly (readonly number[])[], held: Held): Chooser {
  const holders = chunksOf.map((chunks) => chunks.reduce((sum, chunk) => sum + held.holders(chunk), 0));
  /** All of a group, what few hold first. */
  const rarest = new Map<number, { readonly order: readonly number[]; next: number }>();
  /** What a worker holds any of, by the beginning of the group. */
  const favourites = new Map<WorkerId, Map<number, readonly number[]>>();

  const rarestOf = ({ from, to }: Range) => {
    const known = rarest.get(from);
    if (known) return known;
    const order = Array.from({ length: to - from }, (_, i) => from + i).sort(
      (a, b) => holders[a] - holders[b] || a - b,
    );
    const fresh = { order, next: 0 };
    rarest.set(from, fresh);
    return fresh;
  };

  /** All chunks in a row, and where those of each microbatch begin: a thousand workers look at all of them. */
  const starts = new Int32Array(chunksOf.length + 1);
  for (const [i, { length }] of chunksOf.entries()) starts[i + 1] = starts[i] + length;
  const all = Int32Array.from(chunksOf.flat());

  const favouritesOf = (worker: WorkerId, { from, to }: Range, free: (one: number) => boolean): readonly number[] => {
    const groups = favourites.get(worker) ?? new Map<number, readonly number[]>();
    favourites.set(worker, groups);
    const known = groups.get(from);
    if (known) return known;
    const bits = held.of(worker);
    const share = new Float64Array(bits ? to - from : 0);
    const list: number[] = [];
    for (let i = from; bits && i < to; i++) {
      let count = 0;
      for (let c = starts[i]; c < starts[i + 1]; c++) count += (bits[all[c] >> 3] >> (all[c] & 7)) & 1;
      // What is taken stays so.
      if (count === 0 || !free(i)) continue;
      share[i - from] = count / (starts[i + 1] - starts[i]);
      list.push(i);
    }
    list.sort((a, b) => share[b - from] - share[a - from] || holders[a] - holders[b] || a - b);
    groups.set(from, list);
    return list;
  };

  return {
    choose(worker, group, count, free) {
      const chosen: number[] = [];
      const taken = new Set<number>();
      for (const microbatch of favouritesOf(worker, group, free)) {
        if (chosen.length === count) break;
        if (!free(microbatch)) continue;
        chosen.push(microbatch);
        taken.add(microbatch);
      }
      const rest = rarestOf(group);
      for (let at = rest.next; at < rest.order.length && chosen.length < count; at++) {
        const microbatch = rest.order[at];
        if (free(microbatch) && !taken.has(microbatch)) chosen.push(microbatch);
        else if (at === rest.next) rest.next++;
      }
      return chosen.sort((a, b) => a - b);
    },
  };
}
