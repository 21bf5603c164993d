// Which microbatches stand at the slots of a round. Leases are cut from slots, which lie side by side; what stands at
// one is settled when it is first leased, so that whoever asks may be lent what it holds the data of. From then on it
// is the same for all who are leased the slot: twins, spares and audits compute the same samples.

import type { WorkerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import { microbatchesOf } from "../../shared/wire/lease-ranges.ts";

export interface Slots {
  /** What is opened as the round, in the order in which it is leased. */
  readonly ranges: readonly Range[];
  /** Settles, for a worker that is leased these slots, what stands at those where nothing does. */
  settle(worker: WorkerId, slots: Range): void;
  /** The positions of the pass at slots that were leased, ascending, none touching the next. */
  positionsOf(slots: Range | readonly Range[]): readonly Range[];
}

/** Slots that are the positions themselves. */
export function plainSlots(ranges: readonly Range[]): Slots {
  const positionsOf: Slots["positionsOf"] = (slots) => {
    // A lease is more than its range, and what comes of this is said to workers.
    return "from" in slots ? [{ from: slots.from, to: slots.to }] : slots;
  };
  return { ranges, settle: () => undefined, positionsOf };
}

/** Chooses among the microbatches of a round, by their numbers. */
export interface Chooser {
  /** The best `count` for a worker among those from `begin` up to `end` that `free` says are free. */
  choose(worker: WorkerId, group: Range, count: number, free: (microbatch: number) => boolean): readonly number[];
}

/**
 * Slots that are filled by choice.
 * @param ranges of the round; all but the last were carried over, and keep the first slots
 * @param chooser made from the round's microbatches
 */
export function chosenSlots(
  ranges: readonly Range[],
  size: number,
  chooser: (microbatches: readonly Range[]) => Chooser,
): Slots {
  const microbatches = microbatchesOf(ranges, size);
  const last = microbatches.length - 1;
  const short = microbatches.findIndex(({ from, to }) => to - from !== size);
  // A short one that is not the last would put what comes behind it off the grid.
  if (short >= 0 && short !== last) return plainSlots(ranges);
  const carried = microbatchesOf(ranges.slice(0, -1), size).length;
  return new ChosenSlots(microbatches, carried, size, chooser(microbatches));
}

class ChosenSlots implements Slots {
  readonly ranges: readonly Range[];
  readonly #microbatches: readonly Range[];
  readonly #size: number;
  readonly #chooser: Chooser;
  /** What was carried over, then what is new, then a short one, each filled from its own. */
  readonly #groups: readonly Range[];
  /** Microbatch at each slot; -1 where none is settled. */
  readonly #at: Int32Array;
  readonly #taken: Uint8Array;

  constructor(microbatches: readonly Range[], carried: number, size: number, chooser: Chooser) {
    this.#microbatches = microbatches;
    this.#size = size;
    this.#chooser = chooser;
    const count = microbatches.length;
    const tail = microbatches[count - 1];
    const short = tail && tail.to - tail.from !== size ? 1 : 0;
    const bounds = [0, carried, count - short, count];
    this.#groups = bounds.slice(1).map((to, i) => ({ from: bounds[i], to }));
    const end = count * size - (short ? size - (tail.to - tail.from) : 0);
    const first = { from: 0, to: carried * size };
    this.ranges = [first, { from: first.to, to: end }].filter(({ from, to }) => from < to);
    this.#at = new Int32Array(count).fill(-1);
    this.#taken = new Uint8Array(count);
  }

  settle(worker: WorkerId, slots: Range): void {
    const [begin, end] = this.#numbers(slots);
    for (const group of this.#groups) {
      const empty: number[] = [];
      for (let slot = Math.max(begin, group.from); slot < Math.min(end, group.to); slot++) {
        if (this.#at[slot] < 0) empty.push(slot);
      }
      if (empty.length === 0) continue;
      const chosen = this.#chooser.choose(worker, group, empty.length, (microbatch) => this.#taken[microbatch] === 0);
      chosen.forEach((microbatch, i) => {
        if (this.#taken[microbatch] !== 0) throw new RangeError(`microbatch ${microbatch} was chosen twice`);
        this.#taken[microbatch] = 1;
        this.#at[empty[i]] = microbatch;
      });
    }
  }

  positionsOf(slots: Range | readonly Range[]): readonly Range[] {
    const all: Range[] = [];
    for (const range of "from" in slots ? [slots] : slots) {
      const [begin, end] = this.#numbers(range);
      for (let slot = begin; slot < end; slot++) {
        const microbatch = this.#microbatches[this.#at[slot]];
        if (!microbatch) throw new RangeError(`slot ${slot} was never leased`);
        all.push(microbatch);
      }
    }
    all.sort((a, b) => a.from - b.from);
    const merged: Range[] = [];
    for (const { from, to } of all) {
      const before = merged.at(-1);
      if (before?.to === from) merged[merged.length - 1] = { from: before.from, to };
      else merged.push({ from, to });
    }
    return merged;
  }

  #numbers({ from, to }: Range): readonly [number, number] {
    return [from / this.#size, Math.ceil(to / this.#size)];
  }
}
