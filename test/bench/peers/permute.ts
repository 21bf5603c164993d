// Axis orders: ours, TensorFlow's and JAX's, converted on the host before and after anything is timed.

/** The array with axis `order[i]` of `shape` at place i. */
export function permute(
  values: Float32Array,
  shape: readonly number[],
  order: readonly number[],
): Float32Array<ArrayBuffer> {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const lengths = order.map((axis) => shape[axis]);
  const steps = order.map((axis) => strides[axis]);
  const result = new Float32Array(values.length);
  const index = new Array<number>(order.length).fill(0);
  let from = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = values[from];
    for (let axis = order.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++index[axis] < lengths[axis]) break;
      from -= steps[axis] * lengths[axis];
      index[axis] = 0;
    }
  }
  return result;
}

/** `permute`'s inverse: values that lie in the order `order` of `shape` come back to `shape`. */
export function unpermute(
  values: Float32Array,
  shape: readonly number[],
  order: readonly number[],
): Float32Array<ArrayBuffer> {
  const inverse = order.map((_, axis) => order.indexOf(axis));
  return permute(
    values,
    order.map((axis) => shape[axis]),
    inverse,
  );
}
