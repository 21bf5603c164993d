// Methods whose weights are bit planes, or whose outputs have factors: each builds into the networks, makes companions
// of the sizes that its manifest says, and does with W what it says.
import { describe, expect, test } from "vitest";
import type { PluginOptions } from "../../../../shared/base/registry.ts";
import { rng } from "../../../../shared/base/rng.ts";
import type { GraphNode } from "../../../../shared/model/graph.ts";
import { elementCount } from "../../../../shared/model/manifest.ts";
import type { LatentLayer, Method } from "../../../../shared/model/methods/method.ts";
import { methods } from "../../../../shared/model/methods/methods.ts";
import type { NetworkIo } from "../../../../shared/model/networks/model.ts";
import { models } from "../../../../shared/model/networks/models.ts";
import { parseConfig } from "../../../../shared/run/config.ts";
import { buildNetworks } from "../../../../shared/run/networks.ts";

const gray = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };
const wrn = { kind: "wrn", depth: 10, widths: [4, 4, 8, 8] };
const lenet = { kind: "lenet", widths: [4, 8, 16] };

function studentOf(method: Record<string, unknown>, model: Record<string, unknown> = wrn) {
  // LAB takes nothing else; INQ has five stages.
  const optimizer = { latent: { kind: "adam" } };
  return buildNetworks(parseConfig({ method, model, optimizer, epochs: 5 }), gray).student;
}

function nodesOf<Op extends GraphNode["op"]>(method: Record<string, unknown>, op: Op) {
  return studentOf(method).graph.nodes.filter((node): node is Extract<GraphNode, { op: Op }> => node.op === op);
}

const variants: readonly Record<string, unknown>[] = [
  { kind: "dorefa" },
  { kind: "dorefa", weightBits: 3, activationBits: 32, gradientBits: 6 },
  { kind: "dorefa", weightBits: 32, activationBits: 4, blockOrder: "paper" },
  { kind: "abc" },
  { kind: "abc", weightBases: 5, activationBases: 1, scale: "out", blockOrder: "paper" },
  { kind: "polino" },
  { kind: "polino", bits: 2, bucket: "out", backward: "full" },
  { kind: "polino", points: true, pointCount: 5 },
  { kind: "xnorpp" },
  { kind: "xnorpp", axes: "out", keepAlpha: true, centre: true, blockOrder: "paper" },
  { kind: "xnorpp", weights: "real" },
  { kind: "rbcn-pruned" },
  { kind: "rbcn-pruned", maskPlace: "convolution" },
  { kind: "zhuang" },
  { kind: "lab" },
  { kind: "lab", activations: "sign", blockOrder: "paper" },
  { kind: "ttq" },
  { kind: "ttq", activations: "sign" },
  { kind: "ttq", activations: 3, blockOrder: "paper" },
  { kind: "inq" },
];

describe.each(variants)("%o", (method) => {
  const draw = rng(3);

  test.each([wrn, lenet])("in $kind, companions have the sizes that the manifest says, and signs are ±1", (model) => {
    const { latent, method: made } = studentOf(method, model);
    expect(latent.length).toBeGreaterThan(1);
    for (const { weight, companions } of latent) {
      const [out, kh, kw, input] = weight.shape;
      const known: Record<string, Float32Array> = {};
      const layer: LatentLayer = {
        shape: [out, kh, kw, input],
        weight: Float32Array.from({ length: elementCount(weight.shape) }, () => draw.normal()),
        companions: known,
      };
      const inOrder = Object.entries(companions).toSorted(
        ([, a], [, b]) => Number(a.role === "derived") - Number(b.role === "derived"),
      );
      for (const [name, entry] of inOrder) {
        const values = made.rule?.companion(name, layer);
        expect(values).toHaveLength(elementCount(entry.shape));
        if (entry.wire === "signs") expect(new Set(values?.map(Math.abs))).toEqual(new Set([1]));
        if (values) known[name] = values;
      }
      const gradient = Float64Array.from(layer.weight, () => draw.normal());
      const result = made.rule?.gradients(layer, gradient);
      expect(result?.weight.length ?? layer.weight.length).toBe(layer.weight.length);
      for (const [name, learned] of Object.entries(result?.learned ?? {})) {
        expect(learned).toHaveLength(known[name].length);
      }
    }
  });
});

