// The body that ResNet and WRN share: stages of blocks of two layers in the order of Bi-Real net (Liu et al. 2018), one
// shortcut per binary convolution (README.md here). Names are torchvision's.

import { BitswarmError } from "../../base/errors.ts";
import type { ActivationKind, Graph, NodeId, Shape } from "../graph.ts";
import { behindNorm, type Method } from "../methods/method.ts";
import { outputLength } from "../window.ts";
import { graphOfOne, type NetworkIo } from "./model.ts";

export interface Stem {
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
  readonly maxpool: boolean;
}

/** 3×3, for images of 28 or 32 pixels. */
export const smallStem: Stem = { kernel: 3, stride: 1, padding: 1, maxpool: false };
/** 7×7 with stride 2, then max-pool, for images of 224 pixels. */
export const largeStem: Stem = { kernel: 7, stride: 2, padding: 3, maxpool: true };

export interface ResidualOptions {
  readonly stem: Stem;
  /** Channels of the stem. */
  readonly stemWidth: number;
  /** Channels of each stage. */
  readonly widths: readonly number[];
  /** Blocks of each stage, two convolutions a block. */
  readonly blocks: readonly number[];
  readonly activation: ActivationKind;
}

/** Widths and blocks of the stages whose parameters have these shapes. */
export function stagesOf(
  shapeOf: (name: string) => readonly number[] | undefined,
): { width: number; blocks: number }[] {
  const stages: { width: number; blocks: number }[] = [];
  for (;;) {
    const layer = `layer${stages.length + 1}`;
    const width = shapeOf(`${layer}.0.conv1.weight`)?.[0];
    if (width === undefined) return stages;
    let blocks = 1;
    while (shapeOf(`${layer}.${blocks}.conv1.weight`)) blocks++;
    stages.push({ width, blocks });
  }
}

/** Rows after the stem, then after each stage but the first, which halves them. */
function rowsOf({ kernel, stride, padding, maxpool }: Stem, stages: number, size: number): number[] {
  const first = outputLength(size, kernel, stride, padding);
  const rows = [maxpool ? outputLength(first, 3, 2, 1) : first];
  for (let stage = 1; stage < stages; stage++) rows.push(rows[stage - 1] / 2);
  return rows;
}

/** Zero pixels that are looked for on each side. */
const MOST_PAD = 32;

/** Body and shortcut halve a map alike where its rows are even. @throws GRAPH_INVALID saying what fits */
function requireHalves({ stem, widths }: ResidualOptions, { h, w }: Shape): void {
  const fits = (size: number) => rowsOf(stem, widths.length, size).every((rows) => rows >= 1 && Number.isInteger(rows));
  if (fits(h) && fits(w)) return;
  const rows = rowsOf(stem, widths.length, fits(h) ? w : h);
  const end = rows.findIndex((size) => size < 1 || !Number.isInteger(size));
  let pad = 1;
  while (pad <= MOST_PAD && !(fits(h + 2 * pad) && fits(w + 2 * pad))) pad++;
  const help =
    pad > MOST_PAD
      ? "Crop or pad the images, or give model.widths fewer stages"
      : `Raise data.pad by ${pad}, for ${h + 2 * pad}×${w + 2 * pad}`;
  throw new BitswarmError(
    "GRAPH_INVALID",
    `each of ${widths.length} stages but the first halves its map, and ${h}×${w} images come to ${rows.slice(0, end).join(", ")} rows, which cannot be halved. ${help}`,
  );
}

/**
 * Stem, then each layer h ← activation(BN(body(h)) + shortcut(h)), then the mean over positions, and the head. A method
 * whose block has its norm before the body: h ← activation(body(BN(h)) + shortcut(h)), and one more norm and activation
 * at the end.
 */
export function residualNetwork(options: ResidualOptions, io: NetworkIo, method: Method): Graph {
  const { stem, stemWidth, widths, blocks, activation } = options;
  const order = method.block;
  const afterSum = order.activation === "model" ? activation : order.activation;
  const g = graphOfOne(io);
  requireHalves(options, g.shape(g.input));

  const shortcut = (name: string, from: NodeId, out: number, stride: number): NodeId => {
    if (stride === 1 && g.shape(from).c === out) return from;
    const pool = { op: "pool", kind: "avg", input: from, kernel: 2, stride: 2, padding: 0 } as const;
    const pooled = stride === 1 ? from : g.add(pool);
    const conv = { name: `${name}.downsample.0`, input: pooled, out, kernel: 1, stride: 1, padding: 0 };
    return g.add({ op: "batchnorm", name: `${name}.downsample.1`, input: g.add({ op: "conv", ...conv }) });
  };
  const layer = (block: string, index: number, from: NodeId, out: number, stride: number): NodeId => {
    const name = `${block}.conv${index}`;
    const normalised = (input: NodeId) => g.add({ op: "batchnorm", name: `${block}.bn${index}`, input });
    const window = { name, out, kernel: 3, stride, padding: 1 };
    const first = order.norm === "before";
    const body = method.body(g, { ...window, input: first ? normalised(from) : from });
    const map = behindNorm(method, g, { name }, first ? body : normalised(body));
    g.compare(name, map);
    const sum = g.add({ op: "add", input: map, other: shortcut(block, from, out, stride) });
    return g.activation(afterSum, `${block}.prelu${index}`, sum);
  };

  const { kernel, stride, padding } = stem;
  let h = g.add({ op: "conv", name: "conv1", input: g.input, out: stemWidth, kernel, stride, padding });
  h = g.add({ op: "batchnorm", name: "bn1", input: h });
  h = g.activation(activation, "prelu1", h);
  if (stem.maxpool) h = g.add({ op: "pool", kind: "max", input: h, kernel: 3, stride: 2, padding: 1 });
  widths.forEach((width, stage) => {
    for (let b = 0; b < blocks[stage]; b++) {
      const block = `layer${stage + 1}.${b}`;
      h = layer(block, 1, h, width, stage > 0 && b === 0 ? 2 : 1);
      h = layer(block, 2, h, width, 1);
    }
  });
  if (order.norm === "before") {
    h = g.add({ op: "batchnorm", name: "bn2", input: h });
    h = g.activation(activation, "prelu2", h);
  }
  h = g.add({ op: "globalpool", input: h });
  return g.build(io.head(g, h));
}
