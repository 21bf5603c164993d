// Weights that are 0 or ± a power of two, so that a product is a shift: INQ's levels.

/** What a layer's frozen weights may be: 0 and ±2^least … ±2^greatest. */
export interface PowerLevels {
  readonly greatest: number;
  readonly least: number;
}

/** Where a value lies in the middle of two levels: `up` to the greater, `down` to the smaller magnitude. */
export type Ties = "up" | "down";

/**
 * n1 = ⌊log2(4/3 · max|W|)⌋: the greatest power of two that the greatest weight is not nearer to the next of.
 * @returns undefined for weights that are all 0
 */
export function greatestPower(weight: Float32Array): number | undefined {
  let most = 0;
  for (const w of weight) most = Math.max(most, Math.abs(w));
  if (most === 0) return undefined;
  // 2^n ≤ 4/3 · most, in numbers that are exact.
  let n = 0;
  while (3 * 2 ** n > 4 * most) n--;
  while (3 * 2 ** (n + 1) <= 4 * most) n++;
  return n;
}

/** Levels of b bits: n2 = n1 + 1 − 2^(b−1) / 2; one code is 0's. */
export function powerLevels(greatest: number, bits: number): PowerLevels {
  return { greatest, least: greatest + 1 - 2 ** (bits - 1) / 2 };
}

/** The nearest level. */
export function nearestPower(value: number, { greatest, least }: PowerLevels, ties: Ties): number {
  const size = Math.abs(value);
  const reaches = (middle: number) => (ties === "up" ? size >= middle : size > middle);
  let power = 2 ** least;
  if (!reaches(power / 2)) return 0;
  for (let n = least; n < greatest && reaches(1.5 * power); n++) power *= 2;
  return value < 0 ? -power : power;
}
