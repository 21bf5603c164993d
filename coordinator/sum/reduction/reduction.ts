// The sum of one round at a time, in WebAssembly's memory. A contribution is copied there, checked, and only then added: what
// is refused has changed nothing (SPEC.md R5). Everything is an integer, so no order changes a bit (R4).
//
// Memory: reports · CRC tables · i32 sums of what travels as numbers · counters of signs · float64 sums · slots for frames.
// i32 sums are folded into float64 before they could overflow, counters before they could carry out of their planes.

import { crc32c } from "../../../shared/base/crc32c.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { powerOfTwo } from "../../../shared/base/powers-of-two.ts";
import type { ContributionLayout } from "../../../shared/wire/contribution.ts";
import { frameHeaderBytes } from "../../../shared/wire/frame.ts";
import {
  blockSize,
  type GradientCodec,
  type WireLayout,
  type WireTensor,
  wireLayout,
} from "../../../shared/wire/wire-layout.ts";
import { PeakRecord } from "../peak-record.ts";
import { shiftCrc } from "./crc-combine.ts";
import { crcTableBytes, crcTables, crcTablesAt } from "./kernel-crc32c.ts";
import { KernelMemory } from "./kernels.ts";
import { planes } from "./kernels-sign.ts";
import { halfInfinity, notFinite } from "./not-finite.ts";
import { dataAt, type RoundMemory, roundMemory, slotAt } from "./round-memory.ts";

/** One contribution's bound in units, and that of the i32 sums. */
const clipUnits = 2 ** 30;
const lowLimit = 2 ** 31 - 1;
const infinityBits = 0x7f800000;

/** What a round sums. */
export interface ReductionTerms {
  readonly layout: ContributionLayout;
  /** Unit 2^e of each tensor of the layout. */
  readonly exponents: readonly number[];
  readonly codec: GradientCodec;
}

/** What a look at a contribution says. */
export interface Inspection {
  /** Σ value² of each tensor in the wire's order: the sums over the lease's samples, in float64. */
  readonly squares: Float64Array;
}

/** The numbers of a sealed round, for a RoundSum. */
export interface ReducedRound {
  readonly samples: number;
  readonly peaks: Float32Array<ArrayBuffer>;
  /** Integers in the wire's order [plain + wide], a view of the reduction's memory: valid until the next round begins. */
  readonly sum: Float64Array;
}

interface Pending {
  readonly samples: number;
  readonly peaks: Uint32Array<ArrayBuffer>;
  /** Address of the body. */
  readonly body: number;
  /** The largest magnitude of an i32 sum's share, in units. */
  readonly largest: number;
}

interface OpenRound extends ReductionTerms, RoundMemory {
  readonly wire: WireLayout;
  readonly peaks: PeakRecord;
  readonly pending: Map<number, Pending>;
  samples: number;
  /** No i32 sum can be above this yet. */
  lowBound: number;
  /** Weight of the signs in the counters. */
  weight: number;
}

export class Reduction {
  readonly #memory = new KernelMemory();
  /** What kernels report, at 0: largest magnitudes and largest bits. The memory is shared, so they stay valid as it grows. */
  readonly #largest = new Float32Array(this.#memory.buffer, 0, 4);
  readonly #largestBits = new Uint32Array(this.#memory.buffer, 16, 4);
  #round: OpenRound | undefined;

