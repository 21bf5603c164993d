// Gradients of a normalisation with its epilogue, in two passes over the map and none between: sums over the batch,
// then dx.

import { combineSums } from "../text/column-reduce.ts";
import { columnRows } from "../text/column-rows.ts";
import { kernel, read, readWrite, type Storage, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel, KernelSequence } from "../text/kernel.ts";
import { pointwise } from "./activation.ts";
import { describeEpilogue, type Epilogue } from "./normalise.ts";
import { blockConstants, describeMap, locateBlock, type MapShape, sampleBlocks } from "./sample-blocks.ts";

/** The sample's mean of the normalised map has a gradient of its own, dPooled f32 [n][channels]. */
interface Pooled {
  readonly pooled: boolean;
}

/**
 * First pass, for v = (x − mean)·scale + bias (+ shortcut) and y = activation(v): dy becomes g = dy·activation'(v),
 * which is the shortcut's gradient (without an activation it is that already, and is only read); with dbn = g +
 * dPooled/positions, dbias = Σ dbn, dweight = Σ dbn·x̂, and for prelu dslope = Σ v·dy where v ≤ 0. dy, x, shortcut f32
 * [n][positions][channels], norm f32 [4][channels], slope and the sums f32 [channels].
 */
export function normaliseBackwardSums(o: MapShape & Epilogue & Pooled): KernelSequence {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  const { blocks } = sampleBlocks(o);
  const { activation } = o;
  const active = activation !== "none";
  const prelu = o.activation === "prelu";
  const outputs = ["dbias", "dweight", ...(prelu ? ["dslope"] : [])];
  const storage: Storage[] = [
    active ? readWrite("dy", type) : read("dy", type),
    read("x", type),
    read("norm", type),
    ...(prelu ? [read("slope", type)] : []),
    ...(active && o.shortcut ? [read("shortcut", type)] : []),
    ...(o.pooled ? [read("dPooled", type)] : []),
    readWrite("scratch", type),
  ];
  const through = active
    ? `let v = d * scale + bias${o.shortcut ? " + shortcut[at]" : ""};
  let passed = ${pointwise(activation, "slope_of").gradient};
  dy[at] = passed;${prelu ? "\n  dslopeSum += select(v * g, V(), v > V());" : ""}`
    : "let passed = g;";
  const partial = kernel({
    label: `normaliseBackward sums ${describeEpilogue(o)} ${describeMap(o)}`,
    constants: blockConstants(o),
    declarations: `alias V = ${type};`,
    storage,
    items: (blocks * o.channels) / width,
    body: `
${locateBlock}
let center = norm[channel];
let invstd = norm[COLUMNS + channel];
${active ? "let scale = norm[2u * COLUMNS + channel];\nlet bias = norm[3u * COLUMNS + channel];" : ""}
${prelu ? "let slope_of = slope[channel];" : ""}
${o.pooled ? "let share = dPooled[sample * COLUMNS + channel] / f32(POSITIONS);" : ""}
${outputs.map((name) => `var ${name}Sum = V();`).join("\n")}
for (var row = start; row < end; row++) {
  let at = row * COLUMNS + channel;
  let g = dy[at];
  let d = x[at] - center;
  ${through}
  dbiasSum += passed;
  dweightSum += ${o.pooled ? "(passed + share)" : "passed"} * (d * invstd);
}
${o.pooled ? "dbiasSum += f32(end - start) * share;" : ""}
${outputs.map((name, i) => `scratch[(${i}u * BLOCKS + block) * COLUMNS + channel] = ${name}Sum;`).join("\n")}`,
  });
  const combine = combineSums("normaliseBackward", outputs, blocks, o.channels);
  return { kernels: [partial, combine], scratchBytes: 4 * outputs.length * blocks * o.channels };
}

/** Where the second pass leaves dx: over x itself, in a tensor of its own, or added to one. */
export type NormTarget = "in place" | "fresh" | "accumulate";

/**
 * Second pass: dx = scale·(dbn − dbias/rows − x̂·dweight/rows) with the first pass's g and sums. Bindings g, x (which
 * becomes dx where `target` is in place), norm, dbias, dweight, (dPooled), (dx).
 */
export function normaliseBackwardInput(o: MapShape & Pooled & { readonly target: NormTarget }): Kernel {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  const columns = o.channels / width;
  const rows = o.n * o.positions;
  const inPlace = o.target === "in place";
  const store = inPlace ? "x[at] =" : o.target === "fresh" ? "dx[at] =" : "dx[at] +=";
  return kernel({
    label: `normaliseBackward input ${o.target} ${describeMap(o)}`,
    constants: { COLUMNS: columns, POSITIONS: o.positions },
    floats: { ROWS: rows },
    storage: [
      read("g", type),
      inPlace ? readWrite("x", type) : read("x", type),
      ...["norm", "dbias", "dweight", ...(o.pooled ? ["dPooled"] : [])].map((name) => read(name, type)),
      ...(inPlace ? [] : [readWrite("dx", type)]),
    ],
    ...columnRows(
      rows,
      columns,
      `let center = norm[channel];
let invstd = norm[COLUMNS + channel];
let scale = norm[2u * COLUMNS + channel];
let shift = dbias[channel] / ROWS;
let slant = dweight[channel] / ROWS;`,
      `let dbn = g[at]${o.pooled ? " + dPooled[at / (POSITIONS * COLUMNS) * COLUMNS + channel] / f32(POSITIONS)" : ""};
let normal = (x[at] - center) * invstd;
${store} scale * (dbn - shift - normal * slant);`,
    ),
  });
}
