// The network of a tracker: its maps, what both branches share, and what it refuses.
import { expect, test } from "vitest";
import { criticsOf, type Graph, type GraphNode, type Shape, useOf } from "../../../shared/model/graph.ts";
import { discriminatorManifest, networkManifest } from "../../../shared/model/manifest.ts";
import { fullPrecision } from "../../../shared/model/methods/full.ts";
import type { Method } from "../../../shared/model/methods/method.ts";
import { methods } from "../../../shared/model/methods/methods.ts";
import { siamFcModel } from "../../../shared/model/networks/siamfc.ts";
import { responseFields, responseHead } from "../../../shared/tasks/response.ts";

const head = responseHead({ responseScale: responseFields.responseScale.parse(undefined) });

function built(method: Method, options: Record<string, unknown> = {}, [z, x] = [127, 239]): Graph {
  const side = (name: string, size: number) => ({ name, h: size, w: size, c: 3 });
  const io = { inputs: [side("exemplar", z), side("search", x)] as const, head };
  return siamFcModel.build({ kind: "siamfc", ...options }, io, method);
}

function methodOf(kind: string, options: Record<string, unknown> = {}): Method {
  const plugin = methods.get(kind);
  return plugin.create(plugin.schema.parse({ kind, ...options }) as { kind: string });
}

const named = (graph: Graph, name: string) =>
  graph.nodes.findIndex((node) => "name" in node && node.name === name && node.op !== "input");
const sides = (graph: Graph, branch: string) =>
  ["conv1", "conv2", "conv3", "conv4", "conv5"].map((name) => graph.shapes[named(graph, `${branch}.${name}`)].h);
/** A pool has no name: it is of the branch of what it reads. */
function branchOf(graph: Graph, node: GraphNode): string {
  if (node.op === "pool") return branchOf(graph, graph.nodes[node.input]);
  return "name" in node ? node.name.split(".")[0] : "";
}
const operations = (graph: Graph, branch: string) =>
  graph.nodes
    .filter((node) => node.op !== "input" && branchOf(graph, node) === branch)
    .map((node) => (node.op === "activation" ? node.kind : node.op));

test("maps are the published ones: 6, 20 and 22 of 127, 239 and 255, and responses of 15 and 17", () => {
  const student = built(methodOf("rbcn"));
  expect(sides(student, "exemplar")).toEqual([59, 25, 10, 8, 6]);
  expect(sides(student, "search")).toEqual([115, 53, 24, 22, 20]);
  expect(student.shapes[student.output]).toEqual({ h: 15, w: 15, c: 1 });
  const wide = built(methodOf("rbcn"), {}, [127, 255]);
  expect(sides(wide, "search").at(-1)).toBe(22);
  expect(wide.shapes[wide.output]).toEqual({ h: 17, w: 17, c: 1 } satisfies Shape);
});

test("its convolutions have the paper's 2,332,704 weights, and both branches one set of parameters", () => {
  const { entries } = networkManifest(built(fullPrecision));
  const weights = entries.filter(({ name }) => /^conv\d\.weight$/.test(name));
  expect(weights.map(({ shape }) => shape)).toEqual([
    [96, 11, 11, 3],
    [256, 5, 5, 48],
    [384, 3, 3, 256],
    [384, 3, 3, 192],
    [256, 3, 3, 192],
  ]);
  expect(weights.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0)).toBe(2_332_704);
  expect(new Set(entries.map(({ name }) => name)).size).toBe(entries.length);
});

test("a norm's running statistics take the exemplar's batch first, then the search's", () => {
  const graph = built(methodOf("rbcn"));
  for (const layer of ["bn1", "bn2", "bn3", "bn4"]) {
    expect(useOf(graph, named(graph, `exemplar.${layer}`))).toBe(0);
    expect(useOf(graph, named(graph, `search.${layer}`))).toBe(1);
  }
  const { entries } = networkManifest(graph);
  expect(entries.find(({ name }) => name === "bn1.running_mean")).toMatchObject({ uses: 2 });
});

