// What a normalisation over [n][positions][channels] is told by a map's statistics: blocks that lie in one sample give the
// batch's moments and, as a by-product, the mean of each sample.
import { kernel, read, readWrite, vectorType, vectorWidth } from "./dispatch.ts";
import type { Kernel } from "./kernel.ts";

/** A map [n][positions][channels]. */
export interface MapShape {
  readonly n: number;
  readonly positions: number;
  readonly channels: number;
}

/** Each sample's positions are cut into `parts` of `length`, the last may be shorter. */
export interface SampleBlocks {
  readonly parts: number;
  readonly length: number;
  /** n · parts. */
  readonly blocks: number;
}

/** Blocks enough to give narrow maps' work to every core, and not more than one invocation adds in a moment. */
export function sampleBlocks({ n, positions, channels }: MapShape): SampleBlocks {
  const columns = channels / vectorWidth(channels);
  const wanted = Math.min(Math.ceil(4096 / columns), Math.ceil((n * positions) / 32), 256);
  const length = Math.ceil(positions / Math.min(positions, Math.max(1, Math.ceil(wanted / n))));
  const parts = Math.ceil(positions / length);
  return { parts, length, blocks: n * parts };
}

/** Elements of `blocks`, f32 [2][n·parts][channels]: each block's mean, then its M2 = Σ(x − mean)². */
export function blockElements(o: MapShape): number {
  return 2 * sampleBlocks(o).blocks * o.channels;
}

/** Constants by which a kernel walks the blocks of a map, vec4 columns where `channels % 4 == 0`. */
export function blockConstants(o: MapShape): Readonly<Record<string, number>> {
  const { parts, length, blocks } = sampleBlocks(o);
  return {
    POSITIONS: o.positions,
    COLUMNS: o.channels / vectorWidth(o.channels),
    PARTS: parts,
    LENGTH: length,
    BLOCKS: blocks,
  };
}

/** WGSL: `channel`, `block`, `sample`, and the block's rows [start, end) of an invocation per block and column. */
export const locateBlock = `let channel = index % COLUMNS;
let block = index / COLUMNS;
let sample = block / PARTS;
let position = (block % PARTS) * LENGTH;
let start = sample * POSITIONS + position;
let end = sample * POSITIONS + min(POSITIONS, position + LENGTH);`;

export function describeMap({ n, positions, channels }: MapShape): string {
  return `${n}x${positions}x${channels}`;
}

/**
 * x f32 [n][positions][channels] → blocks (see blockElements), in two passes over the data, so never as E[x²] − E[x]².
 * `squares: false` leaves the M2 half as it is.
 */
export function blockStatistics(o: MapShape & { readonly squares: boolean }): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  const squares = `
var squares = ${type}();
var rest = ${type}();
for (var row = start; row < end; row++) {
  let d = x[row * COLUMNS + channel] - center;
  rest += d;
  squares += d * d;
}
rest /= f32(end - start);
blocks[index] = center + rest;
blocks[BLOCKS * COLUMNS + index] = squares - rest * rest * f32(end - start);`;
  return kernel({
    label: `${o.squares ? "block statistics" : "block means"} ${describeMap(o)}`,
    constants: blockConstants(o),
    storage: [read("x", type), readWrite("blocks", type)],
    items: (sampleBlocks(o).blocks * o.channels) / width,
    body: `
${locateBlock}
var total = ${type}();
for (var row = start; row < end; row++) { total += x[row * COLUMNS + channel]; }
let center = total / f32(end - start);${o.squares ? squares : "\nblocks[index] = center;"}`,
  });
}

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
