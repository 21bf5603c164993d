// The loop over the places and samples that a weight gradient sums over, as WGSL.
import type { WindowShape } from "../../../shared/model/window.ts";
import { range } from "../../text/range.ts";
import { placeOfGroup } from "../../text/window-loops.ts";

/**
 * Declares the output positions that a weight gradient sums over: place p, of `height`·`width`, is (`oy_first` + p /
 * width, `ox_first` + p % width). They are those whose pixel at tap (`ky`, `kx`) lies in the image, so nothing is
 * masked; or all, for `gathered` columns, which hold many taps. Reads windowConstants, and `ky`, `kx` unless
 * `gathered`; declares `oy_first`, `ox_first`, `height`, `width`.
 */
export function declarePlaces(gathered: boolean): string {
  if (gathered) return "let oy_first = 0u;\nlet ox_first = 0u;\nlet height = OH;\nlet width = OW;";
  return ["y", "x"]
    .map((axis) => {
      const [size, outputs, length] = axis === "y" ? ["H", "OH", "height"] : ["W", "OW", "width"];
      return `
let o${axis}_first = (max(PADDING, k${axis}) - k${axis} + STRIDE - 1u) / STRIDE;
let o${axis}_end = min(${outputs}, (${size} + PADDING - min(k${axis}, ${size} + PADDING) + STRIDE - 1u) / STRIDE);
let ${length} = max(o${axis}_end, o${axis}_first) - o${axis}_first;`;
    })
    .join("");
}

/** Samples whose operands wait in registers for the sums that they are added to; more would be too many for a GPU. */
const TOGETHER = 4;

/**
 * The turns of slice `slice` of a weight gradient (weightGradientSlices), `samples` a turn, BLOCKS turns a place and
 * LENGTH a slice: `dy_base_k` and `pixel_k` are those of the samples that go together, `present_k` says whether there
 * is one, where `whole` is false. Places are counted, not divided: a software adapter divides lane by lane. Reads
 * `slice`, BLOCKS, LENGTH, DY_STRIDE, windowConstants, and `ky`, `kx` unless it gathers; declares for the statements
 * `oy`, `ox`, `y0`, `x0`, `sample_k`, `present_k`, `dy_base_k`, `pixel_k`.
 */
export function eachTurn(o: {
  readonly samples: number;
  readonly whole: boolean;
  readonly gather: boolean;
  readonly shape: WindowShape;
  readonly atPosition: string;
  /** Statements of so many samples. */
  readonly statements: (samples: number) => string;
}): string {
  const { samples, whole, gather, shape } = o;
  const pixel = (k: number) => {
    const place = `(sample_${k} * H + y0) * W + x0`;
    return shape.groups === undefined ? place : placeOfGroup(shape, `(${place})`);
  };
  const declare = (k: number, sample: string) => `
${whole ? `let sample_${k} = ${sample};` : `let present_${k} = ${sample} < N;\nlet sample_${k} = min(${sample}, N - 1u);`}
let dy_base_${k} = ${placeOfGroup(shape, `((sample_${k} * OH + oy) * OW + ox)`)} * DY_STRIDE;
let pixel_${k} = ${pixel(k)};`;
  const together = (first: number, count: number) => `{
${range(count)
  .map((k) => declare(k, `first + ${first + k}u`))
  .join("")}
${o.statements(count)}
}`;
  const stretches = range(Math.ceil(samples / TOGETHER)).map((i) =>
    together(TOGETHER * i, Math.min(TOGETHER, samples - TOGETHER * i)),
  );
  return `${declarePlaces(gather)}
let turn_first = slice * LENGTH;
let turn_end = min(height * width * BLOCKS, turn_first + LENGTH);
var block = turn_first % BLOCKS;
var row = (turn_first / BLOCKS) / width;
var column = (turn_first / BLOCKS) % width;
for (var turn = turn_first; turn < turn_end; turn++) {
  let first = block * ${samples}u;
  let oy = oy_first + row;
  let ox = ox_first + column;
  let y0 = oy * STRIDE - PADDING${gather ? "" : " + ky"};
  let x0 = ox * STRIDE - PADDING${gather ? "" : " + kx"};
  ${o.atPosition}
  ${stretches.join("\n")}
  let place_ends = block + 1u == BLOCKS;
  let row_ends = place_ends & (column + 1u == width);
  block = select(block + 1u, 0u, place_ends);
  column = select(column + select(0u, 1u, place_ends), 0u, row_ends);
  row += select(0u, 1u, row_ends);
}`;
}
