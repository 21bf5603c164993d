// A partial: what a gateway's volunteers contributed to a round, as one frame. Its sums are the integers that the round
// sums, so that adding partials is adding all contributions, to the bit, in any order and any tree. With it comes what
// the leader judges later rounds by: who contributed, how much, of what size.
//
// Payload: u32 bytes of the head · head (msgpack) · peaks, u32 a tensor · reported means, u32 a report of each tensor
// that reports them · peaks of each account, u32 a tensor · each tensor in the wire's order: u8 bytes an element, then
// its elements, little-endian and signed · SHA-256 of all of that.

import { createHash } from "node:crypto";
import { pack, unpack } from "msgpackr";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { bytesToHex } from "../../shared/base/hash.ts";
import type { Range } from "../../shared/base/intervals.ts";
import { clipUnits, reportsMean } from "../../shared/codecs/codec.ts";
import type { ContributionLayout } from "../../shared/wire/contribution.ts";
import { decodeFrame, encodeFrame, frameHeaderBytes } from "../../shared/wire/frame.ts";
import { isPlainMsgpack } from "../../shared/wire/plain-msgpack.ts";
import { type WireLayout, wireLayout } from "../../shared/wire/wire-layout.ts";
import type { GroupNorms } from "./gradient-norms.ts";

/** Contributions, and accounts, of one partial: a gateway has some thousand volunteers, of some leases a round each. */
export const MOST_PARTIAL_CONTRIBUTIONS = 2 ** 17;
export const MOST_PARTIAL_ACCOUNTS = 2 ** 14;
/** Ranges of one partial: leases that touch are one. */
export const MOST_PARTIAL_RANGES = 2 ** 14;
/** Of the head: ten numbers a contribution. */
export const MOST_HEAD_BYTES = 2 ** 24;
/** Bytes of an element: sums are exact below 2^53. */
const MOST_WIDTH = 7;
const DIGEST_BYTES = 32;

/** One contribution in a partial. */
export interface PartialContribution {
  readonly account: string;
  /** It is the operator's own worker's. */
  readonly own?: boolean;
  readonly samples: number;
  readonly norms: GroupNorms;
}

/** What a partial says beside its sums. */
export interface PartialFacts {
  /** Names the round, 64 hex digits: sums of another have other units. */
  readonly key: string;
  /** Positions of the pass that are in it: ascending, none touching the next. */
  readonly ranges: readonly Range[];
  readonly contributions: readonly PartialContribution[];
  /** The largest peaks of each account, bits of one f32 a tensor. */
  readonly accountPeaks: ReadonlyMap<string, Uint32Array>;
}

/** The numbers of a round's sum. */
export interface PartialSums {
  readonly samples: number;
  /** Of each tensor the largest report, as bits of an f32. */
  readonly peaks: Uint32Array;
  /** All reports of each tensor whose scale follows from their median, as bits. */
  readonly means: ReadonlyMap<number, readonly number[]>;
  /** Integers in the wire's order. */
  readonly sum: Float64Array;
}

export interface Partial {
  readonly facts: PartialFacts;
  readonly sums: PartialSums;
}

/** The round that a partial is of. */
export interface PartialTerms {
  readonly layout: ContributionLayout;
  readonly codec: string;
  readonly parametersHash: string;
  /** 16 bytes in hex. */
  readonly runTag: string;
}

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const norms = z.array(z.number().min(0).nullable());
const accountName = z.string().min(1).max(128);
const headSchema = z.strictObject({
  key: z.string().regex(/^[0-9a-f]{64}$/),
  ranges: z.array(z.tuple([count, count])).max(MOST_PARTIAL_RANGES),
  reports: count.max(MOST_PARTIAL_CONTRIBUTIONS),
  accounts: z.array(accountName).max(MOST_PARTIAL_ACCOUNTS),
  own: z.array(z.boolean()),
  /** Of each contribution: its account among `accounts`, its samples, and its norms. */
  of: z.array(count).max(MOST_PARTIAL_CONTRIBUTIONS),
  samples: z.array(count.min(1)),
  gradient: norms,
  critic: norms,
  statistic: norms,
  metric: norms,
  /** Accounts whose peaks follow, among `accounts`. */
  peaks: z.array(count).max(MOST_PARTIAL_ACCOUNTS),
});
type Head = z.infer<typeof headSchema>;

const groups = ["gradient", "critic", "statistic", "metric"] as const;

