// The sum of one round at a time, in WebAssembly's memory. A contribution is copied there, checked, and only then
// added: what is refused has changed nothing (SPEC.md R5). Everything is an integer, so no order changes a bit (R4).
//
// Memory: reports · CRC tables · i32 sums · the codec's own sums, if any · float64 sums · slots for frames. i32 sums
// are folded into float64 before they could overflow; a codec's own know when they are full (codec-reduction.ts).

import { crc32c } from "../../../shared/base/crc32c.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { FLOAT32_INFINITY_BITS } from "../../../shared/base/half.ts";
import { powerOfTwo } from "../../../shared/base/powers-of-two.ts";
import { blockSize, clipUnits } from "../../../shared/codecs/codec.ts";
import type { ContributionLayout } from "../../../shared/wire/contribution.ts";
import { CHECKSUM_BYTES, payloadHeadBytes } from "../../../shared/wire/contribution-payload.ts";
import { frameHeaderBytes } from "../../../shared/wire/frame.ts";
import { type WireLayout, type WireTensor, wireLayout } from "../../../shared/wire/wire-layout.ts";
import type { CodedPlace, CodedReduction, OpenSums } from "./codec-reduction.ts";
import { codecReductions, requireBothHalves } from "./codec-reductions.ts";
import { shiftCrc } from "./crc-combine.ts";
import { crcTableBytes, crcTables, crcTablesAt } from "./kernel-crc32c.ts";
import { KernelMemory } from "./kernel-memory.ts";
import { notFinite } from "./not-finite.ts";
import { PeakRecord, type PeakReports } from "./peak-record.ts";
import { dataAt, type RoundMemory, roundMemory, slotAt } from "./round-memory.ts";

/** Bound of the i32 sums. */
const lowLimit = 2 ** 31 - 1;

/** What a round sums. */
export interface ReductionTerms {
  readonly layout: ContributionLayout;
  /** Unit 2^e of each tensor of the layout. */
  readonly exponents: readonly number[];
  readonly codec: string;
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
  /**
   * Integers in the wire's order [plain + wide], a view of the reduction's memory: valid until the next round begins.
   */
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
  /** How the codec's half adds its part, and the kernels it does that with. */
  readonly coding: CodedReduction | null;
  readonly coded: object;
  /** The codec's own sums, where it has some. */
  readonly ownSums: OpenSums | undefined;
  readonly peaks: PeakRecord;
  readonly pending: Map<number, Pending>;
  samples: number;
  /** No i32 sum can be above this yet. */
  lowBound: number;
}

export class Reduction {
  readonly #memory = new KernelMemory();
  /**
   * What kernels report, at 0: largest magnitudes and largest bits. The memory is shared, so they stay valid as it
   * grows.
   */
  readonly #largest = new Float32Array(this.#memory.buffer, 0, 4);
  readonly #largestBits = new Uint32Array(this.#memory.buffer, 16, 4);
  #round: OpenRound | undefined;

