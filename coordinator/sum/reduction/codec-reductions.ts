// The codecs' halves in the reduction: a line each, of the same kinds as the table in shared/codecs.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { Registry } from "../../../shared/base/registry.ts";
import { codecs } from "../../../shared/codecs/codecs.ts";
import type { CodecReduction } from "./codec-reduction.ts";
import { f16 } from "./f16.ts";
import { int8 } from "./int8.ts";
import { sign } from "./sign.ts";

export const codecReductions = new Registry<CodecReduction>("codec's reduction", [
  { kind: "exact", coding: null },
  { kind: "f32", coding: null },
  f16,
  int8,
  sign,
]);

/**
 * Asserts that both tables have the same codecs, and that both halves code or neither does.
 * @throws CONFIG_INVALID naming the codec that lacks a half
 */
export function requireBothHalves(): void {
  const lacking = (kind: string, has: string, lacks: string) =>
    new BitswarmError("CONFIG_INVALID", `codec ${kind}: it is in ${has}, and not in ${lacks}; add its half there`);
  for (const { kind, coding } of codecs.entries) {
    if (!codecReductions.has(kind)) throw lacking(kind, "shared/codecs", "coordinator/sum/reduction");
    const codes = codecReductions.get(kind).coding !== null;
    if (codes !== (coding !== null)) {
      const [does, doesNot] = codes ? ["reduction", "shared half"] : ["shared half", "reduction"];
      throw new BitswarmError("CONFIG_INVALID", `codec ${kind}: its ${does} codes tensors, its ${doesNot} none`);
    }
  }
  for (const kind of codecReductions.kinds) {
    if (!codecs.has(kind)) throw lacking(kind, "coordinator/sum/reduction", "shared/codecs");
  }
}

requireBothHalves();
