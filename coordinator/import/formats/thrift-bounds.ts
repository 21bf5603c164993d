// Bounds of a structure in Thrift's compact protocol, as Parquet writes its footer and page headers: looked at before
// anything is made of it, since a list may claim more items than there are bytes, and structures may be nested.

/** Deepest structures in structures: Parquet's take 6. */
export const DEEPEST_THRIFT = 16;
/** Longest number of 7 bits a byte. */
const LONGEST_NUMBER = 10;

/** Why bytes are no structure: for a message that says where. */
export class ThriftBounds {
  readonly #bytes: Uint8Array;
  #at: number;

  private constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /**
   * Where a structure ends.
   * @returns the offset behind it, `short` where the bytes end before, or why it is none
   */
  static end(bytes: Uint8Array, at = 0): number | "short" | string {
    const walk = new ThriftBounds(bytes, at);
    const why = walk.#structure(0);
    return why ?? walk.#at;
  }

  #number(): number | undefined {
    let value = 0;
    for (let i = 0; i < LONGEST_NUMBER; i++) {
      if (this.#at >= this.#bytes.length) return undefined;
      const byte = this.#bytes[this.#at++];
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    return undefined;
  }

  #structure(depth: number): string | undefined {
    if (depth > DEEPEST_THRIFT) return "structures lie too deep in each other";
    for (;;) {
      if (this.#at >= this.#bytes.length) return "short";
      const byte = this.#bytes[this.#at++];
      if ((byte & 0x0f) === 0) return undefined;
      if (byte >> 4 === 0 && this.#number() === undefined) return "short";
      const why = this.#value(byte & 0x0f, depth, true);
      if (why !== undefined) return why;
    }
  }

  /** @param field in a structure booleans have no bytes of their own */
  #value(type: number, depth: number, field: boolean): string | undefined {
    if (type === 1 || type === 2) return field ? undefined : this.#skip(1);
    if (type === 3) return this.#skip(1);
    if (type >= 4 && type <= 6) return this.#number() === undefined ? "short" : undefined;
    if (type === 7) return this.#skip(8);
    if (type === 8) {
      const length = this.#number();
      return length === undefined ? "short" : this.#skip(length);
    }
    if (type === 9) return this.#list(depth);
    return type === 12 ? this.#structure(depth + 1) : `a value of type ${type}`;
  }

  #list(depth: number): string | undefined {
    if (depth > DEEPEST_THRIFT) return "lists lie too deep in each other";
    if (this.#at >= this.#bytes.length) return "short";
    const byte = this.#bytes[this.#at++];
    const count = byte >> 4 === 15 ? this.#number() : byte >> 4;
    if (count === undefined) return "short";
    // Every item has a byte at least.
    if (count > this.#bytes.length - this.#at) return "short";
    for (let i = 0; i < count; i++) {
      const why = this.#value(byte & 0x0f, depth + 1, false);
      if (why !== undefined) return why;
    }
    return undefined;
  }

  #skip(bytes: number): string | undefined {
    if (bytes > this.#bytes.length - this.#at) return "short";
    this.#at += bytes;
    return undefined;
  }
}
