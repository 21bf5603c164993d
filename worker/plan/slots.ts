// Gives tensors whose lifetimes do not meet the same memory: ranges of a few buffers, the largest tensors placed first.

import type { Launch, Lifetime } from "./launch-list.ts";

export interface SlotAssignment {
  /** Slot (buffer) of each tensor; −1 for one that nothing touches. */
  readonly slotOf: readonly number[];
  /** Bytes from the slot's start. */
  readonly offsetOf: readonly number[];
  /** Bytes of each slot. */
  readonly slotBytes: readonly number[];
}

/** A slot grows to this and no further, except for one tensor that is larger: the guaranteed size of a binding. */
export const SLOT_BYTES = 128 * 2 ** 20;
/** The guaranteed minStorageBufferOffsetAlignment. */
const ALIGNMENT = 256;

interface Slot {
  bytes: number;
  readonly tensors: number[];
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/**
 * Tensors that may not share a buffer, even apart from each other: one buffer cannot be bound read and read_write in
 * one dispatch.
 */
function strangers(tensors: number, launches: readonly Launch[]): readonly ReadonlySet<number>[] {
  const sets = Array.from({ length: tensors }, () => new Set<number>());
  for (const { kernel, refs } of launches) {
    const bound = refs.flatMap((ref, i) =>
      ref.kind === "transient" ? [{ id: ref.id, access: kernel.bindings[i].access }] : [],
    );
    for (const a of bound) for (const b of bound) if (a.access !== b.access) sets[a.id].add(b.id);
  }
  return sets;
}

/** Offset of the tightest gap between taken ranges [from, to), which are in order of `from`; the end when none fits. */
function tightestGap(taken: readonly (readonly [number, number])[], bytes: number): number {
  let end = 0;
  let best: number | undefined;
  let spare = Number.POSITIVE_INFINITY;
  for (const [from, to] of taken) {
    if (from - end >= bytes && from - end - bytes < spare) {
      best = end;
      spare = from - end - bytes;
    }
    end = Math.max(end, to);
  }
  return best ?? end;
}

/**
 * Greedy by size (Pisarchyk & Lee 2020, arXiv 2001.03288), over several buffers: a tensor goes where a slot grows
 * least, into the tightest gap left by those that are alive with it.
 */
export function assignSlots(list: {
  readonly lifetimes: readonly Lifetime[];
  readonly launches: readonly Launch[];
}): SlotAssignment {
  const { lifetimes, launches } = list;
  const apart = strangers(lifetimes.length, launches);
  const slotOf = new Array<number>(lifetimes.length).fill(-1);
  const offsetOf = new Array<number>(lifetimes.length).fill(0);
  const slots: Slot[] = [];
  const meet = (a: Lifetime, b: Lifetime) => a.first <= b.last && b.first <= a.last;

  const order = lifetimes.map((_, id) => id).filter((id) => lifetimes[id].first >= 0);
  order.sort((a, b) => lifetimes[b].bytes - lifetimes[a].bytes || lifetimes[a].first - lifetimes[b].first || a - b);
  for (const id of order) {
    const bytes = align(lifetimes[id].bytes);
    let chosen = slots.length;
    let offset = 0;
    let growth = bytes;
    slots.forEach((slot, index) => {
      if (slot.tensors.some((other) => apart[id].has(other))) return;
      const taken = slot.tensors
        .filter((other) => meet(lifetimes[id], lifetimes[other]))
        .map((other) => [offsetOf[other], offsetOf[other] + align(lifetimes[other].bytes)] as const)
        .sort((a, b) => a[0] - b[0]);
      const at = tightestGap(taken, bytes);
      const grows = Math.max(0, at + bytes - slot.bytes);
      if (at + bytes > SLOT_BYTES || grows > growth || (grows === growth && chosen < slots.length)) return;
      chosen = index;
      offset = at;
      growth = grows;
    });
    if (chosen === slots.length) slots.push({ bytes: 0, tensors: [] });
    slots[chosen].tensors.push(id);
    slots[chosen].bytes = Math.max(slots[chosen].bytes, offset + bytes);
    slotOf[id] = chosen;
    offsetOf[id] = offset;
  }
  return { slotOf, offsetOf, slotBytes: slots.map((slot) => slot.bytes) };
}

/** Bytes of the tensors alive at the launch where they are most: no assignment takes less. */
export function peakBytes(lifetimes: readonly Lifetime[]): number {
  const touched = lifetimes.filter((life) => life.first >= 0);
  const at = (launch: number) =>
    touched.reduce((sum, life) => sum + (life.first <= launch && launch <= life.last ? life.bytes : 0), 0);
  return Math.max(0, ...new Set(touched.map((life) => at(life.first))));
}
