// CRC-32C of a frame in WebAssembly's memory: slicing-by-16 over two halves of each stretch at once, since one chain of
// table look-ups alone waits for itself (Kounavis and Berry, 2005, for the slices).

const slices = 16;
/** Where the tables lie: a constant, so that it is part of each load. */
export const crcTablesAt = 64;
export const crcTableBytes = slices * 1024;

/** u32 [16][256]: row s, column b is the CRC of byte b followed by s zero bytes. */
export function crcTables(): Int32Array<ArrayBuffer> {
  const rows = new Int32Array(slices * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
    rows[byte] = crc;
  }
  for (let i = 256; i < rows.length; i++) rows[i] = (rows[i - 256] >>> 8) ^ rows[rows[i - 256] & 0xff];
  return rows;
}

const lookup = (word: string, shift: number, slice: number) => {
  // Four times the byte, without a shift of its own.
  const moved = shift === 0 ? `(i32.shl ${word} (i32.const 2))` : `(i32.shr_u ${word} (i32.const ${shift - 2}))`;
  return `(i32.load offset=${crcTablesAt + 1024 * slice} (i32.and ${moved} (i32.const 1020)))`;
};

const xor = (terms: readonly string[]): string => terms.reduce((a, b) => `(i32.xor ${a} ${b})`);

/** The CRC `state` after 16 more bytes at `at`. */
const step = (state: string, at: string) => {
  const terms = [0, 1, 2, 3].flatMap((i) =>
    [0, 8, 16, 24].map((shift) => lookup(`(local.get $w${i})`, shift, 15 - 4 * i - shift / 8)),
  );
  return `
      (local.set $w0 (i32.xor (i32.load ${at}) (local.get ${state})))
      ${[1, 2, 3].map((i) => `(local.set $w${i} (i32.load offset=${4 * i} ${at}))`).join(" ")}
      (local.set ${state} ${xor(terms)})`;
};

/**
 * CRC state (not inverted) from `crc` over `length` bytes, a multiple of 16, at `source`; the second chain starts at 0,
 * `half` further on, at $report.
 */
export const crcKernel = `
(func $crcPair (param $source i32) (param $length i32) (param $crc i32) (param $half i32) (param $report i32) (result i32)
  (local $end i32) (local $other i32) (local $w0 i32) (local $w1 i32) (local $w2 i32) (local $w3 i32)
  (local.set $end (i32.add (local.get $source) (local.get $length)))
  (block $done
    (loop $next
      (br_if $done (i32.eqz (i32.lt_u (local.get $source) (local.get $end))))
      ${step("$crc", "(local.get $source)")}
      ${step("$other", "(i32.add (local.get $source) (local.get $half))")}
      (local.set $source (i32.add (local.get $source) (i32.const 16)))
      (br $next)))
  (i32.store (local.get $report) (local.get $other))
  (local.get $crc))`;
