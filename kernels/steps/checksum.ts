// Whether a buffer on the device holds the words that were sent: two sums modulo 2^32, the same in any order (in the
// manner of Fletcher, 1982).
import { kernel, read, readWrite } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

/** Invocations at most; each takes every so many words. */
const MOST_INVOCATIONS = 1 << 14;

/**
 * data u32 [words] → sums atomic u32 [2], added to: Σ data[i] and Σ (2i + 1)·data[i]. A factor that is odd loses no
 * bit, so any one word that differs shows in both.
 */
export function checksum(o: { readonly words: number }): Kernel {
  const items = Math.min(o.words, MOST_INVOCATIONS);
  return kernel({
    label: `checksum ${o.words}`,
    constants: { WORDS: o.words, STRIDE: items },
    storage: [read("data", "u32"), readWrite("sums", "atomic<u32>")],
    items,
    body: `
var plain = 0u;
var placed = 0u;
for (var i = index; i < WORDS; i += STRIDE) {
  plain += data[i];
  placed += (2u * i + 1u) * data[i];
}
atomicAdd(&sums[0], plain);
atomicAdd(&sums[1], placed);`,
  });
}

/** The two sums of words in memory. */
export function checksumOf(words: Uint32Array): readonly [number, number] {
  let plain = 0;
  let placed = 0;
  for (let i = 0; i < words.length; i++) {
    plain = (plain + words[i]) >>> 0;
    placed = (placed + Math.imul(2 * i + 1, words[i])) >>> 0;
  }
  return [plain, placed];
}
