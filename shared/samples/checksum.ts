// The checksum of decoded samples, which a contribution carries: two machines that decoded the same samples alike have
// the same, in whatever order and however they were cut into leases.

import { crc32c } from "../base/crc32c.ts";

/** A sample's: the CRC-32C of its input tensors' bytes in the task's order, then of its targets', little-endian. */
export function sampleChecksum(tensors: Iterable<ArrayBufferView<ArrayBuffer>>): number {
  let crc = 0;
  for (const { buffer, byteOffset, byteLength } of tensors)
    crc = crc32c(new Uint8Array(buffer, byteOffset, byteLength), crc);
  return crc;
}

/** That of all samples of two sets, which have none in common. */
export function joinedChecksum(a: number, b: number): number {
  return (a + b) >>> 0;
}
