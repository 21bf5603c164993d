// The window that keeps a tracker's answer near where the target was: Hann's, symmetric, with zeros at its ends
// (SiamFC, Bertinetto et al., 2016).

/** Of `n` places; that of one is 1. */
export function hannRow(n: number): Float64Array {
  if (n === 1) return Float64Array.of(1);
  return Float64Array.from({ length: n }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (n - 1)));
}

/** [n][n]: the outer product of the row with itself, 1 together. */
export function hannWindow(n: number): Float64Array {
  const row = hannRow(n);
  const sum = row.reduce((a, b) => a + b, 0) ** 2;
  const window = new Float64Array(n * n);
  for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) window[y * n + x] = (row[y]! * row[x]!) / sum;
  return window;
}