  constructor() {
    this.#memory.reserve(dataAt);
    new Int32Array(this.#memory.buffer, crcTablesAt, crcTableBytes / 4).set(crcTables());
  }

  /** Begins a round; that before it is forgotten, its sum with it. */
  begin({ layout, exponents, codec }: ReductionTerms): void {
    if (exponents.length !== layout.tensors.length) {
      throw new RangeError(
        `reduction: ${layout.tensors.length} tensors take as many exponents, got ${exponents.length}`,
      );
    }
    const wire = wireLayout(layout, codec);
    const places = roundMemory(wire);
    this.#memory.reserve(places.end);
    new Uint8Array(this.#memory.buffer, places.low, places.slots - places.low).fill(0);
    const counts = { samples: 0, lowBound: 0, weight: 0 };
    const peaks = new PeakRecord(wire, layout);
    this.#round = { layout, exponents, codec, wire, ...places, peaks, pending: new Map(), ...counts };
  }

  /** Bytes of a contribution's payload. */
  get payloadBytes(): number {
    const { layout, wire } = this.#open();
    return 4 * layout.tensors.length + wire.bytes;
  }

  /** Whether a frame of so many bytes can be loaded. */
  fits(bytes: number): boolean {
    return bytes <= this.#open().slotBytes;
  }

  /** Copies a frame into a slot and returns the bytes there, to be changed as the caller likes. */
  load(slot: number, frame: Uint8Array): Uint8Array {
    if (!this.fits(frame.length)) throw this.#mismatch(frame.length - frameHeaderBytes);
    this.discard(slot);
    const bytes = new Uint8Array(this.#memory.buffer, slotAt(this.#open(), slot), frame.length);
    bytes.set(frame);
    return bytes;
  }

  /** As load(), of a payload's two parts, whatever header is before them; a body that lies there already stays. */
  loadPayload(slot: number, peaks: Uint8Array, body: Uint8Array): void {
    if (peaks.length + body.length > this.payloadBytes) throw this.#mismatch(peaks.length + body.length);
    const bytes = new Uint8Array(this.#memory.buffer, slotAt(this.#open(), slot) + frameHeaderBytes, this.payloadBytes);
    this.discard(slot);
    bytes.set(peaks);
    const to = bytes.byteOffset + peaks.length;
    if (body.buffer !== bytes.buffer || body.byteOffset !== to) bytes.set(body, peaks.length);
  }

  /** CRC-32C of bytes that load() returned, or of a part of them, as crc32c() has it. */
  checksum(bytes: Uint8Array, seed = 0): number {
    const half = (bytes.length >>> 5) << 4;
    if (bytes.buffer !== this.#memory.buffer || half < 4096) return crc32c(bytes, seed);
    const { kernels, buffer } = this.#memory;
    const first = kernels.crcPair(bytes.byteOffset, half, ~seed, half, 0);
    const second = new Int32Array(buffer, 0, 1)[0];
    return crc32c(bytes.subarray(2 * half), ~(shiftCrc(first, half) ^ second) >>> 0);
  }

  /**
   * Checks the contribution whose frame lies in a slot; the sum does not change.
   * @throws CONTRIBUTION_MISMATCH, GRADIENT_NOT_FINITE naming tensor, element and value
   */
  inspect(slot: number, samples: number, payloadBytes: number): Inspection {
    const round = this.#open();
    const { layout, wire } = round;
    if (!Number.isSafeInteger(samples) || samples < 1) {
      throw new BitswarmError("CONTRIBUTION_MISMATCH", `contribution: samples is an integer from 1, got ${samples}`);
    }
    if (payloadBytes !== this.payloadBytes) throw this.#mismatch(payloadBytes);
    const at = slotAt(this.#open(), slot) + frameHeaderBytes;
    const peaks = new Uint32Array(new Uint32Array(this.#memory.buffer, at, layout.tensors.length));
    round.peaks.check(peaks);
    const body = at + 4 * layout.tensors.length;
    let largest = 0;
    const squares = new Float64Array(wire.tensors.length);
    for (let i = 0; i < squares.length; i++) {
      const tensor = wire.tensors[i];
      const units = this.#inspectTensor(round, tensor, body, samples);
      squares[i] = units * powerOfTwo(2 * round.exponents[tensor.index]);
      for (const magnitude of this.#largest) largest = Math.max(largest, magnitude);
    }
    round.pending.set(slot, { samples, peaks, body, largest });
    return { squares };
  }

  /** Squares in units; the report has the magnitudes, zero where the tensor is signs. */
  #inspectTensor(round: OpenRound, tensor: WireTensor, body: number, samples: number): number {
    const { kernels, buffer } = this.#memory;
    const { wire, exponents } = round;
    const { at, size, index } = tensor;
    const blocks = Math.ceil(size / blockSize);
    const exponent = exponents[index];
    const coded = body + 4 * wire.plain;
    this.#largest.fill(0);
    this.#largestBits.fill(0);
    const element = at - wire.plain;
    const inspected = (squares: number, limit = infinityBits) => {
      for (const bits of this.#largestBits) if (bits >= limit) throw notFinite(buffer, wire, tensor, body);
      return squares;
    };
    if (at < wire.plain && wire.codec === "exact") return inspected(kernels.inspectI32(body + 4 * at, blocks, 0));
    if (at < wire.plain) return inspected(kernels.inspectF32(body + 4 * at, blocks, powerOfTwo(-exponent), 0));
    switch (wire.codec) {
      case "f16":
        return inspected(kernels.inspectF16(coded + 2 * element, blocks, 0), halfInfinity);
      case "int8": {
        const scales = coded + element / blockSize;
        return inspected(kernels.inspectInt8(scales, coded + wire.wide / blockSize + element, blocks, exponent, 0));
      }
      case "sign":
        return size * samples * samples;
      case "exact":
      case "f32":
        throw new RangeError(`reduction: ${wire.codec} codes nothing`);
      default:
        return wire.codec satisfies never;
    }
  }

  #mismatch(bytes: number): BitswarmError {
    const { layout, codec } = this.#open();
    return new BitswarmError(
      "CONTRIBUTION_MISMATCH",
      `contribution: ${layout.tensors.length} peaks and ${layout.size} elements as ${codec} take ${this.payloadBytes} bytes; got ${bytes}`,
    );
  }

  /**
   * Adds what inspect() let pass, its gradients and statistics times `scale`; its samples count in full. Signs weigh whole
   * samples, so there the weight is rounded.
   * @param scale above 0, at most 1; 1 with the codec exact, whose bits never change
   */
  commit(slot: number, scale = 1): void {
    const round = this.#open();
    const pending = round.pending.get(slot);
    if (!pending) throw new RangeError(`reduction: nothing to add in slot ${slot}`);
    if (!(scale > 0 && scale <= 1) || (round.codec === "exact" && scale !== 1)) {
      throw new RangeError(`reduction: a scale is above 0 and at most 1 (with exact 1), got ${scale}`);
    }
    round.pending.delete(slot);
    const share = Math.min(clipUnits, Math.ceil(pending.largest) + 1);
    if (round.lowBound + share > lowLimit) this.#foldLow(round);
    round.lowBound += share;
    for (const tensor of round.wire.tensors)
      if (tensor.at < round.lowElements) this.#addTensor(round, tensor, pending, scale);
    if (round.groups > 0) this.#addSigns(round, pending, Math.round(pending.samples * scale));
    round.peaks.add(pending.peaks);
    round.samples += pending.samples;
  }

  #addTensor({ wire, exponents, low }: OpenRound, tensor: WireTensor, { body }: Pending, scale: number): void {
    const { kernels } = this.#memory;
    const { at, size, index, kind } = tensor;
    const blocks = Math.ceil(size / blockSize);
    const to = low + 4 * at;
    // What is no gradient is no part of the norm that a scale answers.
    const factor = kind === "gradient" || kind === "difference" ? scale : 1;
    const exponent = exponents[index];
    if (at < wire.plain && wire.codec === "exact") kernels.addI32(body + 4 * at, blocks, to);
    else if (at < wire.plain) kernels.addF32(body + 4 * at, blocks, powerOfTwo(-exponent), factor, to);
    else {
      const coded = body + 4 * wire.plain;
      const element = at - wire.plain;
      if (wire.codec === "f16") kernels.addF16(coded + 2 * element, blocks, factor, to);
      else {
        const scales = coded + element / blockSize;
        kernels.addInt8(scales, coded + wire.wide / blockSize + element, blocks, exponent, factor, to);
      }
    }
  }

  #addSigns(round: OpenRound, { body }: Pending, weight: number): void {
    const { kernels } = this.#memory;
    // A weight beyond what the counters hold goes in parts.
    for (let rest = weight; rest > 0; ) {
      const part = Math.min(rest, 2 ** planes - 1);
      if (round.weight + part >= 2 ** planes) this.#foldSigns(round);
      kernels.addSigns(body + 4 * round.wire.plain, round.groups, part, round.counters);
      round.weight += part;
      rest -= part;
    }
  }

  discard(slot: number): void {
    this.#round?.pending.delete(slot);
  }

  /** The round's numbers so far; more may be added afterwards. */
  finish(): ReducedRound {
    const round = this.#open();
    this.#foldLow(round);
    this.#foldSigns(round);
    const { wire, high, samples, peaks } = round;
    return { samples, peaks: peaks.values(), sum: new Float64Array(this.#memory.buffer, high, wire.plain + wire.wide) };
  }

  #foldLow(round: OpenRound): void {
    if (round.lowBound === 0) return;
    this.#memory.kernels.foldLow(round.low, round.lowElements / 4, round.high);
    round.lowBound = 0;
  }

  #foldSigns(round: OpenRound): void {
    if (round.weight === 0) return;
    const used = 32 - Math.clz32(round.weight);
    const high = round.high + 8 * round.lowElements;
    this.#memory.kernels.foldSigns(round.counters, round.groups, used, round.weight, high);
    round.weight = 0;
  }

  #open(): OpenRound {
    if (!this.#round) throw new RangeError("reduction: no round has begun");
    return this.#round;
  }
}
