// Powers of two and rounding that are the same bits in every engine: Math.pow and Math.log2 are only required to be
// approximate.

const words = new Uint32Array(2);
const value = new Float64Array(words.buffer);

/** 2^exponent, built from its bits. @throws RangeError for what is no integer from −1022 to 1023 */
export function powerOfTwo(exponent: number): number {
  if (!(Number.isInteger(exponent) && exponent >= -1022 && exponent <= 1023)) {
    throw new RangeError(`2^${exponent}: an exponent is an integer from -1022 to 1023`);
  }
  words[0] = 0;
  words[1] = (exponent + 1023) << 20;
  return value[0];
}

/** ⌊log2 x⌋ of a positive double that is not subnormal: a float32 never is one. */
export function exponentOf(x: number): number {
  value[0] = x;
  return ((words[1] >>> 20) & 0x7ff) - 1023;
}

/** ⌈log2 x⌉ of such a double. */
export function ceilingExponentOf(x: number): number {
  const floor = exponentOf(x);
  return x === powerOfTwo(floor) ? floor : floor + 1;
}

/** Exponent of the power of two nearest to a positive double by ratio: x above 2^e·√2 belongs to 2^(e+1). */
export function nearestExponent(x: number): number {
  const floor = exponentOf(x);
  return x > powerOfTwo(floor) * Math.SQRT2 ? floor + 1 : floor;
}

/** Adding it to |x| < 2^51 leaves no bits for a fraction: the sum is rounded to the nearest integer, ties to even. */
const roundingShift = 1.5 * 2 ** 52;

/** Nearest integer of |x| < 2^51, ties to even, as WGSL's round() and WebAssembly's nearest have it. */
export function roundToEven(x: number): number {
  return x + roundingShift - roundingShift;
}
