// Parameters on the wire, apart from how the GPU wants them: whole and packed, or as what changed since a blob that
// both sides hold.
//
// Whole: every tensor in the manifest's order without gaps, sign planes as they are, floats as f32 or f16 (`int8` sets
// are f32 when whole). Changes: the flipped signs as gaps between their positions, and how far each float moved in its
// own format, counted in representable values; both in Rice code (rice.ts), a sixth to a quarter smaller than deflate
// of the XORed bytes (`npm run bench -- downlink`), and without another format in the three runtimes.

import { BitswarmError } from "../base/errors.ts";
import { halfBits, halfValues, roundToHalf } from "../base/half.ts";
import type { BlobTensor } from "./parameter-blob.ts";
import type { WireForm } from "./parameter-set.ts";
import { followReplica } from "./replica.ts";
import { RICE_BLOCK, RiceReader, RiceWriter } from "./rice.ts";

/** Bytes of a tensor in a whole update. */
function packedBytes({ encoding, bytes }: BlobTensor, { floats }: WireForm): number {
  return encoding === "f32" && floats === "f16" ? bytes / 2 : bytes;
}

/** Bytes of a whole update of this form. */
export function wholeBytes(form: WireForm): number {
  let sum = 0;
  for (const tensor of form.layout.tensors.values()) sum += packedBytes(tensor, form);
  return sum;
}

/** Rounds the floats of a fresh blob to what the form can say. An `int8` set's replica needs no rounding. */
export function roundFloats(form: WireForm, blob: Uint8Array<ArrayBuffer>): void {
  if (form.floats !== "f16") return;
  for (const tensor of tensorsOf(form, "f32")) roundToHalf(floatsOf(blob, tensor));
}

/** Packs an expanded blob, whose floats are representable in the form. */
export function encodeWhole(form: WireForm, blob: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(wholeBytes(form));
  let at = 0;
  for (const tensor of form.layout.tensors.values()) {
    const bytes = packedBytes(tensor, form);
    if (bytes === tensor.bytes) packed.set(blob.subarray(tensor.offset, tensor.offset + bytes), at);
    else {
      const view = new DataView(packed.buffer, at, bytes);
      floatsOf(blob, tensor).forEach((value, i) => {
        view.setUint16(2 * i, halfBits(value), true);
      });
    }
    at += bytes;
  }
  return packed;
}

/** The expanded blob of a whole update. @throws FRAME_CORRUPT for another length than the form's */
export function decodeWhole(form: WireForm, packed: Uint8Array): Uint8Array<ArrayBuffer> {
  const expected = wholeBytes(form);
  if (packed.length !== expected) {
    throw new BitswarmError(
      "FRAME_CORRUPT",
      `whole parameters have ${packed.length} bytes; those of this run have ${expected}`,
    );
  }
  const blob = new Uint8Array(form.layout.bytes);
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  const table = halfValues();
  let at = 0;
  for (const tensor of form.layout.tensors.values()) {
    const bytes = packedBytes(tensor, form);
    if (bytes === tensor.bytes) blob.set(packed.subarray(at, at + bytes), tensor.offset);
    else {
      const values = floatsOf(blob, tensor);
      for (let i = 0; i < values.length; i++) values[i] = table[view.getUint16(at + 2 * i, true)]!;
    }
    at += bytes;
  }
  return blob;
}

function floatsOf(blob: Uint8Array<ArrayBuffer>, { offset, bytes }: BlobTensor): Float32Array<ArrayBuffer> {
  return new Float32Array(blob.buffer, blob.byteOffset + offset, bytes / 4);
}

function wordsOf(blob: Uint8Array<ArrayBuffer>, { offset, bytes }: BlobTensor): Uint32Array<ArrayBuffer> {
  return new Uint32Array(blob.buffer, blob.byteOffset + offset, bytes / 4);
}

function tensorsOf({ layout }: WireForm, encoding: BlobTensor["encoding"]): BlobTensor[] {
  return [...layout.tensors.values()].filter((tensor) => tensor.encoding === encoding);
}

/** What changes `base` into `next`, two expanded blobs of a form whose floats are `f32` or `f16`. */
export function encodeChange(
  form: WireForm,
  base: Uint8Array<ArrayBuffer>,
  next: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const writer = new RiceWriter();
  writeFlips(writer, tensorsOf(form, "signs"), base, next);
  const moves = new Uint32Array(RICE_BLOCK);
  const write = form.floats === "f16" ? halfMoves : singleMoves;
  for (const tensor of tensorsOf(form, "f32")) {
    const [from, to] = [wordsOf(base, tensor), wordsOf(next, tensor)];
    for (let at = 0; at < from.length; at += RICE_BLOCK) {
      const count = Math.min(RICE_BLOCK, from.length - at);
      write(from, to, at, count, moves);
      writer.block(moves, count);
    }
  }
  return writer.finish();
}

/**
 * The expanded blob that a change makes of `base`, which stays as it is. An `int8` change is `advanceReplica`'s.
 * @throws FRAME_CORRUPT
 */
