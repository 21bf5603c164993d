// A network of two inputs whose branches share their parameters computes what two networks of one input compute
// together.

import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { type Graph, GraphBuilder, graphInputs, type InputShape, type NodeId } from "../../../shared/model/graph.ts";
import { elementCount, networkManifest } from "../../../shared/model/manifest.ts";
import { rbcn } from "../../../shared/model/methods/rbcn.ts";
import { contributionLayout } from "../../../shared/wire/contribution.ts";
import { blobLayout, encodeBlob, type Parameters } from "../../../shared/wire/parameter-blob.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { recordBackward } from "../../../worker/plan/backward.ts";
import { outputOf, recordForward } from "../../../worker/plan/forward.ts";
import { type MemoryMode, memoryModes } from "../../../worker/plan/kept-values.ts";
import { LaunchList, type Ref } from "../../../worker/plan/launch-list.ts";
import { outputElements, sampleSize } from "../../../worker/plan/network-buffers.ts";
import { NodeGradients } from "../../../worker/plan/node-gradients.ts";
import { arenaRefs, blobRefs } from "../../../worker/plan/plan.ts";
import { updateRuns } from "../../../worker/plan/update-runs.ts";
import { testDevice } from "../../fixtures/device.ts";
import { everything } from "../../fixtures/phases.ts";
import { execute, roundData } from "../../verify/execute.ts";

const N = 3;
const exemplar: InputShape = { name: "exemplar", h: 6, w: 6, c: 2 };
const search: InputShape = { name: "search", h: 9, w: 9, c: 2 };

/**
 * Every node with parameters: conv, batch norm, PReLU, binary convolution, batch norm, and a linear layer behind its
 * mean.
 */
function branch(g: GraphBuilder, prefix: string, input: NodeId): NodeId {
  const named = (name: string) => ({ name: `${prefix}.${name}`, weights: name });
  const window = { kernel: 3, stride: 1, padding: 1 };
  let h = g.add({ op: "conv", ...named("conv1"), input, out: 8, ...window });
  h = g.add({ op: "batchnorm", ...named("bn1"), input: h });
  h = g.add({ op: "activation", kind: "prelu", ...named("prelu1"), input: h });
  const body = rbcn({ rectify: "kernel", surrogate: "bireal", kernelGradient: "direct", lambdaKernel: 0 });
  h = body.body(g, { ...named("conv2"), input: h, out: 8, ...window });
  h = g.add({ op: "batchnorm", ...named("bn2"), input: h });
  h = g.add({ op: "globalpool", input: h });
  return g.add({ op: "linear", ...named("fc"), input: h, out: 5 });
}

function one(input: InputShape): Graph {
  const g = new GraphBuilder(input);
  return g.build(branch(g, "only", g.input));
}

function both(): Graph {
  const g = new GraphBuilder(exemplar, search);
  const [z, x] = g.inputs;
  const a = branch(g, "exemplar", z);
  const b = branch(g, "search", x);
  return g.build(g.add({ op: "add", input: a, other: b }));
}

const draw = rng(11, "branches");
const normals = (length: number) => Float32Array.from({ length }, () => draw.normal());
const manifest = networkManifest(both());
const parameters: Parameters = new Map(
  manifest.entries.map(({ name, shape }) => {
    const positive = name.endsWith("running_var") || name.endsWith(".c");
    return [name, normals(elementCount(shape)).map((v) => (positive ? Math.abs(v) + 0.5 : v / 2))];
  }),
);
const samples: Record<string, Float32Array> = {
  exemplar: normals(N * sampleSize(exemplar)),
  search: normals(N * sampleSize(search)),
};
const seed = normals(N * 5);

