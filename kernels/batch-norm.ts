// Batch normalisation over [rows][channels] (Ioffe & Szegedy 2015), PyTorch's conventions; statistics never as E[x²] − E[x]².
import { columnReduce, rowBlocks } from "./column-reduce.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import type { Kernel, KernelSequence } from "./kernel.ts";

interface Columns {
  readonly rows: number;
  readonly channels: number;
}

/** Mean and M2 = Σ(x − mean)² of every row block, in two passes, → scratch [2][blocks][channels]. */
function blockStatistics(o: Columns, blocks: number, length: number): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  return kernel({
    label: `batchNorm block statistics ${o.rows}x${o.channels}`,
    constants: { ROWS: o.rows, COLUMNS: o.channels / width, BLOCKS: blocks, LENGTH: length },
    storage: [read("x", type), readWrite("scratch", type)],
    items: (blocks * o.channels) / width,
    body: `
let channel = index % COLUMNS;
let block = index / COLUMNS;
let start = block * LENGTH;
let end = min(ROWS, start + LENGTH);
var total = ${type}();
for (var row = start; row < end; row++) { total += x[row * COLUMNS + channel]; }
let center = total / f32(end - start);
var squares = ${type}();
var rest = ${type}();
for (var row = start; row < end; row++) {
  let d = x[row * COLUMNS + channel] - center;
  rest += d;
  squares += d * d;
}
rest /= f32(end - start);
scratch[index] = center + rest;
scratch[BLOCKS * COLUMNS + index] = squares - rest * rest * f32(end - start);`,
  });
}

/** Blocks → mean, invstd, unbiased variance: Chan, Golub & LeVeque's combination, itself in two passes. */
function combineStatistics(o: Columns & { readonly eps: number }, blocks: number, length: number): Kernel {
  return kernel({
    label: `batchNorm statistics ${o.rows}x${o.channels}`,
    constants: { ROWS: o.rows, CHANNELS: o.channels, BLOCKS: blocks, LENGTH: length },
    floats: { EPS: o.eps },
    storage: [read("scratch"), readWrite("mean"), readWrite("invstd"), readWrite("variance")],
    items: o.channels,
    body: `
let origin = scratch[index];
var shift = 0.0;
for (var block = 0u; block < BLOCKS; block++) {
  let count = f32(min(ROWS, (block + 1u) * LENGTH) - block * LENGTH);
  shift += count * (scratch[block * CHANNELS + index] - origin);
}
let center = origin + shift / f32(ROWS);
var squares = 0.0;
for (var block = 0u; block < BLOCKS; block++) {
  let count = f32(min(ROWS, (block + 1u) * LENGTH) - block * LENGTH);
  let d = scratch[block * CHANNELS + index] - center;
  squares += scratch[(BLOCKS + block) * CHANNELS + index] + count * d * d;
}
squares = max(squares, 0.0);
mean[index] = center;
invstd[index] = 1.0 / sqrt(squares / f32(ROWS) + EPS);
variance[index] = squares / f32(max(ROWS - 1u, 1u));`,
  });
}

/**
 * y = (x − mean)·invstd·weight + bias with the batch's own statistics. x, y f32 [rows][channels]; weight, bias, mean,
 * invstd, variance f32 [channels]; variance is unbiased (divisor max(rows − 1, 1)), for the running statistics.
 */
export function batchNormForward(o: Columns & { readonly eps: number }): KernelSequence {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  const { blocks, length } = rowBlocks(o.rows, o.channels / width);
  const apply = kernel({
    label: `batchNorm apply ${o.rows}x${o.channels}`,
    constants: { COLUMNS: o.channels / width },
    storage: [...["x", "weight", "bias", "mean", "invstd"].map((name) => read(name, type)), readWrite("y", type)],
    items: (o.rows * o.channels) / width,
    body: `
let channel = index % COLUMNS;
y[index] = (x[index] - mean[channel]) * invstd[channel] * weight[channel] + bias[channel];`,
  });
  return {
    kernels: [blockStatistics(o, blocks, length), combineStatistics(o, blocks, length), apply],
    scratchBytes: 8 * blocks * o.channels,
  };
}

/** y = (x − runningMean)/√(runningVar + eps)·weight + bias; shapes as in batchNormForward. */
export function batchNormEval(o: Columns & { readonly eps: number }): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  return kernel({
    label: `batchNormEval ${o.rows}x${o.channels}`,
    constants: { COLUMNS: o.channels / width },
    floats: { EPS: o.eps },
    storage: [
      ...["x", "weight", "bias", "runningMean", "runningVar"].map((name) => read(name, type)),
      readWrite("y", type),
    ],
    items: (o.rows * o.channels) / width,
    body: `
let channel = index % COLUMNS;
let scale = weight[channel] / sqrt(runningVar[channel] + EPS);
y[index] = (x[index] - runningMean[channel]) * scale + bias[channel];`,
  });
}

/**
 * Gradients of batchNormForward: dweight = Σ dy·x̂, dbias = Σ dy, dx = weight·invstd·(dy − dbias/rows − x̂·dweight/rows).
 * dy, x, dx f32 [rows][channels]; the others f32 [channels].
 */
export function batchNormBackward(o: Columns & { readonly accumulate: boolean }): KernelSequence {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  const sums = columnReduce({
    label: "batchNormBackward",
    rows: o.rows,
    channels: o.channels,
    storage: (t) => ["dy", "x", "mean", "invstd"].map((name) => read(name, t)),
    setup: "let center = mean[channel];\nlet scale = invstd[channel];",
    each: "let g = dy[at];\ndweightSum += g * ((x[at] - center) * scale);\ndbiasSum += g;",
    outputs: ["dweight", "dbias"],
  });
  const apply = kernel({
    label: `batchNormBackward apply ${o.rows}x${o.channels}`,
    constants: { COLUMNS: o.channels / width },
    floats: { ROWS: o.rows },
    storage: [
      ...["dy", "x", "weight", "mean", "invstd"].map((name) => read(name, type)),
      readWrite("dx", type),
      ...["dweight", "dbias"].map((name) => read(name, type)),
    ],
    items: (o.rows * o.channels) / width,
    body: `
let channel = index % COLUMNS;
let scale = invstd[channel];
let normal = (x[index] - mean[channel]) * scale;
dx[index] ${o.accumulate ? "+=" : "="} weight[channel] * scale * (dy[index] - dbias[channel] / ROWS - normal * (dweight[channel] / ROWS));`,
  });
  return { kernels: [...sums.kernels, apply], scratchBytes: sums.scratchBytes };
}
