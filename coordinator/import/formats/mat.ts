// A structure array of a MAT 5 file (MathWorks, "MAT-File Format"), as ILSVRC2012's devkit has one: text and single
// numbers of chosen fields, and nothing else.

import { inflateSync } from "node:zlib";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { printable } from "../../base/printable.ts";

/** Most bytes of a file, and of what its packed elements unpack to: the devkit's takes 40 KB, and 1 MB. */
export const MAX_MAT_BYTES = 2 ** 26;
/** Most rows of a structure array: the devkit's has 1,860. */
export const MAX_MAT_ROWS = 2 ** 20;
/** Most fields of a structure: the devkit's have 8. */
export const MAX_MAT_FIELDS = 256;

/** Codes of data types with their bytes. */
const numbers: Readonly<Record<number, readonly [bytes: number, read: (view: DataView, at: number) => number]>> = {
  1: [1, (view, at) => view.getInt8(at)],
  2: [1, (view, at) => view.getUint8(at)],
  3: [2, (view, at) => view.getInt16(at, true)],
  4: [2, (view, at) => view.getUint16(at, true)],
  5: [4, (view, at) => view.getInt32(at, true)],
  6: [4, (view, at) => view.getUint32(at, true)],
  7: [4, (view, at) => view.getFloat32(at, true)],
  9: [8, (view, at) => view.getFloat64(at, true)],
  12: [8, (view, at) => Number(view.getBigInt64(at, true))],
  13: [8, (view, at) => Number(view.getBigUint64(at, true))],
};
const MATRIX = 14;
const COMPRESSED = 15;
const UTF8 = 16;
const UTF16 = 17;
/** Classes of arrays. */
const STRUCTURE = 2;
const TEXT = 4;

/** A field's value: text, or the first number of an array; nothing for an empty array. */
export type MatValue = string | number | undefined;

interface Element {
  readonly type: number;
  readonly body: Uint8Array;
}

class Elements {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fail: (what: string) => BitswarmError;
  #at = 0;