test("DoReFa-Net's layers take k planes by q planes, and 32 bits mean floats", () => {
  const [conv] = nodesOf({ kind: "dorefa", weightBits: 3, activationBits: 4, gradientBits: 6 }, "qconv");
  expect(conv.weight).toEqual({ kind: "linear", planes: 3, scale: "layer" });
  const rules = nodesOf({ kind: "dorefa", activationBits: 4 }, "quantise").map(({ rule }) => rule);
  for (const rule of rules) expect(rule).toEqual({ kind: "bits", bits: 4 });
  expect(nodesOf({ kind: "dorefa", gradientBits: 6 }, "gradientbits")).toHaveLength(6);
  expect(nodesOf({ kind: "dorefa", activationBits: 32 }, "quantise")).toEqual([]);
  expect(nodesOf({ kind: "dorefa", weightBits: 32 }, "qconv")[0].weight).toEqual({ kind: "float" });
  expect(nodesOf({ kind: "dorefa" }, "gradientbits")).toEqual([]);
});

test("between 8 bits and 32 there are none", () => {
  expect(() => parseConfig({ method: { kind: "dorefa", weightBits: 9 } })).toThrow(/1 to 8, or 32/);
});

test("ABC-Net's activations begin with shifts around 0, as far apart as is said", () => {
  const { manifest } = studentOf({ kind: "abc", activationBases: 3, shiftApart: 0.5, startScale: 2 });
  const initial = (part: string) => manifest.entries.find(({ name }) => name.endsWith(`.input.${part}`))?.initial;
  expect(initial("shift")).toEqual({ kind: "values", values: [-0.5, 0, 0.5] });
  expect(initial("scale")).toEqual({ kind: "values", values: [2, 2, 2] });
});

test("TTQ's input is a map of floats, signs or bits; in its authors' order a ReLU stands before the convolution", () => {
  for (const { weight } of nodesOf({ kind: "ttq" }, "qconv")) expect(weight).toEqual({ kind: "ternary" });
  expect(nodesOf({ kind: "ttq" }, "quantise")).toEqual([]);
  expect(nodesOf({ kind: "ttq", activations: "sign" }, "quantise")[0].rule).toEqual({ kind: "sign", surrogate: "ste" });
  expect(nodesOf({ kind: "ttq", activations: 4 }, "quantise")[0].rule).toEqual({ kind: "bits", bits: 4 });
  const { graph } = studentOf({ kind: "ttq", blockOrder: "paper" });
  for (const node of graph.nodes) {
    if (node.op === "qconv") expect(graph.nodes[node.input]).toMatchObject({ op: "activation", kind: "relu" });
  }
});

test("XNOR-Net's K scales each sum by what its window saw, where that is asked for", () => {
  expect(nodesOf({ kind: "xnor" }, "inputscale")).toEqual([]);
  const { graph } = studentOf({ kind: "xnor", inputScale: true });
  const scales = graph.nodes.filter((node) => node.op === "inputscale");
  expect(scales).toHaveLength(6);
  for (const { input, other, kernel, stride, padding } of scales) {
    expect(graph.nodes[input]).toMatchObject({ op: "rbconv", input: other, kernel, stride, padding });
  }
});

test("Bi-Real net's network before its signs has real weights of the same names, and clipped inputs", () => {
  const [clip, signs] = ["clip", "sign"].map((weights) => studentOf({ kind: "bireal", weights }));
  const named = ({ manifest }: typeof clip) =>
    manifest.entries.filter(({ role }) => role !== "derived").map((e) => e.name);
  expect(named(clip)).toEqual(named(signs));
  expect(clip.latent).toEqual([]);
  expect(clip.graph.nodes.filter((node) => node.op === "activation" && node.kind === "hardtanh")).toHaveLength(6);
});

test("XNOR-Net++ multiplies each output by factors of its axes; with real weights it has no planes", () => {
  for (const { axes } of nodesOf({ kind: "xnorpp" }, "gamma")) expect(axes).toEqual(["c", "h", "w"]);
  for (const { axes } of nodesOf({ kind: "xnorpp", axes: "out" }, "gamma")) expect(axes).toEqual(["c"]);
  expect(nodesOf({ kind: "xnorpp", weights: "real" }, "rbconv")).toEqual([]);
  expect(nodesOf({ kind: "xnorpp", weights: "real" }, "quantise")).toHaveLength(6);
});

