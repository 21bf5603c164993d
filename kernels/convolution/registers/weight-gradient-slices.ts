// How the long sum of a weight gradient is cut into slices, by the shape alone, and how their partial sums are added.
import { groupCount, outputHeight, outputWidth, type WindowShape } from "../../../shared/model/window.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "../../text/dispatch.ts";
import type { Kernel } from "../../text/kernel.ts";
import { range } from "../../text/range.ts";
import { foldPositions } from "../../text/window-loops.ts";

/**
 * How the sum of a weight gradient is cut, by the shape alone, so that every tiling adds in the same order. A turn is a
 * pair (place, block): `places` are output positions, row-major, and `samples` consecutive samples make a block. Turn t
 * is place ⌊t / blocks⌋ and block t mod blocks, which begins with sample `samples`·(t mod blocks). Slice i sums turns
 * [i·length, (i + 1)·length) in order, samples ascending in each; slices are added in ascending order. Per tap only the
 * places that `declarePlaces` numbers exist, so the last slices of a tap at the border may be short or empty.
 */
export interface WeightGradientSlices {
  /** Samples of a block; the last block of a place may lack some. */
  readonly samples: number;
  /** Blocks of a place: ⌈n / samples⌉. */
  readonly blocks: number;
  /** Turns of a slice. */
  readonly length: number;
  readonly slices: number;
}

/** At most 8, with the least left over. */
function samplesABlock(n: number): number {
  const padded = (samples: number) => Math.ceil(n / samples) * samples;
  const sizes = range(9).filter((samples) => samples >= Math.min(n, 4));
  return sizes.reduceRight((best, samples) => (padded(samples) < padded(best) ? samples : best), 8);
}

/** Enough slices to occupy a GPU with workgroups of 64 × 64 sums, each long enough to repay its partial result. */
export function weightGradientSlices(shape: WindowShape, perTap: boolean): WeightGradientSlices {
  const s = foldPositions(shape);
  const taps = s.kernel * s.kernel;
  const samples = samplesABlock(s.n);
  const blocks = Math.ceil(s.n / samples);
  const turns = outputHeight(s) * outputWidth(s) * blocks;
  const columns = perTap ? s.in : taps * s.in;
  const squares = groupCount(s) * Math.ceil(s.out / 64) * Math.ceil(columns / 64) * (perTap ? taps : 1);
  const wanted = Math.max(1, Math.min(Math.ceil(128 / squares), Math.ceil(turns / 16)));
  const length = Math.ceil(turns / wanted);
  return { samples, blocks, length, slices: Math.ceil(turns / length) };
}

/** scratch [slices][size] → dw [size], added in order. */
export function addSlices(label: string, size: number, slices: number): Kernel {
  const width = vectorWidth(size);
  const type = vectorType(width);
  return kernel({
    label: `${label} add ${slices}x${size}`,
    constants: { SIZE: size / width, SLICES: slices },
    storage: [read("scratch", type), readWrite("dw", type)],
    items: size / width,
    body: `
var total = ${type}();
for (var i = 0u; i < SLICES; i++) { total += scratch[i * SIZE + index]; }
dw[index] = total;`,
  });
}
