// The codecs there are: a line each. A configuration, a lease and a frame's header name one of them.

import { z } from "zod";
import { Registry } from "../base/registry.ts";
import type { Codec } from "./codec.ts";
import { exact } from "./exact.ts";
import { f16 } from "./f16.ts";
import { f32 } from "./f32.ts";
import { int8 } from "./int8.ts";
import { sign } from "./sign.ts";

class CodecTable extends Registry<Codec> {
  /** @throws RangeError for a number that does not fit its byte in a frame, or is another's */
  override add(codec: Codec): () => void {
    const { kind, number } = codec;
    if (!Number.isInteger(number) || number < 1 || number > 255) {
      throw new RangeError(`codec ${kind}: its number is a byte from 1 to 255, got ${number}`);
    }
    const other = this.numbered(number);
    if (other) throw new RangeError(`codec ${kind}: the number ${number} is that of ${other.kind}; choose another`);
    return super.add(codec);
  }

  numbered(number: number): Codec | undefined {
    return this.entries.find((codec) => codec.number === number);
  }
}

export const codecs = new CodecTable("codec", [exact, f32, f16, int8, sign]);

/** The kind of a codec; the table is read anew with each value, so that what was added at run time counts. */
export const codecKind = z.string().refine((kind) => codecs.has(kind), {
  error: () => `Invalid option: expected one of ${codecs.kinds.map((kind) => JSON.stringify(kind)).join("|")}`,
});
