// Coefficients of bases: the residual is orthogonal to every base, also where bases depend on each other.
import { expect, test } from "vitest";
import { rng } from "../../../../shared/base/rng.ts";
import { leastSquares } from "../../../../shared/model/methods/least-squares.ts";

const draw = rng(6);
const product = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const vector = (n: number) => Array.from({ length: n }, () => draw.normal());

function solve(bases: readonly (readonly number[])[], w: readonly number[]): number[] {
  return leastSquares(
    bases.map((a) => bases.map((b) => product(a, b))),
    bases.map((a) => product(a, w)),
  );
}

test.each([1, 2, 5, 8])("of %i bases: what is left of w is orthogonal to each", (m) => {
  const bases = Array.from({ length: m }, () => vector(40));
  const w = vector(40);
  const x = solve(bases, w);
  const rest = w.map((value, i) => value - x.reduce((sum, share, k) => sum + share * bases[k][i], 0));
  for (const base of bases) expect(Math.abs(product(base, rest))).toBeLessThan(1e-9);
});

test("of equal and opposite bases each takes an equal share, which is the answer of least norm", () => {
  const signs = vector(30).map((x) => (x < 0 ? -1 : 1));
  const w = vector(30);
  const [alone] = solve([signs], w);
  const shared = solve([signs, signs.map((x) => -x), signs], w);
  [alone / 3, -alone / 3, alone / 3].forEach((share, i) => {
    expect(shared[i]).toBeCloseTo(share, 12);
  });
});
