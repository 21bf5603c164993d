// What a response map should be: 1 where the target is, about the middle, 0 elsewhere; each of the two weighs one half.

export interface LabelMap {
  /** [h][w] of 0 and 1. */
  readonly labels: Uint8Array;
  /** [h][w]: together 1, each class one half. */
  readonly weights: Float64Array;
}

/** Of the reference: in pixels of the search image, and how many of them a cell of the response is. */
export const labelRule = { radius: 16, stride: 8 } as const;

/** @param radius of the target in pixels, by the sum of both distances */
export function labelMap(
  h: number,
  w: number,
  { radius, stride }: { radius: number; stride: number } = labelRule,
): LabelMap {
  const labels = new Uint8Array(h * w);
  let ones = 0;
  for (let row = 0; row < h; row++) {
    for (let column = 0; column < w; column++) {
      const distance = Math.abs(row - (h - 1) / 2) + Math.abs(column - (w - 1) / 2);
      if (distance > radius / stride) continue;
      labels[row * w + column] = 1;
      ones++;
    }
  }
  const weights = Float64Array.from(labels, (label) => 0.5 / (label === 1 ? ones : h * w - ones));
  return { labels, weights };
}
