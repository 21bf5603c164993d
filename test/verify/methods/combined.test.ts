// A case may combine any weights with any activations and outputs: each such layer is built of the product's nodes.

import { describe, expect, test } from "vitest";
import { type SafeTensor, tensorOf, writeSafetensors } from "../../../shared/base/safetensors.ts";
import { elementCount, networkManifest, sentEntries } from "../../../shared/model/manifest.ts";
import { quantizedConvOf } from "../method-cases.ts";
import { readOracleCase } from "../oracle-case.ts";
import { quantiseRuleOf } from "./activation.ts";
import { inputRule } from "./combined.ts";

const [N, OUT, IN, K, H, W] = [1, 3, 5, 3, 4, 6];

const weights: readonly { readonly method: string; readonly [option: string]: unknown }[] = [
  { method: "bnn" },
  { method: "bnn", open: true },
  { method: "xnor", gradient: "authors", centre: true },
  { method: "bireal", gradient: "code" },
  { method: "abc", bases: 2, scale: "layer" },
  { method: "abc", bases: 3, scale: "out" },
  { method: "lab" },
  { method: "ttq", threshold: 0.1 },
  { method: "inq", bits: 4, portion: 0.5 },
  { method: "dorefa", bits: 1 },
  { method: "dorefa", bits: 3 },
  { method: "uniform", bits: 3, bucket: "out", backward: "full" },
  { method: "points", points: 6, bucket: "layer" },
  ...["kernel", "layer", "out", "filter"].map((c) => ({ method: "mask", c })),
];
const activations = [
  { kind: "closed" },
  { kind: "open" },
  { kind: "bireal" },
  { kind: "bits", bits: 2 },
  { kind: "abc", bases: 3 },
  { kind: "identity" },
];
const outputs = [undefined, "box", "gamma"];

/** Made-up values, all of them other than 0 and ±1. */
function values(...shape: readonly number[]): SafeTensor {
  const data = Float32Array.from({ length: elementCount(shape) }, (_, i) => ((i * 37) % 19) / 11 - 0.8);
  return tensorOf(data, shape);
}

/** C's shape as a case has it, OIHW. */
const shapesOfC: Readonly<Record<string, readonly number[]>> = {
  kernel: [1, 1, K, K],
  layer: [1, 1, 1, 1],
  out: [OUT, 1, 1, 1],
  filter: [1, IN, K, K],
};

/** What of a case's file the layer is built of. */
function built(weight: (typeof weights)[number], activation: (typeof activations)[number], output: string | undefined) {
  const attributes = {
    ...{ n: N, out: OUT, in: IN, k: K, h: H, w: W, stride: 1, padding: 1 },
    ...{ weight, activation },
    ...(output === undefined ? {} : { output }),
  };
  const tensors: Record<string, SafeTensor> = {
    "in.x": values(N, IN, H, W),
    "in.weight": values(OUT, IN, K, K),
    "in.second": tensorOf(new Float32Array(OUT * IN * K * K).fill(0.01), [OUT, IN, K, K]),
    "in.positive": values(1),
    "in.negative": values(1),
    "in.frozen": tensorOf(new Int32Array(OUT * IN * K * K), [OUT, IN, K, K]),
    "in.points": tensorOf(Float32Array.of(0, 0.1, 0.3, 0.5, 0.8, 1), [6]),
    "in.c": values(...(shapesOfC[String(weight.c)] ?? [1])),
    "in.mask": values(OUT),
    "in.shift": values(3),
    "in.scale": values(3),
    "in.gamma_out": values(OUT),
    "in.gamma_h": values(H),
    "in.gamma_w": values(W),
  };
  const file = writeSafetensors(Object.entries(tensors), { op: "quantized_conv", attrs: JSON.stringify(attributes) });
  return quantizedConvOf(readOracleCase(file));
}

describe.each(weights)("weights %o", (weight) => {
  test.each(activations)("go with activations $kind, whatever becomes of the output", (activation) => {
    for (const output of outputs) {
      const { graph, of, parameters } = built(weight, activation, output);
      const rule = inputRule(graph);
      if (activation.kind === "identity") expect(rule).toBeUndefined();
      else expect(rule).toMatchObject({ ...quantiseRuleOf(activation) });
      const ops = graph.nodes.map(({ op }) => op);
      expect(ops.filter((op) => op === "inputscale")).toHaveLength(output === "box" ? 1 : 0);
      // Of a pruned layer's two, one has the masks.
      const gammas = (output === "gamma" ? 1 : 0) + (weight.method === "mask" ? 1 : 0);
      expect(ops.filter((op) => op === "gamma")).toHaveLength(gammas);
      for (const { name, shape } of sentEntries(networkManifest(graph)).entries) {
        expect(parameters.get(name), name).toHaveLength(elementCount(shape));
      }
      expect(of.layer.weight).toHaveLength(OUT * IN * K * K);
    }
  });
});

describe("a layer that its method offers", () => {
  test.each([
    [{ method: "bnn" }, { kind: "closed" }, undefined],
    [{ method: "bnn", open: true }, { kind: "open" }, "gamma"],
    [{ method: "xnor", gradient: "analytic" }, { kind: "open" }, "box"],
    [{ method: "xnor", gradient: "paper" }, { kind: "closed" }, undefined],
    [{ method: "bireal", gradient: "magnitude" }, { kind: "bireal" }, undefined],
    [{ method: "abc", bases: 2, scale: "out" }, { kind: "abc", bases: 3 }, undefined],
    [{ method: "lab" }, { kind: "identity" }, undefined],
    [{ method: "lab" }, { kind: "closed" }, undefined],
    [{ method: "ttq", threshold: 0.1 }, { kind: "bits", bits: 2 }, undefined],
    [{ method: "ttq", threshold: 0.1 }, { kind: "closed" }, undefined],
    [{ method: "inq", bits: 4, portion: 0.5 }, { kind: "identity" }, undefined],
    [{ method: "dorefa", bits: 2 }, { kind: "bits", bits: 2 }, undefined],
    [{ method: "uniform", bits: 3, bucket: "out", backward: "none" }, { kind: "identity" }, undefined],
    [{ method: "mask", c: "kernel" }, { kind: "bireal" }, undefined],
  ])("is its own body: %o with %o, %s", (weight, activation, output) => {
    const { graph, of } = built(weight, activation, output);
    expect(graph).toBe(of.graph);
  });
});