/** Tensors of which every report counts. */
function meanTensors(wire: WireLayout, layout: ContributionLayout): readonly number[] {
  return layout.tensors.flatMap((tensor, index) => (reportsMean(wire.codec, tensor) ? [index] : []));
}

/** Bytes of the largest partial of a round. */
export function partialLimit(layout: ContributionLayout, codec: string): number {
  const wire = wireLayout(layout, codec);
  const tensors = layout.tensors.length;
  const words =
    tensors + meanTensors(wire, layout).length * MOST_PARTIAL_CONTRIBUTIONS + MOST_PARTIAL_ACCOUNTS * tensors;
  const sums = wire.tensors.reduce((bytes, { size }) => bytes + 1 + MOST_WIDTH * size, 0);
  return frameHeaderBytes + 4 + MOST_HEAD_BYTES + 4 * words + sums + DIGEST_BYTES;
}

function headOf({ key, ranges, contributions, accountPeaks }: PartialFacts, reports: number): Head {
  const numbers = new Map<string, number>();
  const own: boolean[] = [];
  const numberOf = (account: string, theirs = false) => {
    const known = numbers.get(account);
    if (known !== undefined) {
      own[known] ||= theirs;
      return known;
    }
    own[numbers.size] = theirs;
    numbers.set(account, numbers.size);
    return numbers.size - 1;
  };
  const of = contributions.map(({ account, own: theirs }) => numberOf(account, theirs));
  const peaks = [...accountPeaks.keys()].map((account) => numberOf(account));
  const normsOf = (group: (typeof groups)[number]) => contributions.map((one) => one.norms[group] ?? null);
  return {
    key,
    ranges: ranges.map(({ from, to }) => [from, to]),
    reports,
    accounts: [...numbers.keys()],
    own,
    of,
    samples: contributions.map(({ samples }) => samples),
    gradient: normsOf("gradient"),
    critic: normsOf("critic"),
    statistic: normsOf("statistic"),
    metric: normsOf("metric"),
    peaks,
  };
}

/** Bytes that the largest of some integers takes; 0 where all are zero. */
function widthOf(sum: Float64Array, from: number, to: number): number {
  let [least, most] = [0, 0];
  for (let i = from; i < to; i++) {
    if (sum[i] < least) least = sum[i];
    if (sum[i] > most) most = sum[i];
  }
  if (least === 0 && most === 0) return 0;
  for (let width = 1; width <= MOST_WIDTH; width++) {
    const half = 2 ** (8 * width - 1);
    if (least >= -half && most < half) return width;
  }
  throw new RangeError(`partial: sums up to ${Math.max(most, -least)} are not exact`);
}

/** Writes integers; those of three bytes, which most sums take, and of up to four by shifts. */
function writeIntegers(
  bytes: Uint8Array,
  at: number,
  width: number,
  sum: Float64Array,
  from: number,
  to: number,
): void {
  let offset = at;
  if (width === 3) {
    for (let i = from; i < to; i++, offset += 3) {
      const value = sum[i] | 0;
      bytes[offset] = value;
      bytes[offset + 1] = value >> 8;
      bytes[offset + 2] = value >> 16;
    }
    return;
  }
  if (width <= 4) {
    for (let i = from; i < to; i++) {
      const value = sum[i] | 0;
      for (let b = 0; b < width; b++) bytes[offset++] = value >> (8 * b);
    }
    return;
  }
  for (let i = from; i < to; i++) {
    const high = Math.floor(sum[i] / 2 ** 32);
    const low = sum[i] - high * 2 ** 32;
    for (let b = 0; b < 4; b++) bytes[offset++] = low / 2 ** (8 * b);
    for (let b = 4; b < width; b++) bytes[offset++] = high >> (8 * (b - 4));
  }
}

