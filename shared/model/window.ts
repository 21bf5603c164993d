// The geometry of a sliding window (convolution or pooling), the one place where output sizes are computed.

/**
 * A square window over [n][h][w][in], giving [n][oh][ow][out]. Sizes in elements. With groups, `in` and `out` are the
 * channels of one: maps are [n][h][w][group][in], weights [group][out][kh][kw][in].
 */
export interface WindowShape {
  readonly n: number;
  readonly h: number;
  readonly w: number;
  readonly in: number;
  readonly out: number;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  /** Convolutions side by side, each of channels of its own; absent where there is one. */
  readonly groups?: number;
}

/** Window of a convolution whose `out` are the outputs of all groups, over a map of `c` channels in all. */
export function convolutionWindow(
  { out, kernel, stride, padding, groups = 1 }: Pick<WindowShape, "out" | "kernel" | "stride" | "padding" | "groups">,
  { n, h, w, c }: Pick<WindowShape, "n" | "h" | "w"> & { readonly c: number },
): WindowShape {
  const window = { n, h, w, in: c / groups, out: out / groups, kernel, stride, padding };
  return groups === 1 ? window : { ...window, groups };
}

/** Groups of a window. */
export function groupCount({ groups = 1 }: Pick<WindowShape, "groups">): number {
  return groups;
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
