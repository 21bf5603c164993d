// Messages as bytes: one plain msgpack value, parsed by a schema before anybody looks at it.

import { Packr } from "msgpackr";
import type { z } from "zod";
import { BitswarmError } from "../base/errors.ts";
import { isPlainMsgpack } from "./plain-msgpack.ts";

/** Largest control message in bytes; a data set manifest of 10,000 shards fits. */
export const MAX_MESSAGE_BYTES = 1 << 20;

// Plain msgpack maps: no record extension, and integers of 64 bits are numbers, so that any msgpack implementation can
// be a peer. From 2^53 on they are no safe integers, which no schema takes.
const packr = new Packr({ useRecords: false, int64AsType: "number" });

/** Integers that the msgpack library writes as such; others would be float64. */
const isShort = (value: number) => value >>> 0 === value || value >> 0 === value;

/** The same value, in which integers beyond 32 bits are written as integers. Lists of numbers have none. */
function withIntegers(value: unknown): unknown {
  if (typeof value === "number") return isShort(value) || !Number.isSafeInteger(value) ? value : BigInt(value);
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  if (Array.isArray(value)) return typeof value[0] === "object" ? value.map(withIntegers) : value;
  let copy: Record<string, unknown> | undefined;
  for (const [name, one] of Object.entries(value)) {
    const written = withIntegers(one);
    if (written === one) continue;
    copy ??= { ...value };
    copy[name] = written;
  }
  return copy ?? value;
}

export function encodePlain(message: unknown): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(packr.pack(withIntegers(message)));
}

/** @throws MESSAGE_INVALID, FRAME_TOO_LARGE */
export function decodePlain<T>(bytes: Uint8Array, schema: z.ZodType<T>): T {
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new BitswarmError(
      "FRAME_TOO_LARGE",
      `a control message has ${bytes.length} bytes; the limit is ${MAX_MESSAGE_BYTES}`,
    );
  }
  if (!isPlainMsgpack(bytes)) {
    const what = `a message of ${bytes.length} bytes is not one plain msgpack value`;
    throw new BitswarmError("MESSAGE_INVALID", `${what}: extensions, deep nesting and bytes behind it are refused`);
  }
  let value: unknown;
  try {
    value = packr.unpack(bytes);
  } catch (cause) {
    throw new BitswarmError("MESSAGE_INVALID", `a message of ${bytes.length} bytes is not msgpack`, { cause });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new BitswarmError(
    "MESSAGE_INVALID",
    `message refused at ${issue.path.join(".") || "its top"}: ${issue.message}`,
  );
}
