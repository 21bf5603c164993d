// The geometry of a sliding window (convolution or pooling), the one place where output sizes are computed.

/** A square window over [n][h][w][in], giving [n][oh][ow][out]. Sizes in elements. */
export interface WindowShape {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly in: number;
  readonly out: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

/** Output length of one axis: floor((size + 2·padding − kernel) / stride) + 1, as in PyTorch. */
export function outputLength(size: number, kernel: number, stride: number, padding: number): number {
  return Math.floor((size + 2 * padding - kernel) / stride) + 1;
}

export function outputHeight(s: WindowShape): number {
  return outputLength(s.h, s.kernel, s.stride, s.padding);
}

export function outputWidth(s: WindowShape): number {
  return outputLength(s.w, s.kernel, s.stride, s.padding);
}

/** u32 words that hold `channels` sign bits; tail bits are zero. */
export function signWords(channels: number): number {
  return Math.ceil(channels / 32);
}
