// A layer of each method of planes and factors, with options and sizes that are seldom chosen: one forward and backward
// pass on the device agrees with float64 loops over what the method sends.
import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { GraphBuilder } from "../../../shared/model/graph.ts";
import { elementCount, latentEntries, networkManifest } from "../../../shared/model/manifest.ts";
import type { LatentLayer } from "../../../shared/model/methods/method.ts";
import { methods } from "../../../shared/model/methods/methods.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { testDevice } from "../../fixtures/device.ts";
import { expectWithin } from "../../kernels/expect-close.ts";
import { backward } from "../../vectors/reference/backward.ts";
import { forward } from "../../vectors/reference/network.ts";
import { tensor } from "../../vectors/reference/tensor.ts";
import { runOperator } from "../../verify/operator-program.ts";

const N = 2;

test.each([
  [
    { kind: "dorefa", weightBits: 8, activationBits: 8 },
    { in: 33, out: 5, kernel: 3, stride: 2, padding: 1 },
  ],
  [
    { kind: "dorefa", weightBits: 3, activationBits: 1 },
    { in: 65, out: 3, kernel: 1, stride: 1, padding: 0 },
  ],
  [
    { kind: "dorefa", weightBits: 32, activationBits: 5 },
    { in: 7, out: 9, kernel: 3, stride: 1, padding: 1 },
  ],
  [
    { kind: "dorefa", weightBits: 4, activationBits: 32 },
    { in: 7, out: 9, kernel: 3, stride: 1, padding: 1 },
  ],
  [
    { kind: "abc", weightBases: 5, activationBases: 5, scale: "out" },
    { in: 40, out: 7, kernel: 3, stride: 1, padding: 1 },
  ],
  [
    { kind: "abc", weightBases: 8, activationBases: 2 },
    { in: 3, out: 4, kernel: 3, stride: 2, padding: 0 },
  ],
  [
    { kind: "polino", bits: 8, bucket: "out" },
    { in: 5, out: 6, kernel: 3, stride: 1, padding: 1 },
  ],
  [
    { kind: "polino", bits: 1 },
    { in: 33, out: 3, kernel: 1, stride: 1, padding: 0 },
  ],
  [
    { kind: "polino", points: true, pointCount: 5, bucket: "out" },
    { in: 9, out: 4, kernel: 3, stride: 2, padding: 1 },
  ],
  [
    { kind: "xnorpp", keepAlpha: true, edge: "open" },
    { in: 34, out: 5, kernel: 3, stride: 2, padding: 1 },
  ],
  [
    { kind: "xnorpp", weights: "real", axes: "out" },
    { in: 6, out: 5, kernel: 3, stride: 1, padding: 1 },
  ],
  [
    { kind: "rbcn-pruned", maskPlace: "convolution", rectify: "filter" },
    { in: 33, out: 5, kernel: 3, stride: 1, padding: 1 },
  ],
])("%j, %j", async (options, { in: c, ...fields }) => {
  const draw = rng("layer of a method", JSON.stringify(options));
  const drawn = (length: number) => Float32Array.from({ length }, () => draw.normal());
  const method = methods.get(options.kind).create(methods.get(options.kind).schema.parse(options) as typeof options);
  const g = new GraphBuilder({ h: 7, w: 6, c });
  const graph = g.build(method.body(g, { name: "l", input: g.input, ...fields }));
  const manifest = networkManifest(graph);
  const values = new Map<string, Float32Array>();
  for (const { name, role, shape, initial } of manifest.entries) {
    if (role === "latent") values.set(name, drawn(elementCount(shape)));
    else if (initial.kind !== "companion")
      values.set(
        name,
        drawn(elementCount(shape)).map((v) => 0.2 * v + 0.5),
      );
  }
  for (const { weight, companions } of latentEntries(manifest)) {
    const [out, kh, kw, input] = weight.shape;
    const own: Record<string, Float32Array> = {};
    const layer: LatentLayer = { shape: [out, kh, kw, input], weight: values.get(weight.name)!, companions: own };
    for (const derived of [false, true]) {
      for (const [name, entry] of Object.entries(companions)) {
        if ((entry.role === "derived") !== derived || !method.rule) continue;
        own[name] = method.rule.companion(name, layer);
        if (name === "mask") own[name] = own[name].map((_, o) => 0.3 * o);
        values.set(entry.name, own[name]);
      }
    }
  }
  const x = drawn(N * 7 * 6 * c);
  const { h, w, c: out } = graph.shapes[graph.output];
  const dy = drawn(N * h * w * out);
  const rig = { cache: new PipelineCache(await testDevice()), choose: () => undefined, quads: false };
  const result = await runOperator(rig, graph, N, values, x, dy);

  const trace = forward(graph, { ...tensor(N, graph.shapes[0]), values: Float64Array.from(x) }, values, true);
  const wanted = backward(graph, trace, values, new Map([[graph.output, Float64Array.from(dy)]]));
  const size = (of: ArrayLike<number>) => Array.from(of).reduce((most, v) => Math.max(most, Math.abs(v)), 1);
  const y = trace.outputs[graph.output].values;
  expectWithin(result.y, y, 1e-5 * size(y), "y");
  const sent = manifest.entries.filter(({ name }) => result.arena.has(name));
  expect(sent.map(({ name }) => name)).toContain("l.weight");
  for (const { name } of sent) {
    const oracle = wanted.get(name) ?? [];
    expectWithin(result.arena.get(name) ?? [], oracle, 1e-5 * size(oracle), name);
  }
});
