// The order of axes: files hold PyTorch's (NCHW, OIHW), the GPU wants channels last (NHWC, OHWI).

/** PyTorch's order: [n, c, h, w] of activations, [o, i, h, w] of weights. The second axis is the one that moves. */
export type Shape4 = readonly [number, number, number, number];

function requireElements(data: Float32Array, [a, b, c, d]: Shape4): void {
  if (data.length !== a * b * c * d) {
    throw new RangeError(`axes: [${[a, b, c, d]}] has ${a * b * c * d} elements, got ${data.length}`);
  }
}

function channelsLast(data: Float32Array, shape: Shape4): Float32Array<ArrayBuffer> {
  requireElements(data, shape);
  const [outer, channels, height, width] = shape;
  const area = height * width;
  const result = new Float32Array(data.length);
  let from = 0;
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      let to = o * channels * area + c;
      for (let i = 0; i < area; i++, to += channels) result[to] = data[from++]!;
    }
  }
  return result;
}

function channelsFirst(data: Float32Array, shape: Shape4): Float32Array<ArrayBuffer> {
  requireElements(data, shape);
  const [outer, channels, height, width] = shape;
  const area = height * width;
  const result = new Float32Array(data.length);
  let to = 0;
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      let from = o * channels * area + c;
      for (let i = 0; i < area; i++, from += channels) result[to++] = data[from]!;
    }
  }
  return result;
}

/** [o][i][h][w] → [o][h][w][i]; `shape` is [o, i, h, w]. */
export function toOhwi(data: Float32Array, shape: Shape4): Float32Array<ArrayBuffer> {
  return channelsLast(data, shape);
}

/** [o][h][w][i] → [o][i][h][w]; `shape` is [o, i, h, w] here too. */
export function toOihw(data: Float32Array, shape: Shape4): Float32Array<ArrayBuffer> {
  return channelsFirst(data, shape);
}

/** [n][c][h][w] → [n][h][w][c]; `shape` is [n, c, h, w]. */
export function nchwToNhwc(data: Float32Array, shape: Shape4): Float32Array<ArrayBuffer> {
  return channelsLast(data, shape);
}

/** [n][h][w][c] → [n][c][h][w]; `shape` is [n, c, h, w] here too. */
export function nhwcToNchw(data: Float32Array, shape: Shape4): Float32Array<ArrayBuffer> {
  return channelsFirst(data, shape);
}
