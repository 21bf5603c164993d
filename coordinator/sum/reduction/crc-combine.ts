// Joins CRC-32C chains that ran side by side: appending n zero bytes multiplies a CRC by x^(8n) modulo the polynomial
// (as zlib's crc32_combine does).

const polynomial = 0x82f63b78;

/** a · b modulo the polynomial; bit 31 is the coefficient of x^0. */
function multiply(a: number, b: number): number {
  let product = 0;
  let rest = b;
  for (let bit = 31; bit >= 0; bit--) {
    if ((a >>> bit) & 1) product ^= rest;
    rest = rest & 1 ? (rest >>> 1) ^ polynomial : rest >>> 1;
  }
  return product;
}

/** The CRC state after `bytes` more zero bytes. */
export function shiftCrc(state: number, bytes: number): number {
  let shifted = state;
  // x^8, then its square for each bit of the count.
  let power = 1 << 23;
  for (let rest = bytes; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) shifted = multiply(power, shifted);
    power = multiply(power, power);
  }
  return shifted;
}
