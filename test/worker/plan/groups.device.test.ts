// Networks of layers in groups, float and binary: one forward and backward pass agrees with float64 loops, whoever
// packs the signs and however much is computed twice.

import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { type Graph, GraphBuilder, type NodeId } from "../../../shared/model/graph.ts";
import { elementCount, networkManifest } from "../../../shared/model/manifest.ts";
import { methods } from "../../../shared/model/methods/methods.ts";
import type { Rectify } from "../../../shared/model/rectify.ts";
import { expectWithin } from "../../kernels/expect-close.ts";
import { backward } from "../../vectors/reference/backward.ts";
import { forward } from "../../vectors/reference/network.ts";
import { tensor } from "../../vectors/reference/tensor.ts";
import { onePass } from "./one-pass.ts";

const [N, SIZE] = [3, 9];

/** A binary layer of each kind of C, in groups whose channels fill no word, or more than one. */
function inGroups(): Graph {
  const g = new GraphBuilder({ h: SIZE, w: SIZE, c: 6 });
  const norm = (name: string, input: NodeId) => g.add({ op: "batchnorm", name, input });
  const binary = (name: string, rectify: Rectify, input: NodeId, out: number, groups: number) => {
    const { body } = methods.get("rbcn").create({ kind: "rbcn", rectify });
    return body(g, { name, input, out, kernel: 3, stride: 1, padding: 1, groups });
  };
  const float = { op: "conv", padding: 0 } as const;
  const stem = g.add({ ...float, name: "stem", input: g.input, out: 96, kernel: 3, stride: 2, groups: 2 });
  const first = norm("bn0", stem);
  // Two of these read one map in different groups, and so two packings of its signs.
  const kernel = norm("bn1", binary("kernel", "kernel", first, 12, 2));
  const out = norm("bn2", binary("out", "out", first, 12, 3));
  const both = g.activation("prelu", "act", g.add({ op: "add", input: kernel, other: out }));
  // Not behind a norm: its signs are packed by themselves.
  const filter = binary("filter", "filter", both, 10, 2);
  const layer = norm("bn3", binary("layer", "layer", filter, 8, 1));
  return g.build(g.add({ ...float, name: "last", input: layer, out: 20, kernel: 1, stride: 1, groups: 4 }));
}

const graph = inGroups();
const draw = rng("network in groups", 1);
const values = new Map(
  networkManifest(graph).entries.map(({ name, shape }) => {
    const drawn = () => (/(bn\d|\.c$|running_var)/.test(name) ? 0.5 + draw.uniform() : draw.normal() / 3);
    return [name, Float32Array.from({ length: elementCount(shape) }, drawn)] as const;
  }),
);
const drawn = (length: number) => Float32Array.from({ length }, () => draw.normal());
const images = drawn(N * SIZE * SIZE * 6);
const seed = drawn(N * 4 * 4 * 20);

test("output and gradients agree with float64, the same bits whoever packs and however memory is saved", async () => {
  const data = { n: N, values, images, seed };
  const input = { ...tensor(N, graph.shapes[0]), values: Float64Array.from(images) };
  const trace = forward(graph, input, values, true);
  const wanted = backward(graph, trace, values, new Map([[graph.output, Float64Array.from(seed)]]));
  const [kept, ...others] = await Promise.all([
    onePass(graph, "keep", data),
    onePass(graph, "recompute", { ...data, packing: "lanes" }),
    onePass(graph, "checkpoint", data),
  ]);
  expectWithin(kept.results.get("y")!, trace.outputs[graph.output].values, 1e-3, "y");
  const trained = [...wanted].filter(([name]) => kept.results.has(name));
  expect(trained.map(([name]) => name)).toEqual(
    expect.arrayContaining(["stem", "kernel", "out", "filter", "layer", "last"].map((name) => `${name}.weight`)),
  );
  for (const [name, gradient] of trained) {
    const largest = gradient.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
    expectWithin(kept.results.get(name)!, gradient, 1e-4 * largest, name);
  }
  for (const { results } of others) expect(results).toEqual(kept.results);
});

test("evaluation packs a map once for each number of groups that reads it", async () => {
  const running = { n: N, values, images, seed };
  const { results, list } = await onePass(graph, "evaluate", running);
  const input = { ...tensor(N, graph.shapes[0]), values: Float64Array.from(images) };
  const { outputs } = forward(graph, input, values, false);
  expectWithin(results.get("y")!, outputs[graph.output].values, 1e-3, "y");
  const packs = list.launches.map(({ kernel }) => kernel.label).filter((label) => /signs|packSigns/i.test(label));
  expect(packs).toHaveLength(4);
});