/** The frame of a partial. */
export function encodePartial(terms: PartialTerms, { facts, sums }: Partial): Uint8Array<ArrayBuffer> {
  const { layout, codec, parametersHash, runTag } = terms;
  const wire = wireLayout(layout, codec);
  const means = meanTensors(wire, layout).map((tensor) => sums.means.get(tensor) ?? []);
  const head = pack(headOf(facts, means[0]?.length ?? 0));
  const words = [sums.peaks, ...means.map((reports) => Uint32Array.from(reports)), ...facts.accountPeaks.values()];
  const widths = wire.tensors.map(({ at, size }) => widthOf(sums.sum, at, at + size));
  const wordBytes = words.reduce((bytes, { length }) => bytes + 4 * length, 0);
  const sumBytes = wire.tensors.reduce((bytes, { size }, i) => bytes + 1 + widths[i] * size, 0);
  const payload = new Uint8Array(4 + head.length + wordBytes + sumBytes + DIGEST_BYTES);
  const view = new DataView(payload.buffer);
  view.setUint32(0, head.length, true);
  payload.set(head, 4);
  let at = 4 + head.length;
  for (const list of words) {
    payload.set(new Uint8Array(Uint32Array.from(list).buffer), at);
    at += 4 * list.length;
  }
  wire.tensors.forEach((tensor, i) => {
    payload[at++] = widths[i];
    writeIntegers(payload, at, widths[i], sums.sum, tensor.at, tensor.at + tensor.size);
    at += widths[i] * tensor.size;
  });
  payload.set(createHash("sha256").update(payload.subarray(0, at)).digest(), at);
  const { samples } = sums;
  const header = { kind: "partial", codec, round: 0, lease: 0, samples, run: runTag, parametersHash } as const;
  return encodeFrame({ ...header, tensors: layout.tensors.length }, payload);
}

const corrupt = (what: string) => new BitswarmError("FRAME_CORRUPT", `partial: ${what}; it is asked for again`);

function readHead(bytes: Uint8Array): Head {
  if (!isPlainMsgpack(bytes)) throw corrupt("its head is no msgpack");
  const parsed = headSchema.safeParse(unpack(bytes));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw corrupt(`its head's ${issue.path.join(".") || "fields"}: ${issue.message}`);
  }
  const head = parsed.data;
  const { accounts, own, of, samples, peaks, ranges } = head;
  const lists = [samples, ...groups.map((group) => head[group])];
  const known = (number: number) => number < accounts.length;
  if (own.length !== accounts.length || lists.some(({ length }) => length !== of.length)) {
    throw corrupt("its head's lists are of different lengths");
  }
  if (!of.every(known) || !peaks.every(known) || new Set(peaks).size !== peaks.length) {
    throw corrupt("its head names accounts that are not there, or one twice");
  }
  ranges.forEach(([from, to], i) => {
    if (from >= to || (i > 0 && from <= ranges[i - 1][1]))
      throw corrupt(`its ranges are not ascending at ${from}-${to}`);
  });
  return head;
}

/** Where a partial's elements lie, once all of it is known to be sound. */
export interface ReadPartial {
  readonly facts: PartialFacts;
  readonly samples: number;
  readonly peaks: Uint32Array<ArrayBuffer>;
  readonly means: ReadonlyMap<number, readonly number[]>;
  /** Adds its integers to sums in the wire's order. */
  addTo(sum: Float64Array): void;
}

/** The samples that ranges hold. */
function sizeOf(ranges: readonly (readonly [number, number])[]): number {
  return ranges.reduce((sum, [from, to]) => sum + to - from, 0);
}

/**
 * Reads and checks all of a partial; nothing is added yet.
 * @throws FRAME_TOO_LARGE, FRAME_TRUNCATED, FRAME_CORRUPT, PROTOCOL_MISMATCH; CONTRIBUTION_MISMATCH where it is sound,
 * and of another round
 */
