// Where a round's sums, counters and frames lie in the reduction's memory.

import { frameHeaderBytes } from "../../../shared/wire/frame.ts";
import type { WireLayout } from "../../../shared/wire/wire-layout.ts";
import { crcTableBytes, crcTablesAt } from "./kernel-crc32c.ts";
import { groupBytes } from "./kernels-sign.ts";

/** Frames that may be under inspection, or wait for the word to be added, at a time. */
export const slotCount = 2;
/** Elements of a group of the sign counters. */
const groupSize = 128;

/** Reports of kernels lie at 0, the CRC's tables behind them. */
export const dataAt = crcTablesAt + crcTableBytes;

/** Addresses and sizes in bytes, unless said otherwise. */
export interface RoundMemory {
  /** i32 sums of what travels as numbers, and how many. */
  readonly low: number;
  readonly lowElements: number;
  /** Counters of signs, in groups of 128 elements. */
  readonly counters: number;
  readonly groups: number;
  /** float64 sums of all. */
  readonly high: number;
  readonly slots: number;
  readonly slotBytes: number;
  readonly end: number;
}

const aligned = (bytes: number) => Math.ceil(bytes / 64) * 64;

export function roundMemory(wire: WireLayout): RoundMemory {
  const signs = wire.codec === "sign" ? wire.wide : 0;
  const lowElements = wire.plain + wire.wide - signs;
  const groups = Math.ceil(signs / groupSize);
  const low = aligned(dataAt);
  const counters = aligned(low + 4 * lowElements);
  const high = aligned(counters + groups * groupBytes);
  const slots = aligned(high + 8 * (lowElements + groups * groupSize));
  // What the kernels read beyond a body, up to a group of signs, is still the slot's.
  const slotBytes = aligned(frameHeaderBytes + 4 * wire.tensors.length + wire.bytes + 16) + 64;
  return { low, lowElements, counters, groups, high, slots, slotBytes, end: slots + slotCount * slotBytes };
}

/** Address of a slot. @throws RangeError for one that is not there */
export function slotAt({ slots, slotBytes }: RoundMemory, slot: number): number {
  if (!(slot >= 0 && slot < slotCount)) throw new RangeError(`reduction: slots are below ${slotCount}, got ${slot}`);
  return slots + slot * slotBytes;
}
