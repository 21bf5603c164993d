// Networks, manifests and layouts: torchvision's names, torchvision's sizes, and bytes that never overlap.

import { describe, expect, test } from "vitest";
import type { PluginOptions } from "../../../shared/base/registry.ts";
import { GraphBuilder } from "../../../shared/model/graph.ts";
import { elementCount, networkManifest } from "../../../shared/model/manifest.ts";
import { methods } from "../../../shared/model/methods/methods.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks, wireManifest } from "../../../shared/run/networks.ts";
import { contributionLayout } from "../../../shared/wire/contribution.ts";
import { blobLayout, encodeBlob } from "../../../shared/wire/parameter-blob.ts";
import { everything, phaseOf } from "../../fixtures/phases.ts";

const imageNet = { shape: { h: 224, w: 224, c: 3 }, classes: 1000 };
const gray = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };
const resNet18 = buildNetworks(
  parseConfig({ model: { kind: "resnet", stem: "imagenet", activation: "relu" } }),
  imageNet,
);
const leNet = buildNetworks(parseConfig({}), gray);

test("ResNet-18's teacher has torchvision's parameter count and names", () => {
  const { entries } = resNet18.teacher.manifest;
  const trained = entries.filter((e) => e.role === "float").reduce((sum, e) => sum + elementCount(e.shape), 0);
  expect(trained).toBe(11_689_512);
  const names = entries.map((e) => e.name);
  expect(names.slice(0, 3)).toEqual(["conv1.weight", "bn1.weight", "bn1.bias"]);
  expect(names).toContain("layer2.0.downsample.0.weight");
  expect(names).toContain("layer4.1.bn2.running_var");
  expect(names.slice(-2)).toEqual(["fc.weight", "fc.bias"]);
  expect(new Set(names).size).toBe(names.length);
});

test("ResNet-18's student has 16 binary layers, one C and one discriminator each", () => {
  const { entries } = resNet18.student.manifest;
  expect(entries.filter((e) => e.role === "latent")).toHaveLength(16);
  expect(entries.filter((e) => e.role === "learned").map((e) => e.shape)).toEqual(Array(16).fill([1, 3, 3, 1]));
  expect(resNet18.student.graph.maps).toHaveLength(16);
  expect(resNet18.student.partners.discriminators.entries).toHaveLength(16 * 8);
});

test("ResNet-34 has 32 binary layers, and torchvision's parameter count in its teacher", () => {
  const model = { kind: "resnet", depth: 34, stem: "imagenet", activation: "relu" };
  const { teacher, student } = buildNetworks(parseConfig({ model }), imageNet);
  expect(student.graph.maps).toHaveLength(32);
  const floats = teacher.manifest.entries.filter((e) => e.role === "float");
  expect(floats.reduce((sum, e) => sum + elementCount(e.shape), 0)).toBe(21_797_672);
});

const cifar = { shape: { h: 32, w: 32, c: 3 }, classes: 100 };

test.each([
  [22, "16-16-32-64", 3],
  [22, "64-64-128-256", 3],
  [40, "16-32-64-128", 6],
  [40, "32-64-128-256", 6],
])("WRN-%i of widths %s has %i blocks a stage, the last of 8x8", (depth, widths, blocks) => {
  const { student } = buildNetworks(parseConfig({ model: { kind: "wrn", depth, widths } }), cifar);
  const { graph, manifest } = student;
  const [stem, ...stages] = widths.split("-").map(Number);
  expect(manifest.entries[0]).toMatchObject({ name: "conv1.weight", shape: [stem, 3, 3, 3] });
  expect(graph.maps).toHaveLength(2 * blocks * 3);
  const shapes = stages.map((c, stage) => ({ h: 32 / 2 ** stage, w: 32 / 2 ** stage, c }));
  const expected = shapes.flatMap((shape) => Array(2 * blocks).fill(shape));
  expect(graph.maps.map(({ node }) => graph.shapes[node])).toEqual(expected);
});

test("teacher and student compare maps of the same shapes", () => {
  for (const { teacher, student } of [resNet18, leNet]) {
    const shapes = (net: typeof teacher) => net.graph.maps.map((m) => [m.name, net.graph.shapes[m.node]]);
    expect(shapes(student)).toEqual(shapes(teacher));
  }
});

test("LeNet's third layer is a convolution over the whole remaining map", () => {
  const conv3 = leNet.student.manifest.entries.find((e) => e.name === "conv3.weight");
  expect(conv3?.shape).toEqual([96, 4, 4, 24]);
});

test("without the GAN there is no discriminator, and no teacher", () => {
  const { student, ...others } = buildNetworks(parseConfig({ method: { ablation: "R" } }), gray);
  expect(student.partners).toEqual({});
  expect(others).toEqual({});
});

