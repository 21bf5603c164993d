// Whether the tensors of a file are those that were written: a bit that fell over on the way makes another network, and
// nothing else would show it.

import { crc32c } from "../base/crc32c.ts";
import type { SafeTensor } from "../base/safetensors.ts";

/** Of all their bytes, in the order of the file: "crc32c:" and eight hexadecimal digits. */
export function tensorsChecksum(tensors: Iterable<Pick<SafeTensor, "bytes">>): string {
  let sum = 0;
  for (const { bytes } of tensors) sum = crc32c(bytes, sum);
  return `crc32c:${(sum >>> 0).toString(16).padStart(8, "0")}`;
}
