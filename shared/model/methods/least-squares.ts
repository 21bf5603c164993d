// The coefficients that bring a sum of bases nearest to a vector, from the bases' inner products. Where bases depend on
// each other, as two equal planes of signs do, the answer is the one of least norm.

/** Rotations over all pairs; a matrix of this size is diagonal to the last bit long before. */
const MOST_SWEEPS = 60;
/** Of the trace: what is left beside the diagonal that a rotation would no longer change anything by. */
const OFF_DIAGONAL = 1e-18;
/** Eigenvalues below this share of the largest are of bases that depend on each other. */
const RANK = 1e-10;

/**
 * x of least norm among those that make ‖Σ x_m B_m − w‖ least.
 * @param gram [m][m]: B_iᵀB_j @param right [m]: B_mᵀw
 */
export function leastSquares(gram: readonly (readonly number[])[], right: readonly number[]): number[] {
  const { values, vectors } = eigen(gram);
  const floor = RANK * Math.max(...values, 0);
  const x = right.map(() => 0);
  values.forEach((value, k) => {
    if (value <= floor) return;
    const share = right.reduce((sum, b, i) => sum + vectors[i][k] * b, 0) / value;
    for (let i = 0; i < x.length; i++) x[i] += share * vectors[i][k];
  });
  return x;
}

/** Jacobi's rotations: eigenvalues of a symmetric matrix, and its eigenvectors as columns. */
function eigen(symmetric: readonly (readonly number[])[]): { values: number[]; vectors: number[][] } {
  const n = symmetric.length;
  const trace = symmetric.reduce((sum, row, i) => sum + row[i], 0);
  const a = symmetric.map((row) => [...row]);
  const vectors = a.map((_, i) => a.map((__, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < MOST_SWEEPS; sweep++) {
    let rotated = false;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(a[p][q]) <= OFF_DIAGONAL * trace) continue;
        rotated = true;
        rotate(a, vectors, p, q);
      }
    }
    if (!rotated) break;
  }
  return { values: a.map((row, i) => row[i]), vectors };
}

function rotate(a: number[][], vectors: number[][], p: number, q: number): void {
  const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const cosine = 1 / Math.hypot(t, 1);
  const sine = t * cosine;
  for (const row of [...a, ...vectors]) {
    const [x, y] = [row[p], row[q]];
    row[p] = cosine * x - sine * y;
    row[q] = sine * x + cosine * y;
  }
  for (let k = 0; k < a.length; k++) {
    const [x, y] = [a[p][k], a[q][k]];
    a[p][k] = cosine * x - sine * y;
    a[q][k] = sine * x + cosine * y;
  }
}
