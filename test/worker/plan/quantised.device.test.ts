// Networks of layers that quantise: one forward and backward pass agrees with float64 loops, however much of it is
// computed twice, and evaluation keeps planes alone.

import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { type Graph, GraphBuilder, type QuantiseRule, type WeightForm } from "../../../shared/model/graph.ts";
import { elementCount, networkManifest } from "../../../shared/model/manifest.ts";
import { derivedPlanes } from "../../../shared/model/methods/quantised-body.ts";
import { memoryModes } from "../../../worker/plan/kept-values.ts";
import { expectWithin } from "../../kernels/expect-close.ts";
import { backward } from "../../vectors/reference/backward.ts";
import { forward } from "../../vectors/reference/network.ts";
import { tensor } from "../../vectors/reference/tensor.ts";
import { onePass } from "./one-pass.ts";

const [N, SIZE] = [3, 6];

/** A body of each kind, one behind the other, with norms and shortcuts between them. */
function allKinds(gradientBits: boolean): Graph {
  const g = new GraphBuilder({ h: SIZE, w: SIZE, c: 4 });
  const layer = (name: string, form: WeightForm, input: number, rule?: QuantiseRule, stride = 1): number => {
    const out = 8;
    const companions = derivedPlanes(form, { out, kernel: 3, in: g.shape(input).c });
    const from = rule ? g.add({ op: "quantise", name: `${name}.input`, rule, input }) : input;
    return g.add({ op: "qconv", name, input: from, out, kernel: 3, stride, padding: 1, weight: form, companions });
  };
  const norm = (name: string, input: number) => g.add({ op: "batchnorm", name, input });
  const scaled = (name: string, axes: readonly ("c" | "h" | "w")[], input: number) =>
    g.add({ op: "gamma", name, axes, input });

  const stem = norm("bn0", g.add({ op: "conv", name: "stem", input: 0, out: 8, kernel: 3, stride: 1, padding: 1 }));
  const bits = layer("bits", { kind: "linear", planes: 2, scale: "layer" }, stem, { kind: "bits", bits: 2 });
  const sent = gradientBits ? g.add({ op: "gradientbits", bits: 6, input: bits }) : bits;
  const first = g.add({ op: "add", input: norm("bn1", sent), other: stem });
  const bases = layer("bases", { kind: "ternary" }, first, { kind: "bases", bases: 3 });
  const second = g.activation("prelu", "act2", norm("bn2", scaled("gamma", ["c", "h", "w"], bases)));
  const sign = { kind: "sign", surrogate: "bireal" } as const;
  const signs = layer("signs", { kind: "linear", planes: 1, scale: "out" }, second, sign, 2);
  const third = norm("bn3", g.add({ op: "inputscale", input: signs, other: second, kernel: 3, stride: 2, padding: 1 }));
  const table = layer("table", { kind: "table", planes: 3, scale: "out" }, g.activation("relu", "act3", third));
  const masked = scaled("gamma-behind", ["c"], norm("bn4", scaled("only-rows", ["h"], table)));
  const fourth = g.activation("prelu", "act4", g.add({ op: "add", input: masked, other: third }));
  return g.build(layer("float", { kind: "float" }, fourth));
}

const graph = allKinds(false);
const draw = rng("quantised network", 1);
const values = new Map(
  networkManifest(graph).entries.map(({ name, shape }) => {
    const drawn = () => {
      if (name.endsWith("planes")) return draw.uniform() < 0.5 ? -1 : 1;
      if (/(bn\d|only-rows|gamma|\.scale|running_var)/.test(name)) return 0.5 + draw.uniform();
      return draw.normal() / 3;
    };
    return [name, Float32Array.from({ length: elementCount(shape) }, drawn)] as const;
  }),
);
const drawn = (length: number) => Float32Array.from({ length }, () => draw.normal());
const images = drawn(N * SIZE * SIZE * 4);
const seed = drawn(N * 3 * 3 * 8);

/** One pass over the images: what it gave, by name. */
const passOver = (of: Graph, memory: Parameters<typeof onePass>[1]) =>
  onePass(of, memory, { n: N, values, images, seed });

test("every node and all its gradients agree with float64, the same bits however memory is saved", async () => {
  const input = { ...tensor(N, graph.shapes[0]), values: Float64Array.from(images) };
  const trace = forward(graph, input, values, true);
  const wanted = backward(graph, trace, values, new Map([[graph.output, Float64Array.from(seed)]]));
  const [kept, ...others] = await Promise.all(memoryModes.map((mode) => passOver(graph, mode)));
  expectWithin(kept.results.get("y")!, trace.outputs[graph.output].values, 1e-3, "y");
  const trained = [...wanted].filter(([name]) => kept.results.has(name));
  expect(trained.map(([name]) => name)).toEqual(
    expect.arrayContaining(["bits.weight", "bases.input.shift", "bases.input.scale", "gamma.out", "only-rows.h"]),
  );
  for (const [name, gradient] of trained) {
    const largest = gradient.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
    expectWithin(kept.results.get(name)!, gradient, 1e-4 * largest, name);
  }
  for (const { results } of others) expect(results).toEqual(kept.results);
});

test("a gradient of few bits changes what goes on behind it, a little, and nothing before it", async () => {
  const [plain, coarse] = await Promise.all([passOver(graph, "recompute"), passOver(allKinds(true), "recompute")]);
  expect(coarse.results.get("y")).toEqual(plain.results.get("y"));
  expect(coarse.results.get("bn1.weight")).toEqual(plain.results.get("bn1.weight"));
  const [exact, rounded] = [plain, coarse].map(({ results }) => results.get("bits.weight")!);
  expect(rounded).not.toEqual(exact);
  const size = (v: Float32Array) => Math.hypot(...v);
  expect(size(rounded.map((v, i) => v - exact[i]))).toBeLessThan(0.2 * size(exact));
});
