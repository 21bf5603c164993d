// Where a sample stands in its split, and on which side of a split it stands: hashes of what it is, so that neither the
// source's order nor the number of threads, nor an interruption, has a part in it.

import { createHash } from "node:crypto";
import type { StoreSplit } from "../store/manifest.ts";

export const KEY_BYTES = 16;

/** A split is in the order of its samples' keys. */
export function sampleKey(seed: number, split: StoreSplit, name: string): Buffer {
  return createHash("sha256").update(`${seed}\n${split}\n${name}`).digest().subarray(0, KEY_BYTES);
}

/** Which of so many equal parts of all keys a key is in: parts rise with keys. */
export function bucketOf(key: Buffer, buckets: number): number {
  return Math.floor((key.readUInt32BE(0) / 2 ** 32) * buckets);
}

/** In [0, 1): what is below a share is held out. */
function heldOutDraw(seed: number, content: Uint8Array): number {
  const digest = createHash("sha256").update(`${seed}\n`).update(content).digest();
  return digest.readUInt32BE(0) / 2 ** 32;
}

/** Whether a sample is held out. Equal bytes are on one side: a copy of a training image is no test of anything. */
export function isHeldOut(seed: number, content: Uint8Array, share: number): boolean {
  return heldOutDraw(seed, content) < share;
}

/** Which groups are held out: by the same hash, but one at the least, and never all; of a single one none. */
export function heldOutGroups(seed: number, groups: Iterable<string>, share: number): ReadonlySet<string> {
  const drawn = [...groups].map((group) => ({ group, draw: heldOutDraw(seed, Buffer.from(group)) }));
  drawn.sort((a, b) => a.draw - b.draw || (a.group < b.group ? -1 : 1));
  const wanted = drawn.filter(({ draw }) => draw < share).length;
  const count = Math.min(Math.max(1, wanted), drawn.length - 1);
  return new Set(drawn.slice(0, Math.max(0, count)).map(({ group }) => group));
}
