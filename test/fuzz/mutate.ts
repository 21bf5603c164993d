// Damage to bytes and to values: what links, bugs and enemies do to a message.

import type { Rng } from "../../shared/base/rng.ts";

/** Numbers at the edges of integer types. */
const edges = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

function spliced(a: Uint8Array, b: Uint8Array, draws: Rng): Uint8Array {
  const head = a.subarray(0, draws.below(a.length + 1));
  const tail = b.subarray(draws.below(b.length + 1));
  const joined = new Uint8Array(head.length + tail.length);
  joined.set(head);
  joined.set(tail, head.length);
  return joined;
}

/** One act of damage; `other` is material for what is spliced in. The input stays as it is. */
export function damaged(bytes: Uint8Array, other: Uint8Array, draws: Rng): Uint8Array {
  if (bytes.length === 0) return Uint8Array.from(other);
  const copy = Uint8Array.from(bytes);
  const at = draws.below(copy.length);
  switch (draws.below(6)) {
    case 0:
      copy[at] ^= 1 << draws.below(8);
      return copy;
    case 1:
      copy[at] = draws.below(256);
      return copy;
    case 2:
      return copy.subarray(0, at);
    case 3:
      return spliced(copy, other, draws);
    case 4: {
      // A little-endian number where a length or a count may stand.
      const edge = edges[draws.below(edges.length)];
      for (let i = 0; i < 4 && at + i < copy.length; i++) copy[at + i] = edge >>> (8 * i);
      return copy;
    }
    default:
      return spliced(copy.subarray(0, at), copy, draws);
  }
}

const strangers = [null, true, -1, 0.5, Number.NaN, Infinity, 2 ** 53, "", "x".repeat(2000), [], {}, [[[[]]]]] as const;

/** A value with one part replaced, removed or added somewhere inside. */
export function distorted(value: unknown, draws: Rng): unknown {
  const stranger = strangers[draws.below(strangers.length)];
  if (typeof value !== "object" || value === null || draws.below(6) === 0) return stranger;
  if (Array.isArray(value)) {
    if (value.length === 0) return [stranger];
    const at = draws.below(value.length);
    return value.map((item, i) => (i === at ? distorted(item, draws) : item));
  }
  const names = Object.keys(value);
  const fields = { ...value } as Record<string, unknown>;
  const name = names[draws.below(Math.max(1, names.length))] ?? "type";
  switch (draws.below(4)) {
    case 0:
      delete fields[name];
      return fields;
    case 1:
      fields[`${name}2`] = stranger;
      return fields;
    default:
      fields[name] = distorted(fields[name], draws);
      return fields;
  }
}
