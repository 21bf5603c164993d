// What a normalisation is told of a map: its norm by the batch's statistics or the running ones, and the mean of each
// sample.
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { blockConstants, describeMap, type MapShape } from "./sample-blocks.ts";

/** Rows of a norm, f32 [4][channels]: mean, 1/√(variance + eps), scale = weight/√(variance + eps), bias. */
export const NORM_ROWS = 4;

/**
 * blocks → norm with the batch's own moments, and these: batchMean, batchVariance f32 [channels], the variance unbiased
 * (divisor max(rows − 1, 1)) for the running statistics. Chan, Golub & LeVeque's combination, itself in two passes.
 */
export function batchNorm(o: MapShape & { readonly eps: number }): Kernel {
  const rows = o.n * o.positions;
  return kernel({
    label: `batchNorm ${describeMap(o)}`,
    constants: { ...blockConstants(o), CHANNELS: o.channels, ROWS: rows },
    floats: { EPS: o.eps },
    declarations: "fn rows_of(block: u32) -> f32 { return f32(min(LENGTH, POSITIONS - (block % PARTS) * LENGTH)); }",
    storage: [
      ...["blocks", "weight", "bias"].map((name) => read(name)),
      ...["norm", "batchMean", "batchVariance"].map((name) => readWrite(name)),
    ],
    items: o.channels,
    body: `
let origin = blocks[index];
var shift = 0.0;
for (var block = 0u; block < BLOCKS; block++) {
  shift += rows_of(block) * (blocks[block * CHANNELS + index] - origin);
}
let center = origin + shift / f32(ROWS);
var squares = 0.0;
for (var block = 0u; block < BLOCKS; block++) {
  let d = blocks[block * CHANNELS + index] - center;
  squares += blocks[(BLOCKS + block) * CHANNELS + index] + rows_of(block) * d * d;
}
squares = max(squares, 0.0);
let invstd = 1.0 / sqrt(squares / f32(ROWS) + EPS);
norm[index] = center;
norm[CHANNELS + index] = invstd;
norm[2u * CHANNELS + index] = weight[index] * invstd;
norm[3u * CHANNELS + index] = bias[index];
batchMean[index] = center;
batchVariance[index] = squares / f32(max(ROWS - 1u, 1u));`,
  });
}

/** norm with the running statistics; weight, bias, runningMean, runningVar f32 [channels]. */
export function runningNorm(o: { readonly channels: number; readonly eps: number }): Kernel {
  return kernel({
    label: `runningNorm ${o.channels}`,
    constants: { CHANNELS: o.channels },
    floats: { EPS: o.eps },
    storage: [...["weight", "bias", "runningMean", "runningVar"].map((name) => read(name)), readWrite("norm")],
    items: o.channels,
    body: `
let invstd = 1.0 / sqrt(runningVar[index] + EPS);
norm[index] = runningMean[index];
norm[CHANNELS + index] = invstd;
norm[2u * CHANNELS + index] = weight[index] * invstd;
norm[3u * CHANNELS + index] = bias[index];`,
  });
}

/**
 * The normalised map's mean over each sample's positions, from means alone: blocks and norm → pooled f32 [n][channels].
 * The map itself need not exist.
 */
export function pooledNorm(o: MapShape): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  return kernel({
    label: `pooledNorm ${describeMap(o)}`,
    constants: blockConstants(o),
    storage: [read("blocks", type), read("norm", type), readWrite("pooled", type)],
    items: (o.n * o.channels) / width,
    body: `
let channel = index % COLUMNS;
let sample = index / COLUMNS;
let center = norm[channel];
var total = ${type}();
for (var part = 0u; part < PARTS; part++) {
  let count = f32(min(LENGTH, POSITIONS - part * LENGTH));
  total += count * (blocks[(sample * PARTS + part) * COLUMNS + channel] - center);
}
pooled[index] = total / f32(POSITIONS) * norm[2u * COLUMNS + channel] + norm[3u * COLUMNS + channel];`,
  });
}
