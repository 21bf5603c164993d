// Reproducible test data: the same numbers for the same seed on every machine.

/** Uniform floats in [−1, 1), exactly representable with 16 fraction bits. */
export function uniform(length: number, seed: number): Float32Array<ArrayBuffer> {
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  return Float32Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return (state >>> 15) / 2 ** 16 - 1;
  });
}

/** As uniform, with +0, −0 and values beyond ±1 among them. */
export function uniformWithZeros(length: number, seed: number): Float32Array<ArrayBuffer> {
  return uniform(length, seed).map((v, i) => (i % 7 === 3 ? 0 : i % 11 === 5 ? -0 : 1.5 * v));
}
