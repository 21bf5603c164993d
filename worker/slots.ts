// Gives tensors whose lifetimes do not meet the same buffer: whole-buffer slots, because one buffer cannot be bound read and read_write in one dispatch.

import type { Lifetime } from "./launch-list.ts";

export interface SlotAssignment {
  /** Slot of each tensor; −1 for one that nothing touches. */
  readonly slotOf: readonly number[];
  /** Bytes of each slot. */
  readonly slotBytes: readonly number[];
}

/**
 * Linear scan in order of first use; a tensor takes the free slot that fits it with the least waste, or grows the
 * largest free one, or opens a new one. Two tensors touched by one launch never share a slot.
 */
export function assignSlots(lifetimes: readonly Lifetime[]): SlotAssignment {
  const slotOf = new Array<number>(lifetimes.length).fill(-1);
  const slots: { bytes: number; freeAfter: number }[] = [];
  const order = lifetimes.map((_, id) => id).filter((id) => lifetimes[id].first >= 0);
  order.sort((a, b) => lifetimes[a].first - lifetimes[b].first || a - b);
  for (const id of order) {
    const { bytes, first, last } = lifetimes[id];
    const free = slots.map((_, index) => index).filter((index) => slots[index].freeAfter < first);
    const fitting = free.filter((index) => slots[index].bytes >= bytes);
    const smallest = fitting.sort((a, b) => slots[a].bytes - slots[b].bytes)[0];
    const largest = free.sort((a, b) => slots[b].bytes - slots[a].bytes)[0];
    const chosen = smallest ?? largest;
    if (chosen === undefined) {
      slots.push({ bytes, freeAfter: last });
      slotOf[id] = slots.length - 1;
    } else {
      slots[chosen].bytes = Math.max(slots[chosen].bytes, bytes);
      slots[chosen].freeAfter = last;
      slotOf[id] = chosen;
    }
  }
  return { slotOf, slotBytes: slots.map((slot) => slot.bytes) };
}
