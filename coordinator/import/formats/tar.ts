// Tar archives (POSIX ustar and pax, GNU's long names and large sizes) read one member after another, also those that
// lie in a member of another: nothing is unpacked, and no name is a path here.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { printable } from "../../base/printable.ts";
import type { ByteReader } from "./byte-reader.ts";

export const TAR_BLOCK = 512;
/** Longest extended header, which holds a long name or size. */
export const MAX_EXTENDED_BYTES = 2 ** 20;
/** Longest name of a member in bytes, as long as paths may be. */
export const MAX_NAME_BYTES = 4096;

export interface TarMember {
  readonly name: string;
  readonly kind: "file" | "folder" | "link" | "other";
  readonly bytes: number;
  /** Of its first header, from the archive's file's first byte on: reading can begin there. */
  readonly header: number;
  /** Of its first byte. */
  readonly content: number;
  /** Of the header that follows it. */
  readonly next: number;
}

const decoder = new TextDecoder();

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** An octal number between spaces and zeros, or GNU's binary one; nothing for what is neither. */
function numberOf(field: Uint8Array): number | undefined {
  if (field[0] === 0x80) {
    let value = 0;
    for (const byte of field.subarray(1)) value = 256 * value + byte;
    return Number.isSafeInteger(value) ? value : undefined;
  }
  const text = textOf(field).trim();
  return /^[0-7]*$/.test(text) ? Number.parseInt(text || "0", 8) : undefined;
}

/** Sum of a header's bytes with spaces in place of the sum itself; old writers added the bytes as signed ones. */
function sumsOf(block: Uint8Array): readonly [number, number] {
  let unsigned = 0;
  let signed = 0;
  for (const [at, byte] of block.entries()) {
    const value = at >= 148 && at < 156 ? 32 : byte;
    unsigned += value;
    signed += value > 127 ? value - 256 : value;
  }
  return [unsigned, signed];
}

const kinds: Readonly<Record<string, TarMember["kind"]>> = {
  "\0": "file",
  "0": "file",
  "7": "file",
  "5": "folder",
  "1": "link",
  "2": "link",
};

/** What extended headers say of the member that follows them. */
interface Extended {
  name?: string;
  bytes?: number;
}

export interface TarRange {
  /** What it is called in errors: the file's path, with the member's name behind it for an archive in another. */
  readonly title?: string;
  /** Offset behind its last byte, where that is not the file's end. */
  readonly end?: number;
}

export class TarReader {
  readonly #reader: ByteReader;
  readonly #title: string;
  readonly #end: number;
  #member: TarMember | undefined;

  constructor(
    reader: ByteReader,
    { title = reader.path, end = reader.end ?? Number.POSITIVE_INFINITY }: TarRange = {},
  ) {
    this.#reader = reader;
    this.#title = title;
    this.#end = end;
  }