export function decodeChange(
  form: WireForm,
  base: Uint8Array<ArrayBuffer>,
  change: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const blob = base.slice();
  const reader = new RiceReader(change);
  if (form.floats === "int8") followReplica(reader, form.layout, blob);
  else {
    readFlips(reader, tensorsOf(form, "signs"), blob);
    const moves = new Uint32Array(RICE_BLOCK);
    const move = form.floats === "f16" ? moveHalves : moveSingles;
    for (const tensor of tensorsOf(form, "f32")) {
      const values = wordsOf(blob, tensor);
      for (let at = 0; at < values.length; at += RICE_BLOCK) {
        const count = Math.min(RICE_BLOCK, values.length - at);
        reader.block(moves, count);
        move(values, at, count, moves);
      }
    }
  }
  reader.finish();
  return blob;
}

/** Their number in 32 bits, then the distances between their positions, counted through all planes. */
function writeFlips(
  writer: RiceWriter,
  tensors: readonly BlobTensor[],
  base: Uint8Array<ArrayBuffer>,
  next: Uint8Array<ArrayBuffer>,
): void {
  const planes = tensors.map((tensor) => [wordsOf(base, tensor), wordsOf(next, tensor)] as const);
  let flips = 0;
  for (const [before, after] of planes) for (let i = 0; i < before.length; i++) flips += ones(before[i]! ^ after[i]!);
  writer.put(flips, 32);
  const gaps = new Uint32Array(RICE_BLOCK);
  let held = 0;
  let start = 0;
  let due = 0;
  for (const [before, after] of planes) {
    for (let i = 0; i < before.length; i++) {
      for (let flipped = before[i]! ^ after[i]!; flipped !== 0; flipped &= flipped - 1) {
        const position = start + 32 * i + 31 - Math.clz32(flipped & -flipped);
        gaps[held++] = position - due;
        due = position + 1;
        if (held === RICE_BLOCK) {
          writer.block(gaps, held);
          held = 0;
        }
      }
    }
    start += 32 * before.length;
  }
  if (held > 0) writer.block(gaps, held);
}

function readFlips(reader: RiceReader, tensors: readonly BlobTensor[], blob: Uint8Array<ArrayBuffer>): void {
  const planes = tensors.map((tensor) => wordsOf(blob, tensor));
  const bits = planes.reduce((sum, { length }) => sum + 32 * length, 0);
  const gaps = new Uint32Array(RICE_BLOCK);
  let plane = 0;
  let start = 0;
  let position = 0;
  for (let left = reader.take(32); left > 0; ) {
    const count = Math.min(RICE_BLOCK, left);
    reader.block(gaps, count);
    for (let i = 0; i < count; i++) {
      position += gaps[i]!;
      if (position >= bits) {
        throw new BitswarmError("FRAME_CORRUPT", `a change flips sign ${position} of planes that have ${bits}`);
      }
      while (position - start >= 32 * planes[plane]!.length) start += 32 * planes[plane++]!.length;
      const words = planes[plane]!;
      const bit = position - start;
      words[bit >>> 5] = words[bit >>> 5]! ^ (1 << (bit & 31));
      position++;
    }
    left -= count;
  }
}

/** Set bits of a word (Warren, Hacker's Delight, section 5-1). */
function ones(word: number): number {
  let sum = word - ((word >>> 1) & 0x5555_5555);
  sum = (sum & 0x3333_3333) + ((sum >>> 2) & 0x3333_3333);
  return Math.imul((sum + (sum >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}

/** Bits of a float32 as an integer whose order is that of the values, −0 just below 0; its own inverse. */
function rank(bits: number): number {
  return bits < 0 ? ~bits ^ 0x8000_0000 : bits;
}

const zigzag = (distance: number) => ((distance << 1) ^ (distance >> 31)) >>> 0;
const unzigzag = (value: number) => (value >>> 1) ^ -(value & 1);

type Moves = (from: Uint32Array, to: Uint32Array, at: number, count: number, moves: Uint32Array) => void;

const singleMoves: Moves = (from, to, at, count, moves) => {
  // Modulo 2^32, as decoding adds.
  for (let i = 0; i < count; i++) moves[i] = zigzag((rank(to[at + i]! | 0) - rank(from[at + i]! | 0)) | 0);
};

function moveSingles(values: Uint32Array, at: number, count: number, moves: Uint32Array): void {
  for (let i = 0; i < count; i++) values[at + i] = rank((rank(values[at + i]! | 0) + unzigzag(moves[i]!)) | 0);
}

const singleBits = new Uint32Array(1);
const singleValue = new Float32Array(singleBits.buffer);

function halfRank(single: number): number {
  singleBits[0] = single;
  const half = halfBits(singleValue[0]!);
  return half & 0x8000 ? ~(half & 0x7fff) : half;
}

const halfMoves: Moves = (from, to, at, count, moves) => {
  for (let i = 0; i < count; i++) moves[i] = zigzag(halfRank(to[at + i]!) - halfRank(from[at + i]!));
};

function moveHalves(values: Uint32Array, at: number, count: number, moves: Uint32Array): void {
  const table = halfValues();
  for (let i = 0; i < count; i++) {
    const moved = (halfRank(values[at + i]!) + unzigzag(moves[i]!)) | 0;
    singleValue[0] = table[(moved < 0 ? 0x8000 | ~moved : moved) & 0xffff]!;
    values[at + i] = singleBits[0]!;
  }
}
