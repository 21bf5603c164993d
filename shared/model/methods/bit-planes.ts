// Codes of weights as bit planes of ±1, as they travel: in a sum of planes (W̃ = Σ c_m B_m) a bit of the code is +1, in
// a table of values (W̃ = c[code]) a set bit is −1, as a set bit of every sign plane is.

/**
 * Plane m holds +1 where bit m of the code is 1, else −1, so that Σ 2^m B_m = 2·code − (2^planes − 1).
 * @returns f32 [planes][codes]
 */
export function linearPlanes(codes: Uint8Array, planes: number): Float32Array {
  return planesOf(codes, planes, 1);
}

/** Plane m holds −1 where bit m of the code is 1, else +1. @returns f32 [planes][codes] */
export function tablePlanes(codes: Uint8Array, planes: number): Float32Array {
  return planesOf(codes, planes, -1);
}

function planesOf(codes: Uint8Array, planes: number, set: 1 | -1): Float32Array {
  const n = codes.length;
  const values = new Float32Array(planes * n);
  for (let m = 0; m < planes; m++) {
    for (let i = 0; i < n; i++) values[m * n + i] = (codes[i] >>> m) & 1 ? set : -set;
  }
  return values;
}
