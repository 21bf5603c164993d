// CRC-32C (Castagnoli) of frames: the check of iSCSI and ext4 (RFC 3720, appendix B.4), eight bytes at a time
// (slicing-by-8: Kounavis and Berry, "A systematic approach to building high performance software-based CRC", 2005).

const slices = 8;
const tables = buildTables();

/** Row s, column b: the CRC of byte b followed by s zero bytes. The polynomial is 0x1EDC6F41, bits reversed. */
function buildTables(): Int32Array {
  const rows = new Int32Array(slices * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    rows[byte] = crc;
  }
  for (let i = 256; i < rows.length; i++) {
    const before = rows[i - 256]!;
    rows[i] = (before >>> 8) ^ rows[before & 0xff]!;
  }
  return rows;
}

/** CRC-32C of `bytes` as a u32. `seed` is the CRC of what comes before: crc32c(b, crc32c(a)) is that of a, then b. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  let crc = ~seed;
  let at = 0;
  const end = bytes.length;
  // Single bytes up to a multiple of four in memory, then words: one load instead of four.
  const aligned = Math.min(end, -bytes.byteOffset & 3);
  while (at < aligned) crc = tables[(crc ^ bytes[at++]!) & 0xff]! ^ (crc >>> 8);
  const pairs = (end - at) >>> 3;
  const words = new Int32Array(bytes.buffer, pairs > 0 ? bytes.byteOffset + at : 0, pairs * 2);
  for (let i = 0; i < words.length; i += 2) {
    const low = words[i]! ^ crc;
    const high = words[i + 1]!;
    crc =
      tables[1792 + (low & 0xff)]! ^
      tables[1536 + ((low >>> 8) & 0xff)]! ^
      tables[1280 + ((low >>> 16) & 0xff)]! ^
      tables[1024 + (low >>> 24)]! ^
      tables[768 + (high & 0xff)]! ^
      tables[512 + ((high >>> 8) & 0xff)]! ^
      tables[256 + ((high >>> 16) & 0xff)]! ^
      tables[high >>> 24]!;
  }
  at += pairs * 8;
  while (at < end) crc = tables[(crc ^ bytes[at++]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