test("a pruned layer's mask is learned beside its C, from 1", () => {
  const { latent, saved } = studentOf({ kind: "rbcn-pruned" });
  for (const { weight, companions } of latent) {
    expect(companions.mask).toMatchObject({ role: "learned", shape: [weight.shape[0]], measured: true });
    expect(saved.entries).toContain(companions.momentum);
  }
});

test("masks scale what a batch norm leaves and what is compared, or the sum that the batch norm sees", () => {
  for (const model of [wrn, lenet]) {
    const { graph } = studentOf({ kind: "rbcn-pruned" }, model);
    const masks = graph.nodes.flatMap((node, id) => (node.op === "gamma" ? [{ ...node, id }] : []));
    expect(masks.map(({ of }) => of)).toEqual(graph.maps.map(({ name }) => name));
    expect(masks.map(({ id }) => id)).toEqual(graph.maps.map(({ node }) => node));
    for (const { input } of masks) expect(graph.nodes[input].op).toBe("batchnorm");
    const printed = studentOf({ kind: "rbcn-pruned", maskPlace: "convolution" }, model).graph;
    const inner = printed.nodes.flatMap((node) => (node.op === "gamma" ? [node] : []));
    expect(inner.map(({ of }) => of)).toEqual(masks.map(({ of }) => of));
    for (const { input } of inner) expect(printed.nodes[input].op).toBe("rbconv");
    for (const { node } of printed.maps) expect(printed.nodes[node].op).toBe("batchnorm");
  }
});

test("what stands behind a norm stands behind the body where the norm comes first", () => {
  const { create } = methods.get("rbcn-pruned");
  const method: Method = { ...create({ kind: "rbcn-pruned" }), block: { norm: "before", activation: "identity" } };
  const { kind, ...options } = wrn;
  const model = models.get(kind);
  const head: NetworkIo["head"] = (graph, input) => graph.add({ op: "linear", name: "fc", input, out: 10 });
  const inputs = [{ ...gray.shape }] as const;
  const graph = model.build(model.schema.parse({ kind, ...options }) as PluginOptions, { inputs, head }, method);
  expect(graph.maps).toHaveLength(6);
  for (const { node } of graph.maps) {
    const map = graph.nodes[node];
    expect(map.op === "gamma" && graph.nodes[map.input].op).toBe("rbconv");
  }
});

describe("steps of what a method learns", () => {
  const layerOf = (companions: Record<string, Float32Array>, weight = Float32Array.of(0.5, -0.5)): LatentLayer => ({
    shape: [2, 1, 1, 1],
    weight,
    companions,
  });

  test("points stay ascending in [0, 1], and W is held beside them unless it is to train", () => {
    const rule = methods.get("polino").create({ kind: "polino", points: true }).rule;
    const points = Float32Array.of(0.1, 0.4, 0.5, 0.9);
    const wide = Float64Array.from({ length: 16 }, (_, j) => [-3, -4, 2, -5][j] ?? 0);
    const all = Float32Array.from({ length: 16 }, (_, j) => points[j] ?? 1);
    rule?.learn?.points(layerOf({ points: all }), wide, 0.1);
    [0.3, 0.4, 0.8].forEach((p, j) => {
      expect(all[j]).toBeCloseTo(p, 6);
    });
    expect(Math.max(...all)).toBe(1);
    const moved = layerOf({ points: all });
    rule?.settle?.(moved, Float32Array.of(0.25, 0.75));
    expect([...moved.weight]).toEqual([0.25, 0.75]);
    const free = methods.get("polino").create({ kind: "polino", points: true, holdWeights: false }).rule;
    free?.settle?.(moved, Float32Array.of(1, 1));
    expect([...moved.weight]).toEqual([0.25, 0.75]);
  });

  test("masks step once an interval, with the gradient of that step", () => {
    const rule = methods.get("rbcn-pruned").create({ kind: "rbcn-pruned", maskInterval: 3, lambdaMask: 1 }).rule;
    const companions = Object.fromEntries(
      ["mask", "before", "momentum", "waited"].map((name) => [name, rule?.companion(name, layerOf({})) ?? []]),
    ) as Record<string, Float32Array>;
    const sizes = [1, 2, 3, 4].map(() => {
      rule?.learn?.mask(layerOf(companions), Float64Array.of(0, 0), 0.1);
      return companions.mask[0];
    });
    [1, 1, 0.9, 0.9].forEach((size, step) => {
      expect(sizes[step]).toBeCloseTo(size, 6);
    });
  });
});
