// Between the state's axis order (channels last) and that of files (PyTorch's): a rank-4 tensor is a convolution's or a
// C.

import { type Shape4, toOhwi, toOihw } from "../../shared/model/axes.ts";

/** The four axes of a shape that must have four. */
export function fourAxes(shape: readonly number[]): Shape4 {
  const [a, b, c, d] = shape;
  if (shape.length !== 4) throw new RangeError(`expected four axes, got [${shape}]`);
  return [a, b, c, d];
}

/** [out][kh][kw][in] → [out][in][kh][kw]; other ranks stay. */
export function fileShape(shape: readonly number[]): readonly number[] {
  if (shape.length !== 4) return shape;
  const [o, h, w, i] = fourAxes(shape);
  return [o, i, h, w];
}

/** The values in the order of `fileShape(shape)`. `shape` is the state's, [out][kh][kw][in]. */
export function toFileOrder(values: Float32Array, shape: readonly number[]): Float32Array {
  return shape.length === 4 ? toOihw(values, fourAxes(fileShape(shape))) : values;
}

/** The inverse of `toFileOrder`. `shape` is the state's, [out][kh][kw][in]. */
export function fromFileOrder(values: Float32Array, shape: readonly number[]): Float32Array {
  return shape.length === 4 ? toOhwi(values, fourAxes(fileShape(shape))) : values;
}