test("the student has signs where the teacher has PReLU, and each order is its own", () => {
  const student = ["conv", "pool", "batchnorm", "rbconv", "pool", "batchnorm", "rbconv", "batchnorm", "rbconv"];
  expect(operations(built(methodOf("rbcn")), "search")).toEqual([...student, "batchnorm", "prelu", "conv"]);
  expect(operations(built(methodOf("rbcn"), { binary: "conv2-conv5" }), "exemplar")).toEqual([
    ...student,
    "batchnorm",
    "rbconv",
  ]);
  const norm = ["batchnorm", "prelu", "conv"];
  const teacher = ["conv", "pool", ...norm, "pool", ...norm, ...norm, ...norm];
  expect(operations(built(fullPrecision), "search")).toEqual(teacher);
  const published = ["batchnorm", "relu"];
  const reference = ["conv", ...published, "pool", "conv", ...published, "pool", "conv", ...published];
  expect(operations(built(fullPrecision, { order: "reference" }), "search")).toEqual([
    ...reference,
    "conv",
    ...published,
    "conv",
  ]);
});

test("maps of both branches are compared, those of a layer by one discriminator", () => {
  const graph = built(methodOf("rbcn"), { widths: [8, 12, 16, 16, 4] });
  expect(graph.maps.map(({ name }) => name)).toEqual([
    "exemplar.conv2",
    "exemplar.conv3",
    "exemplar.conv4",
    "search.conv2",
    "search.conv3",
    "search.conv4",
  ]);
  expect(criticsOf(graph)).toEqual([
    { name: "conv2", maps: [0, 3], channels: 12 },
    { name: "conv3", maps: [1, 4], channels: 16 },
    { name: "conv4", maps: [2, 5], channels: 16 },
  ]);
  expect(discriminatorManifest(graph).entries.filter(({ shape }) => shape.length === 2)).toHaveLength(12);
  expect(built(fullPrecision, { widths: [8, 12, 16, 16, 4] }).maps.map(({ name }) => name)).toEqual(
    graph.maps.map(({ name }) => name),
  );
});

test.each(["rbcn", "rbcn-pruned", "xnor", "bireal", "bnn", "xnorpp", "full"])(
  "%s has a network of the paper's shape",
  (kind) => {
    const graph = built(methodOf(kind, kind === "xnorpp" ? { axes: "out" } : {}));
    expect(graph.shapes[graph.output]).toEqual({ h: 15, w: 15, c: 1 });
  },
);

test("methods whose layers have no groups are refused by name, and take a network without", () => {
  for (const kind of ["dorefa", "ttq", "abc", "lab"]) {
    expect(() => built(methodOf(kind)), kind).toThrow(expect.objectContaining({ code: "GRAPH_INVALID" }));
    const graph = built(methodOf(kind), { groups: 1, widths: [6, 8, 10, 8, 6] });
    expect(graph.shapes[graph.output]).toEqual({ h: 15, w: 15, c: 1 });
  }
});

test("what does not fit is refused, saying what to set", () => {
  expect(() => built(methodOf("rbcn"), { order: "reference" })).toThrow(/behind which every sign of rbcn is \+1/);
  expect(() => built(methodOf("rbcn"), {}, [63, 239])).toThrow(expect.objectContaining({ code: "GRAPH_INVALID" }));
  expect(() => built(methodOf("rbcn"), {}, [127, 119])).toThrow(/does not fit into the search's/);
  const io = { inputs: [{ h: 32, w: 32, c: 3 }] as const, head };
  expect(() => siamFcModel.build({ kind: "siamfc" }, io, fullPrecision)).toThrow(/set task.kind=siamfc/);
  expect(siamFcModel.check({ ...options, widths: [96, 255, 384, 384, 256] })).toEqual([
    "model.widths: must be multiples of model.groups, 2; got 255",
  ]);
  expect(siamFcModel.check(options)).toEqual([]);
});

const options = { kind: "siamfc" };

test("its options are told from the shapes of a file", () => {
  const entries = networkManifest(built(fullPrecision, { widths: [6, 8, 10, 12, 4] })).entries;
  const oihw = ([out, h, w, input]: readonly number[]) => [out, input, h, w];
  const shapeOf = (name: string) => {
    const shape = entries.find((entry) => entry.name === name)?.shape;
    return shape && oihw(shape);
  };
  expect(siamFcModel.guess?.(shapeOf)).toEqual({ kind: "siamfc", widths: [6, 8, 10, 12, 4], groups: 2 });
  expect(siamFcModel.guess?.(() => undefined)).toBeUndefined();
});
