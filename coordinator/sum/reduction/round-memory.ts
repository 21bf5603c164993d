// Where a round's sums and frames lie in the reduction's memory.

import { payloadHeadBytes } from "../../../shared/wire/contribution-payload.ts";
import { frameHeaderBytes } from "../../../shared/wire/frame.ts";
import type { WireLayout } from "../../../shared/wire/wire-layout.ts";
import type { CodedReduction } from "./codec-reduction.ts";
import { crcTableBytes, crcTablesAt } from "./kernel-crc32c.ts";

/** Frames that may be under inspection, or wait for the word to be added, at a time. */
export const slotCount = 2;

/** Reports of kernels lie at 0, the CRC's tables behind them. */
export const dataAt = crcTablesAt + crcTableBytes;

/** Addresses and sizes in bytes, unless said otherwise. */
export interface RoundMemory {
  /** i32 sums, and how many. */
  readonly low: number;
  readonly lowElements: number;
  /** Sums of the codec's own, where it has some, and how many. */
  readonly own: number;
  readonly ownElements: number;
  /** float64 sums of all. */
  readonly high: number;
  readonly slots: number;
  readonly slotBytes: number;
  readonly end: number;
}

const aligned = (bytes: number) => Math.ceil(bytes / 64) * 64;

export function roundMemory(wire: WireLayout, coding: CodedReduction | null): RoundMemory {
  const sums = coding?.sums.kind === "own" ? coding.sums : undefined;
  const ownElements = sums ? wire.wide : 0;
  const lowElements = wire.plain + wire.wide - ownElements;
  const low = aligned(dataAt);
  const own = aligned(low + 4 * lowElements);
  const high = aligned(own + (sums?.bytes(ownElements) ?? 0));
  const slots = aligned(high + 8 * (lowElements + (sums?.padded(ownElements) ?? 0)));
  // What the kernels read beyond a body, up to a group of signs, is still the slot's.
  const slotBytes = aligned(frameHeaderBytes + payloadHeadBytes(wire.tensors.length) + wire.bytes + 16) + 64;
  return { low, lowElements, own, ownElements, high, slots, slotBytes, end: slots + slotCount * slotBytes };
}

/** Address of a slot. @throws RangeError for one that is not there */
export function slotAt({ slots, slotBytes }: RoundMemory, slot: number): number {
  if (!(slot >= 0 && slot < slotCount)) throw new RangeError(`reduction: slots are below ${slotCount}, got ${slot}`);
  return slots + slot * slotBytes;
}