  constructor(bytes: Uint8Array, fail: (what: string) => BitswarmError) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#fail = fail;
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** @param padded whether what follows begins at a multiple of 8: all but packed elements do */
  next(): Element {
    if (this.#at + 8 > this.#bytes.length) throw this.#fail("an element begins where its bytes end");
    const first = this.#view.getUint32(this.#at, true);
    const small = first >>> 16;
    if (small !== 0) {
      if (small > 4) throw this.#fail(`a small element of ${small} bytes; at most 4 fit`);
      const body = this.#bytes.subarray(this.#at + 4, this.#at + 4 + small);
      this.#at += 8;
      return { type: first & 0xffff, body };
    }
    const bytes = this.#view.getUint32(this.#at + 4, true);
    const begin = this.#at + 8;
    if (bytes > this.#bytes.length - begin) {
      throw this.#fail(`an element of ${bytes} bytes, of which ${this.#bytes.length - begin} are there`);
    }
    this.#at = begin + (first === COMPRESSED ? bytes : Math.ceil(bytes / 8) * 8);
    return { type: first, body: this.#bytes.subarray(begin, begin + bytes) };
  }
}

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1").replace(/\0.*$/s, "");

function firstNumber({ type, body }: Element): number | undefined {
  const kind = numbers[type];
  if (kind === undefined || body.length < kind[0]) return undefined;
  return kind[1](new DataView(body.buffer, body.byteOffset, body.length), 0);
}

function textOf({ type, body }: Element): string {
  if (type === 4 || type === UTF16) return Buffer.from(body).toString("utf16le");
  return Buffer.from(body).toString(type === UTF8 ? "utf8" : "latin1");
}

interface Header {
  readonly kind: number;
  readonly dimensions: readonly number[];
  readonly name: string;
}

function headerOf(elements: Elements, fail: (what: string) => BitswarmError): Header {
  const flags = elements.next();
  const kind = firstNumber(flags);
  const dimensions = elements.next();
  if (kind === undefined || dimensions.type !== 5) throw fail("an array without class or dimensions");
  const view = new DataView(dimensions.body.buffer, dimensions.body.byteOffset, dimensions.body.length);
  const sizes = Array.from({ length: Math.min(8, dimensions.body.length >> 2) }, (_, i) => view.getInt32(4 * i, true));
  return { kind: kind & 0xff, dimensions: sizes, name: latin1(elements.next().body) };
}

/**
 * Rows of a structure array, of each the fields that are asked for.
 * @throws DATA_INVALID naming the file and what is wrong
 */
export function readStructures<F extends string>(
  path: string,
  bytes: Uint8Array,
  wanted: string,
  fields: readonly F[],
): Record<F, MatValue>[] {
  const fail = (what: string) =>
    new BitswarmError("DATA_INVALID", `${path}: ${what}; expected the MAT 5 file of the devkit: get it again`);
  if (bytes.length > MAX_MAT_BYTES) throw fail(`has ${bytes.length} bytes; the limit is ${MAX_MAT_BYTES}`);
  if (bytes.length < 128 || latin1(bytes.subarray(0, 6)) !== "MATLAB") throw fail("is no MAT 5 file");
  if (bytes[126] !== 0x49 || bytes[127] !== 0x4d) throw fail("is not of a little-endian machine");
  const all = new Elements(bytes.subarray(128), fail);
  while (!all.ended) {
    let element = all.next();
    if (element.type === COMPRESSED) element = unpacked(element.body, fail);
    if (element.type !== MATRIX) continue;
    const inner = new Elements(element.body, fail);
    const header = headerOf(inner, fail);
    if (header.kind === STRUCTURE && header.name === wanted) return rowsOf(inner, header, fields, fail);
  }
  throw fail(`has no structure array ${wanted}`);
}

function unpacked(body: Uint8Array, fail: (what: string) => BitswarmError): Element {
  try {
    return new Elements(inflateSync(body, { maxOutputLength: MAX_MAT_BYTES }), fail).next();
  } catch (error) {
    if (error instanceof BitswarmError) throw error;
    throw fail(`an element that does not unpack to ${MAX_MAT_BYTES} bytes or fewer (${(error as Error).message})`);
  }
}

function rowsOf<F extends string>(
  elements: Elements,
  { dimensions }: Header,
  fields: readonly F[],
  fail: (what: string) => BitswarmError,
): Record<F, MatValue>[] {
  const count = dimensions.reduce((product, size) => product * size, 1);
  if (!(count >= 1 && count <= MAX_MAT_ROWS)) throw fail(`has ${count} rows; the limit is ${MAX_MAT_ROWS}`);
  const length = firstNumber(elements.next()) ?? 0;
  const list = elements.next().body;
  const names = length < 1 ? 0 : list.length / length;
  if (!Number.isInteger(names) || names < 1 || names > MAX_MAT_FIELDS) throw fail("has no names of fields");
  const order = Array.from({ length: names }, (_, i) => latin1(list.subarray(i * length, (i + 1) * length)));
  for (const field of fields) {
    if (!order.includes(field)) throw fail(`has no field ${field}, but ${printable(order.join(", "))}`);
  }
  return Array.from({ length: count }, () => {
    const row: Partial<Record<string, MatValue>> = {};
    for (const name of order) {
      const { type, body } = elements.next();
      if (type !== MATRIX) throw fail("has a value that is no array");
      if (!(fields as readonly string[]).includes(name)) continue;
      const value = new Elements(body, fail);
      const { kind } = headerOf(value, fail);
      if (value.ended) continue;
      if (kind === TEXT) row[name] = textOf(value.next());
      else if (kind > 5 && kind < 16) row[name] = firstNumber(value.next());
      else throw fail(`has a field ${name} that is neither text nor a number`);
    }
    return row as Record<F, MatValue>;
  });
}
