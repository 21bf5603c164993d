// SiamFC's AlexNet (Bertinetto et al. 2016) and its 1-bit form RB-SF (RBCN, section 4.4; README.md here): one network
// that sees exemplar and search alike, and a response of where the one is in the other.

import { z } from "zod";
import { BitswarmError } from "../../base/errors.ts";
import { type Graph, GraphBuilder, type NodeId } from "../graph.ts";
import { behindNorm, type Method } from "../methods/method.ts";
import { defineModel, type NetworkIo, width } from "./model.ts";

/** Layers from the second to this one can be binary. */
type Binary = "conv2-conv4" | "conv2-conv5";

export interface SiamFcOptions {
  /** Channels of conv1 … conv5; the paper's are 96-256-384-384-256. */
  readonly widths: readonly [number, number, number, number, number];
  /** Of conv2, conv4 and conv5. */
  readonly groups: number;
  readonly binary: Binary;
  readonly order: "rbcn" | "reference";
  readonly epsilon: number;
}

/** What the branches are called: nodes by their own names, parameters by the layer's. */
export const EXEMPLAR = "exemplar";
export const SEARCH = "search";

/** Window of each convolution; none is padded, so that a response depends on what is there alone. */
const LAYERS = [
  { name: "conv1", kernel: 11, stride: 2, grouped: false, pooled: true },
  { name: "conv2", kernel: 5, stride: 1, grouped: true, pooled: true },
  { name: "conv3", kernel: 3, stride: 1, grouped: false, pooled: false },
  { name: "conv4", kernel: 3, stride: 1, grouped: true, pooled: false },
  { name: "conv5", kernel: 3, stride: 1, grouped: true, pooled: false },
] as const;

/**
 * `rbcn`: conv → pool → BN → sign or PReLU, so that a sign sees what is centred; each norm behind a binary layer is
 * compared, of both branches by one discriminator. `reference`: conv → BN → ReLU → pool. The last has neither.
 */
export function siamFc(options: SiamFcOptions, io: NetworkIo, method: Method): Graph {
  const [exemplar, search, ...more] = io.inputs;
  if (!search || more.length > 0) {
    const names = io.inputs.map(({ name }) => name ?? "one").join(", ");
    throw new BitswarmError(
      "GRAPH_INVALID",
      `model.kind siamfc has two inputs, an exemplar and a search; the task gives ${names}: set task.kind=siamfc, or another model`,
    );
  }
  const { widths, groups, binary, order, epsilon } = options;
  if (order === "reference" && method.binarizesInput) {
    throw new BitswarmError(
      "GRAPH_INVALID",
      `model.order reference has a ReLU before each layer, behind which every sign of ${method.kind} is +1: set model.order=rbcn, or a method of full-precision activations`,
    );
  }
  const g = new GraphBuilder(exemplar, search);
  const last = LAYERS.length - 1;
  const { activation } = method.block;
  const beforeSign = activation === "model" ? "identity" : activation;

  const branch = (prefix: string, from: NodeId): NodeId => {
    const named = (name: string) => ({ name: `${prefix}.${name}`, weights: name });
    const isBinary = (layer: number) => layer > 0 && (layer < last || binary === "conv2-conv5");
    const half = (input: NodeId) => g.add({ op: "pool", kind: "max", input, kernel: 3, stride: 2, padding: 0 });
    let h = from;
    for (const [i, { name, kernel, stride, grouped, pooled }] of LAYERS.entries()) {
      const shared = grouped && groups > 1 ? { groups } : {};
      const layer = { ...named(name), input: h, out: widths[i], kernel, stride, padding: 0, ...shared };
      h = isBinary(i) ? method.body(g, layer) : g.add({ op: "conv", ...layer });
      if (i === last) break;
      if (pooled && order === "rbcn") h = half(h);
      h = g.add({ op: "batchnorm", ...named(`bn${i + 1}`), input: h, epsilon });
      if (order === "reference") {
        h = g.add({ op: "activation", kind: "relu", ...named(`relu${i + 1}`), input: h });
        if (pooled) h = half(h);
        continue;
      }
      if (isBinary(i)) {
        h = behindNorm(method, g, named(name), h);
        g.compare(`${prefix}.${name}`, h, name);
      }
      const kind = isBinary(i + 1) && method.binarizesInput ? beforeSign : "prelu";
      if (kind !== "identity") h = g.add({ op: "activation", kind, ...named(`prelu${i + 1}`), input: h });
    }
    return h;
  };
  // The exemplar's first: in that order running statistics take both.
  return g.build(io.head(g, branch(EXEMPLAR, g.inputs[0]), branch(SEARCH, g.inputs[1])));
}

const schema = z.strictObject({
  kind: z.literal("siamfc"),
  widths: z
    .tuple([width, width, width, width, width])
    .default([96, 256, 384, 384, 256])
    .describe("channels of conv1 to conv5"),
  groups: z.number().int().min(1).max(64).default(2).describe("of conv2, conv4 and conv5; 1 where a method has none"),
  binary: z.enum(["conv2-conv4", "conv2-conv5"]).default("conv2-conv4").describe("layers of the method"),
  order: z
    .enum(["rbcn", "reference"])
    .default("rbcn")
    .describe(
      "conv, pool, norm, then sign or PReLU; or, of full precision alone, conv, norm, ReLU, pool, as published",
    ),
  epsilon: z.number().min(1e-9).max(1).default(1e-5).describe("of batch norms; the published code has 1e-6"),
});

export const siamFcModel = defineModel({
  kind: "siamfc",
  schema,
  check: ({ widths, groups }) => {
    const wrong = widths.find((channels) => channels % groups !== 0);
    if (wrong === undefined) return [];
    return [`model.widths: must be multiples of model.groups, ${groups}; got ${wrong}`];
  },
  guess: (shapeOf) => {
    const shapes = LAYERS.map(({ name }) => shapeOf(`${name}.weight`));
    const [first, second] = shapes;
    const groups = first && second ? first[0] / second[1] : 0;
    if (shapes.some((shape) => !shape) || !Number.isInteger(groups) || groups < 1) return undefined;
    return {
      kind: "siamfc" as const,
      widths: shapes.map((shape) => shape?.[0]) as [number, number, number, number, number],
      groups,
    };
  },
  build: siamFc,
});