  /** @throws CONFIG_INVALID for a codec that has one half only */
  constructor() {
    requireBothHalves();
    this.#memory.reserve(dataAt);
    new Int32Array(this.#memory.buffer, crcTablesAt, crcTableBytes / 4).set(crcTables());
  }

  /**
   * Begins a round; that before it is forgotten, its sum with it.
   * @throws CONFIG_INVALID for a codec that there is not
   */
  begin({ layout, exponents, codec }: ReductionTerms): void {
    if (exponents.length !== layout.tensors.length) {
      throw new RangeError(
        `reduction: ${layout.tensors.length} tensors take as many exponents, got ${exponents.length}`,
      );
    }
    const wire = wireLayout(layout, codec);
    const { coding } = codecReductions.get(codec);
    const places = roundMemory(wire, coding);
    this.#memory.reserve(places.end);
    new Uint8Array(this.#memory.buffer, places.low, places.slots - places.low).fill(0);
    const coded = coding ? this.#memory.kernelsOf(coding.text) : {};
    const own = { at: places.own, elements: places.ownElements, high: places.high + 8 * places.lowElements };
    const ownSums = coding?.sums.kind === "own" ? coding.sums.open(coded, own) : undefined;
    const peaks = new PeakRecord(wire.codec, layout);
    const sums = { coding, coded, ownSums, peaks, pending: new Map(), samples: 0, lowBound: 0 };
    this.#round = { layout, exponents, codec, wire, ...places, ...sums };
  }

  /** Bytes of a contribution's payload. */
  get payloadBytes(): number {
    const { layout, wire } = this.#open();
    return payloadHeadBytes(layout.tensors.length) + wire.bytes;
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

  /**
   * As load(), of a payload's peaks and body, whatever header is before them; a body that lies there already stays.
   * Returns the payload's bytes.
   */
  loadPayload(slot: number, peaks: Uint8Array, body: Uint8Array): number {
    const head = peaks.length + CHECKSUM_BYTES;
    if (head + body.length > this.payloadBytes) throw this.#mismatch(head + body.length);
    const bytes = new Uint8Array(this.#memory.buffer, slotAt(this.#open(), slot) + frameHeaderBytes, this.payloadBytes);
    this.discard(slot);
    bytes.set(peaks);
    const to = bytes.byteOffset + head;
    if (body.buffer !== bytes.buffer || body.byteOffset !== to) bytes.set(body, head);
    return head + body.length;
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
    const body = at + payloadHeadBytes(layout.tensors.length);
    let largest = 0;
    const squares = new Float64Array(wire.tensors.length);
    for (let i = 0; i < squares.length; i++) {
      const tensor = wire.tensors[i];
      const units = this.#inspectTensor(round, tensor, body, samples);
      squares[i] = units * powerOfTwo(2 * round.exponents[tensor.index]);
      // Only i32 sums could overflow.
      if (tensor.at >= round.lowElements) continue;
      for (const magnitude of this.#largest) largest = Math.max(largest, magnitude);
    }
    round.pending.set(slot, { samples, peaks, body, largest });
    return { squares };
  }

  /** Squares in units; the report has the magnitudes. */
  #inspectTensor(round: OpenRound, tensor: WireTensor, body: number, samples: number): number {
    const { kernels, buffer } = this.#memory;
    const { wire, exponents, coding } = round;
    const { at, size, index } = tensor;
    const blocks = Math.ceil(size / blockSize);
    this.#largest.fill(0);
    this.#largestBits.fill(0);
    const inspected = (squares: number, limit: number) => {
      for (const bits of this.#largestBits) {
        if (bits >= limit) throw notFinite(wire, tensor, { buffer, body, exponents, samples });
      }
      return squares;
    };
    if (coding && at >= wire.plain) {
      const squares = coding.inspect(round.coded, this.#placeOf(round, tensor, body, samples));
      return inspected(squares, coding.infinityBits ?? Infinity);
    }
    if (wire.codec.accumulate === "exact") return kernels.inspectI32(body + 4 * at, blocks, 0);
    const squares = kernels.inspectF32(body + 4 * at, blocks, powerOfTwo(-exponents[index]), 0);
    return inspected(squares, FLOAT32_INFINITY_BITS);
  }

  #placeOf({ wire, exponents }: OpenRound, tensor: WireTensor, body: number, samples: number): CodedPlace {
    const { at, size, index } = tensor;
    return {
      part: body + 4 * wire.plain,
      elements: wire.wide,
      element: at - wire.plain,
      size,
      blocks: Math.ceil(size / blockSize),
      exponent: exponents[index],
      samples,
      report: 0,
    };
  }

  #mismatch(bytes: number): BitswarmError {
    const { layout, codec } = this.#open();
    return new BitswarmError(
      "CONTRIBUTION_MISMATCH",
      `contribution: ${layout.tensors.length} peaks, a checksum and ${layout.size} elements as ${codec} take ${this.payloadBytes} bytes; got ${bytes}`,
    );
  }

  /**
   * Adds what inspect() let pass, its gradients times `scale`; its samples count in full.
   * @param scale above 0, at most 1; 1 with a codec of exact sums, whose bits never change
   */
  commit(slot: number, scale = 1): void {
    const round = this.#open();
    const pending = round.pending.get(slot);
    if (!pending) throw new RangeError(`reduction: nothing to add in slot ${slot}`);
    const { codec } = round.wire;
    if (!(scale > 0 && scale <= 1) || (codec.exactSums && scale !== 1)) {
      throw new RangeError(`reduction: a scale is above 0 and at most 1 (with exact sums 1), got ${scale}`);
    }
    round.pending.delete(slot);
    const share = Math.min(clipUnits, Math.ceil(pending.largest) + 1);
    if (round.lowBound + share > lowLimit) this.#foldLow(round);
    round.lowBound += share;
    for (const tensor of round.wire.tensors)
      if (tensor.at < round.lowElements) this.#addTensor(round, tensor, pending, scale);
    round.ownSums?.add(pending.body + 4 * round.wire.plain, pending.samples, scale);
    round.peaks.add(pending.peaks);
    round.samples += pending.samples;
  }

  #addTensor(round: OpenRound, tensor: WireTensor, { body, samples }: Pending, scale: number): void {
    const { kernels } = this.#memory;
    const { wire, exponents, low, coding } = round;
    const { at, size, index, kind } = tensor;
    const blocks = Math.ceil(size / blockSize);
    const to = low + 4 * at;
    // What is no gradient is no part of the norm that a scale answers.
    const factor = kind === "gradient" || kind === "difference" ? scale : 1;
    if (at >= wire.plain) {
      if (coding?.sums.kind !== "low") throw new RangeError(`reduction: ${wire.codec.kind} has no i32 sums`);
      coding.sums.add(round.coded, this.#placeOf(round, tensor, body, samples), factor, to);
    } else if (wire.codec.accumulate === "exact") kernels.addI32(body + 4 * at, blocks, to);
    else kernels.addF32(body + 4 * at, blocks, powerOfTwo(-exponents[index]), factor, to);
  }

  discard(slot: number): void {
    this.#round?.pending.delete(slot);
  }

  /** The round's numbers so far; more may be added afterwards. */
  finish(): ReducedRound {
    const round = this.#open();
    this.#foldLow(round);
    round.ownSums?.fold();
    const { wire, high, samples, peaks } = round;
    return { samples, peaks: peaks.values(), sum: new Float64Array(this.#memory.buffer, high, wire.plain + wire.wide) };
  }

  /** What contributions reported of their peaks so far. */
  get reports(): PeakReports {
    return this.#open().peaks.reports;
  }

  /** As `reports`, once no more is to come. */
  get medians(): PeakReports {
    return this.#open().peaks.medians;
  }

  /** @throws GRADIENT_NOT_FINITE, CONTRIBUTION_MISMATCH for what merge() could not take */
  requireReports(reports: PeakReports): void {
    this.#open().peaks.checkReports(reports);
  }

  /**
   * Adds the sum of contributions that were checked and added elsewhere, with the same units.
   * @param addTo adds its integers to sums in the wire's order
   * @throws GRADIENT_NOT_FINITE, before anything is added
   */
  merge(samples: number, reports: PeakReports, addTo: (sum: Float64Array) => void): void {
    const round = this.#open();
    round.peaks.merge(reports);
    const { wire, high } = round;
    addTo(new Float64Array(this.#memory.buffer, high, wire.plain + wire.wide));
    round.samples += samples;
  }

  #foldLow(round: OpenRound): void {
    if (round.lowBound === 0) return;
    this.#memory.kernels.foldLow(round.low, round.lowElements / 4, round.high);
    round.lowBound = 0;
  }

  #open(): OpenRound {
    if (!this.#round) throw new RangeError("reduction: no round has begun");
    return this.#round;
  }
}
