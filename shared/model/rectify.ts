// The shape of the learnable matrix C of a rectified binary convolution (RBCN, Liu et al., IJCAI 2019; the shape is our
// choice).

/** Which elements of [out][kh][kw][in] share one entry of C. */
export type Rectify = "kernel" | "layer" | "out" | "filter";

/**
 * Surrogate derivative of sign: `bireal` is 2−2|x| on |x| < 1 (Bi-Real, Liu et al. 2018); `ste` is 1 on |x| ≤ 1 (BNN),
 * `open` is 1 on |x| < 1 (XNOR-Net's code).
 */
export type Surrogate = "bireal" | "ste" | "open";

/** C's shape in OHWI order. */
export function rectifyShape(
  rectify: Rectify,
  out: number,
  kernel: number,
  input: number,
): readonly [number, number, number, number] {
  switch (rectify) {
    case "kernel":
      return [1, kernel, kernel, 1];
    case "layer":
      return [1, 1, 1, 1];
    case "out":
      return [out, 1, 1, 1];
    case "filter":
      return [1, kernel, kernel, input];
    default:
      return rectify satisfies never;
  }
}