  #invalid(at: number, what: string, advice = "get the file again"): BitswarmError {
    return new BitswarmError("DATA_INVALID", `${this.#title}: ${what} at byte ${at}; ${advice}`);
  }

  #cutOff(at: number, wanted: number, got: number, what: string): BitswarmError {
    return this.#invalid(at, `the archive is cut off: ${what} takes ${wanted} bytes, and ${got} are there`);
  }

  async #block(what: string): Promise<Uint8Array<ArrayBuffer>> {
    const at = this.#reader.offset;
    const block = await this.#reader.read(Math.min(TAR_BLOCK, this.#end - at));
    if (block.length < TAR_BLOCK) throw this.#cutOff(at, TAR_BLOCK, block.length, what);
    return block;
  }

  async #pass(to: number, what: string): Promise<void> {
    const at = this.#reader.offset;
    const passed = await this.#reader.skip(to - at);
    if (passed < to - at) throw this.#cutOff(at, to - at, passed, what);
  }

  /** Whether all that follows the end mark is zeros, as tar pads archives: another archive behind it is not read. */
  async #requireEnd(): Promise<void> {
    for (;;) {
      const at = this.#reader.offset;
      const rest = await this.#reader.read(Math.min(2 ** 16, this.#end - at));
      const other = rest.findIndex((byte) => byte !== 0);
      if (other >= 0) {
        throw this.#invalid(
          at + other,
          "there is something behind the end mark",
          "is it several archives in one file? Take it apart",
        );
      }
      if (rest.length === 0) return;
    }
  }

  async #extended(type: string, bytes: number, into: Extended): Promise<void> {
    const at = this.#reader.offset;
    if (bytes > MAX_EXTENDED_BYTES) {
      throw this.#invalid(at, `an extended header of ${bytes} bytes; the limit is ${MAX_EXTENDED_BYTES}`);
    }
    const padded = Math.ceil(bytes / TAR_BLOCK) * TAR_BLOCK;
    const body = await this.#reader.read(Math.min(padded, this.#end - at));
    if (body.length < padded) throw this.#cutOff(at, padded, body.length, "an extended header");
    const used = body.subarray(0, bytes);
    if (type === "L") into.name = textOf(used);
    else if (type === "x") this.#pax(used, at, into);
    else if (type === "g") {
      const all: Extended = {};
      this.#pax(used, at, all);
      if (all.name !== undefined || all.bytes !== undefined) throw this.#invalid(at, "a name or size for all members");
    }
  }

  /** Records `LENGTH KEY=VALUE\n`. */
  #pax(bytes: Uint8Array, offset: number, into: Extended): void {
    for (let at = 0; at < bytes.length; ) {
      const space = bytes.indexOf(32, at);
      const digits = space < 0 ? "" : textOf(bytes.subarray(at, space));
      const length = /^\d{1,7}$/.test(digits) ? Number(digits) : 0;
      if (length <= digits.length + 1 || at + length > bytes.length) {
        throw this.#invalid(offset + at, "an extended header's record has no length");
      }
      const record = decoder.decode(bytes.subarray(space + 1, at + length)).replace(/\n$/, "");
      const [, key = "", value = ""] = /^([^=]*)=(.*)$/s.exec(record) ?? [];
      if (key.startsWith("GNU.sparse"))
        throw this.#invalid(offset + at, "a sparse file, which is not read", "pack it whole");
      if (key === "path") into.name = value;
      if (key === "size") {
        if (!/^\d{1,15}$/.test(value))
          throw this.#invalid(offset + at, `a size of ${JSON.stringify(printable(value))}`);
        into.bytes = Number(value);
      }
      at += length;
    }
  }

  /** The next member; nothing behind the last. What is left of the one before is passed over. @throws DATA_INVALID */
  async next(): Promise<TarMember | undefined> {
    if (this.#member !== undefined) await this.#pass(this.#member.next, `member ${printable(this.#member.name)}`);
    this.#member = undefined;
    const header = this.#reader.offset;
    const extended: Extended = {};
    for (;;) {
      const at = this.#reader.offset;
      const block = await this.#block("the header of a member, or the end mark,");
      const [unsigned, signed] = sumsOf(block);
      if (unsigned === 8 * 32) {
        await this.#requireEnd();
        return undefined;
      }
      const sum = numberOf(block.subarray(148, 156));
      if (sum !== unsigned && sum !== signed)
        throw this.#invalid(at, "there is no header of a member, or a damaged one,");
      const bytes = numberOf(block.subarray(124, 136));
      if (bytes === undefined) throw this.#invalid(at, "the size of a member is no number");
      const type = String.fromCharCode(block[156]);
      if ("LKxg".includes(type)) {
        await this.#extended(type, bytes, extended);
        continue;
      }
      if (type === "S") throw this.#invalid(at, "a sparse file, which is not read,", "pack it whole");
      const ustar = textOf(block.subarray(257, 263)) === "ustar";
      const prefix = ustar ? textOf(block.subarray(345, 500)) : "";
      const short = textOf(block.subarray(0, 100));
      const name = extended.name ?? (prefix === "" ? short : `${prefix}/${short}`);
      if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
        throw this.#invalid(at, `a name of ${Buffer.byteLength(name)} bytes; the limit is ${MAX_NAME_BYTES};`);
      }
      const kind = name.endsWith("/") ? "folder" : (kinds[type] ?? "other");
      const size = kind === "folder" || kind === "link" ? 0 : (extended.bytes ?? bytes);
      const content = this.#reader.offset;
      const next = content + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
      if (next > this.#end) throw this.#cutOff(content, size, this.#end - content, `member ${printable(name)}`);
      this.#member = { name, kind, bytes: size, header, content, next };
      return this.#member;
    }
  }

  /** Content of the member that `next` gave: its size is the caller's to judge. @throws DATA_INVALID */
  async content(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#member === undefined) throw new Error("there is no member whose content could be read");
    const { name, bytes, content } = this.#member;
    const read = await this.#reader.read(bytes);
    if (read.length < bytes) throw this.#cutOff(content, bytes, read.length, `member ${printable(name)}`);
    return read;
  }
}