export function readPartial(bytes: Uint8Array, { layout, codec, parametersHash, runTag }: PartialTerms): ReadPartial {
  const { header, payload } = decodeFrame(bytes, partialLimit(layout, codec));
  const tensors = layout.tensors.length;
  const expected = { kind: "partial", run: runTag, parametersHash, codec, tensors } as const;
  for (const field of ["kind", "run", "parametersHash", "codec", "tensors"] as const) {
    if (header[field] === expected[field]) continue;
    throw new BitswarmError(
      "CONTRIBUTION_MISMATCH",
      `partial: ${field} must be ${expected[field]} in this round; got ${header[field]}`,
    );
  }
  const wire = wireLayout(layout, codec);
  const end = payload.length - DIGEST_BYTES;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const headBytes = end >= 4 ? view.getUint32(0, true) : end;
  if (4 + headBytes > end || headBytes > MOST_HEAD_BYTES) {
    throw corrupt(`its head of ${headBytes} bytes is beyond its end, or the limit of ${MOST_HEAD_BYTES}`);
  }
  const digest = createHash("sha256").update(payload.subarray(0, end)).digest();
  if (bytesToHex(digest) !== bytesToHex(payload.subarray(end))) throw corrupt("its SHA-256 is another's");
  const head = readHead(payload.subarray(4, 4 + headBytes));
  if (sizeOf(head.ranges) !== header.samples) {
    throw corrupt(`its ranges hold ${sizeOf(head.ranges)} samples, its sums ${header.samples}`);
  }
  let at = 4 + headBytes;
  const words = (length: number) => {
    if (at + 4 * length > end) throw corrupt("its lists end before they should");
    const list = new Uint32Array(Uint8Array.from(payload.subarray(at, at + 4 * length)).buffer);
    at += 4 * length;
    return list;
  };
  const peaks = words(tensors);
  const means = new Map(meanTensors(wire, layout).map((tensor) => [tensor, [...words(head.reports)]] as const));
  const accountPeaks = new Map(head.peaks.map((number) => [head.accounts[number], words(tensors)] as const));
  const places = placesOf(payload, at, end, wire);
  // Each contribution is clipped; signs weigh samples.
  // A leader's, for those who follow, names none: there are no more than samples then.
  const parts = head.of.length === 0 ? header.samples : Math.max(head.reports, head.of.length);
  const most = Math.min(Number.MAX_SAFE_INTEGER, parts * clipUnits + header.samples);
  const all = places.map((place) => {
    const values = readIntegers(payload, place);
    requireBounded(values, place, most);
    return values;
  });
  const contributions = head.of.map((number, i): PartialContribution => {
    const measured = groups.flatMap((group) => {
      const norm = head[group][i];
      return norm === null ? [] : [[group, norm] as const];
    });
    const own = head.own[number] ? { own: true } : {};
    return { account: head.accounts[number], ...own, samples: head.samples[i], norms: Object.fromEntries(measured) };
  });
  const ranges = head.ranges.map(([from, to]) => ({ from, to }));
  return {
    facts: { key: head.key, ranges, contributions, accountPeaks },
    samples: header.samples,
    peaks,
    means,
    addTo: (sum) => {
      for (const [i, { to }] of places.entries()) addIntegers(all[i], sum, to);
    },
  };
}

interface Place {
  /** First byte, bytes an element, and elements. */
  readonly at: number;
  readonly width: number;
  readonly size: number;
  /** First element in the sum. */
  readonly to: number;
  readonly name: string;
}

function placesOf(payload: Uint8Array, from: number, end: number, wire: WireLayout): readonly Place[] {
  let at = from;
  const places = wire.tensors.map(({ name, size, at: to }): Place => {
    const width = at < end ? payload[at] : MOST_WIDTH + 1;
    if (width > MOST_WIDTH) throw corrupt(`${name} has ${width} bytes an element, at most ${MOST_WIDTH} are known`);
    const place = { at: at + 1, width, size, to, name };
    at += 1 + width * size;
    return place;
  });
  if (at !== end) throw corrupt(`its sums end at byte ${at} of ${end}`);
  return places;
}

/** The integers at a place: of up to four bytes as such, others in floats. */
function readIntegers(bytes: Uint8Array, { at, width, size }: Place): Int32Array | Float64Array {
  let offset = at;
  if (width === 3) {
    const values = new Int32Array(size);
    for (let i = 0; i < size; i++, offset += 3) {
      values[i] = ((bytes[offset] << 8) | (bytes[offset + 1] << 16) | (bytes[offset + 2] << 24)) >> 8;
    }
    return values;
  }
  if (width <= 4) {
    const values = new Int32Array(width === 0 ? 0 : size);
    const shift = 32 - 8 * width;
    for (let i = 0; i < values.length; i++) {
      let value = 0;
      for (let b = 0; b < width; b++) value |= bytes[offset++] << (8 * b);
      values[i] = (value << shift) >> shift;
    }
    return values;
  }
  const values = new Float64Array(size);
  const shift = 32 - 8 * (width - 4);
  for (let i = 0; i < size; i++) {
    let [low, high] = [0, 0];
    for (let b = 0; b < 4; b++) low |= bytes[offset++] << (8 * b);
    for (let b = 4; b < width; b++) high |= bytes[offset++] << (8 * (b - 4));
    values[i] = ((high << shift) >> shift) * 2 ** 32 + (low >>> 0);
  }
  return values;
}

/** Nothing larger than all of its contributions together could be: beyond it sums are not exact any more. */
function requireBounded(values: Int32Array | Float64Array, { name }: Place, most: number): void {
  let [least, largest] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value < least) least = value;
    if (value > largest) largest = value;
  }
  const beyond = Math.max(largest, -least);
  if (beyond > most) throw corrupt(`${name} sums to ${beyond} units; its contributions allow ${most}`);
}

function addIntegers(values: Int32Array | Float64Array, sum: Float64Array, to: number): void {
  for (let i = 0; i < values.length; i++) sum[to + i] += values[i];
}