test("a graph refuses what cannot be computed, by name", () => {
  const g = new GraphBuilder({ h: 4, w: 4, c: 1 });
  const wide = { op: "conv", name: "stem", input: 0, out: 2, kernel: 7, stride: 1, padding: 0 } as const;
  expect(() => g.add(wide)).toThrow(
    expect.objectContaining({ code: "GRAPH_INVALID", message: expect.stringContaining("stem") }),
  );
  expect(() => g.add({ op: "linear", name: "fc", input: 0, out: 2 })).toThrow(/1x1/);
  const narrow = g.add({ ...wide, kernel: 3, padding: 1 });
  expect(() => g.add({ op: "add", input: narrow, other: 0 })).toThrow(/shapes differ/);
});

test("groups cut a layer's inputs and outputs: its weights see their own group, and what does not divide is refused", () => {
  const g = new GraphBuilder({ h: 8, w: 8, c: 96 });
  const window = { input: 0, out: 40, kernel: 5, stride: 2, padding: 0 };
  const bodyOf = (method: PluginOptions) => methods.get(method.kind).create(method).body;
  const conv = g.add({ op: "conv", name: "conv", groups: 2, ...window });
  for (const rectify of ["kernel", "out", "filter", "layer"] as const) {
    bodyOf({ kind: "rbcn", rectify })(g, { name: rectify, groups: 2, ...window });
  }
  expect(g.shape(conv)).toEqual({ h: 2, w: 2, c: 40 });
  const { entries } = networkManifest(g.build(conv));
  expect(Object.fromEntries(entries.map(({ name, shape }) => [name, shape]))).toEqual({
    "conv.weight": [40, 5, 5, 48],
    "kernel.weight": [40, 5, 5, 48],
    "kernel.c": [1, 5, 5, 1],
    "out.weight": [40, 5, 5, 48],
    "out.c": [40, 1, 1, 1],
    "filter.weight": [40, 5, 5, 48],
    "filter.c": [1, 5, 5, 48],
    "layer.weight": [40, 5, 5, 48],
    "layer.c": [1, 1, 1, 1],
  });
  expect(entries[0].initial).toEqual({ kind: "kaiming-normal", fanIn: 48 * 25 });
  const refused = (groups: number, method: PluginOptions) =>
    expect(() => bodyOf(method)(g, { name: "one", groups, ...window }), method.kind).toThrow(
      expect.objectContaining({ code: "GRAPH_INVALID", message: expect.stringMatching(/^one: .*groups/) }),
    );
  for (const groups of [0, -2, 1.5, 3, 5, 32]) refused(groups, { kind: "full" });
  for (const kind of ["dorefa", "abc", "ttq"]) refused(2, { kind });
  refused(2, { kind: "xnor", inputScale: true });
});

describe("layouts", () => {
  const manifest = wireManifest(leNet, "student");

  test("a blob's tensors are aligned, in order and disjoint; latent weights are a thirty-second", () => {
    const layout = blobLayout(manifest);
    let end = 0;
    for (const { offset, bytes } of layout.tensors.values()) {
      expect(offset % 256).toBe(0);
      expect(offset).toBeGreaterThanOrEqual(end);
      end = offset + bytes;
    }
    expect(layout.bytes).toBeGreaterThanOrEqual(end);
    expect(layout.tensors.get("conv3.weight")).toMatchObject({ encoding: "signs", bytes: 96 * 16 * 4 });
  });

  test("a blob holds the signs of W, the floats as they are, and nothing else of W", () => {
    const values = new Map(manifest.entries.map((e) => [e.name, new Float32Array(elementCount(e.shape)).fill(0.5)]));
    const w = values.get("conv2.weight") as Float32Array;
    const layout = blobLayout(manifest);
    const before = encodeBlob(manifest, layout, values);
    w.fill(0.125);
    expect(encodeBlob(manifest, layout, values)).toEqual(before);
    w[3] = -0.1;
    const offset = layout.tensors.get("conv2.weight")?.offset as number;
    expect(new Uint32Array(encodeBlob(manifest, layout, values).buffer, offset, 1)[0]).toBe(1 << 3);
  });

  test("a contribution has no C, no gradient of frozen parameters in the BN phase, and only metrics in an evaluation", () => {
    const names = (phase: string) => contributionLayout(manifest, phaseOf(phase)).tensors.map((t) => t.name);
    expect(names("student")).not.toContain("conv2.c");
    expect(names("student")).toContain("discriminator.conv2.0.weight");
    expect(names("bn").filter((n) => /^conv|^discriminator/.test(n))).toEqual([]);
    expect(names("bn")).toEqual(expect.arrayContaining(["bn1.weight", "prelu3.weight", "fc.bias", "bn2.running_mean"]));
    expect(names("evaluate-student")).toEqual(["metrics"]);
  });

  test("every block of a contribution belongs to the tensor that starts in it", () => {
    const { tensors, segments, size } = contributionLayout(manifest, everything);
    expect(segments).toHaveLength(size / 64);
    tensors.forEach((t, index) => {
      expect(segments[t.offset / 64]).toBe(index);
      expect(segments[Math.ceil((t.offset + t.size) / 64) - 1]).toBe(index);
    });
  });
});