/** The output, and every tensor of the contribution, of one forward and backward pass. */
async function run(graph: Graph, memory: MemoryMode = "keep"): Promise<ReadonlyMap<string, Float32Array>> {
  const own = networkManifest(graph);
  const layout = contributionLayout(own, everything);
  const arena = arenaRefs(layout);
  const present = (name: string) => arena(name) as Ref;
  const buffers = { parameter: blobRefs("parameters", blobLayout(own)), statistic: present };
  const list = new LaunchList();
  const external = (name: string, { length }: ArrayLike<number>): Ref => {
    return { kind: "external", buffer: `sample.${name}`, offset: 0, bytes: 4 * length };
  };
  const trace = recordForward(list, graph, N, (name) => external(name, samples[name]), buffers);
  const gradients = new NodeGradients(list, outputElements(graph, N));
  gradients.add(graph.output, external("seed", seed));
  recordBackward(list, graph, N, buffers, trace, gradients, { gradient: arena, inputGradient: true, memory });
  const wanted = new Map<string, Ref>([["output", outputOf(trace, graph.output)]]);
  for (const { name, node } of graphInputs(graph)) wanted.set(`d ${name}`, gradients.get(node) as Ref);
  for (const ref of wanted.values()) list.keep(ref);
  for (const { name } of layout.tensors) if (name !== "metrics") wanted.set(name, present(name));
  const executed = await execute(new PipelineCache(await testDevice()), list, {
    ...roundData(own),
    // What nobody writes must not pass for a sum.
    gradient: new Float32Array(layout.size).fill(Number.NaN),
    parameters: encodeBlob(own, blobLayout(own), parameters),
    "sample.exemplar": samples.exemplar,
    "sample.search": samples.search,
    "sample.seed": seed,
  });
  const values = new Map<string, Float32Array>();
  for (const [name, ref] of wanted) values.set(name, await executed.read(ref));
  executed.destroy();
  return values;
}

function of(values: ReadonlyMap<string, Float32Array>, name: string): readonly number[] {
  const found = values.get(name);
  if (!found) throw new RangeError(`no ${name} among ${[...values.keys()]}`);
  return [...found];
}

test("an entry a name, in the order of the nodes that name them first", () => {
  expect(manifest.entries.map(({ name }) => name)).toEqual(networkManifest(one(search)).entries.map((e) => e.name));
  expect(manifest.entries.every(({ uses }) => uses === 2)).toBe(true);
  expect(networkManifest(one(search)).entries.every(({ uses }) => uses === undefined)).toBe(true);
});

test("nodes that share a name and differ in shape are refused, both named", () => {
  const g = new GraphBuilder(exemplar);
  const window = { kernel: 3, stride: 1, padding: 1 };
  const wide = g.add({ op: "conv", name: "wide", weights: "conv", input: g.input, out: 8, ...window });
  const graph = g.build(g.add({ op: "conv", name: "narrow", weights: "conv", input: wide, out: 4, ...window }));
  expect(() => networkManifest(graph)).toThrow(
    expect.objectContaining({ code: "GRAPH_INVALID", message: expect.stringMatching(/conv\.weight.*wide.*narrow/) }),
  );
});

test("two inputs of one name are refused", () => {
  expect(() => new GraphBuilder(exemplar, exemplar)).toThrow(/exemplar/);
});

test.each(memoryModes)(
  "gradients of both branches are summed, and each batch norm has its own statistics (%s)",
  async (memory) => {
    const [whole, z, x] = [await run(both(), memory), await run(one(exemplar)), await run(one(search))];
    for (const [name, values] of whole) {
      expect(values.every(Number.isFinite), name).toBe(true);
      if (name === "d exemplar" || name === "d search") {
        expect(values, name).toEqual((name === "d search" ? x : z).get(name));
      } else if (/running_\w+$/.test(name)) {
        expect(values, name).toEqual(z.get(name));
      } else if (name.endsWith("#1")) {
        expect(values, name).toEqual(x.get(name.slice(0, -2)));
      } else {
        const other = of(x, name);
        expect([...values], name).toEqual(of(z, name).map((v, i) => Math.fround(v + other[i])));
      }
    }
    expect([...whole.keys()]).toEqual(expect.arrayContaining(["bn1.running_mean", "bn1.running_mean#1", "d exemplar"]));
  },
);

test("inner steps fold the batch statistics of a shared batch norm in the order of its nodes", () => {
  const layout = contributionLayout(manifest, everything, "local");
  const blob = blobLayout(manifest, "f32");
  const runs = updateRuns(manifest, blob, layout, (role) => (role === "statistic" ? role : undefined));
  for (const name of ["bn1.running_mean", "bn2.running_var"]) {
    const at = (blob.tensors.get(name)?.offset as number) / 4;
    const folded = runs
      .filter((r) => r.replica <= at && at < r.replica + r.elements)
      .map((r) => r.arena + at - r.replica);
    const sent = [name, `${name}#1`].map((tensor) => layout.tensors.find((t) => t.name === tensor)?.offset);
    expect(folded).toEqual(sent);
  }
});
