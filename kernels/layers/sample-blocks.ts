// The statistics of a map [n][positions][channels] by blocks that lie in one sample: they give the batch's moments and,
// as a by-product, the mean of each sample.
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";

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
