// Rules of a tracker's backbone: of two branches that are one network, one, under the names that they share.

import { expect, test } from "vitest";
import { strideOf, trackedGraph } from "../../../shared/export/tracked-graph.ts";
import { GraphBuilder, inputsOf } from "../../../shared/model/graph.ts";
import { networkManifest } from "../../../shared/model/manifest.ts";
import { trackerGraph } from "../../fixtures/drawn-tracker.ts";

test.each([
  { kind: "full" },
  { kind: "rbcn" },
  { kind: "bireal", weights: "clip" },
  { kind: "xnorpp", axes: "out" },
  { kind: "abc", groups: 1 },
])(
  "X54 the backbone of $kind has every parameter of the network once, for crops of any side",
  ({ groups = 2, ...method }) => {
    const graph = trackerGraph({ method, groups, scale: 0.125 });
    const { backbone, scale } = trackedGraph(graph, 255)!;
    expect(scale).toBe(0.125);
    expect(backbone.nodes.filter(({ op }) => op === "input")).toEqual([{ op: "input", name: "crop" }]);
    const names = (of: typeof graph) => networkManifest(of).entries.map(({ name, shape }) => `${name} ${shape}`);
    expect(names(backbone).sort()).toEqual(names(graph).sort());
    expect(backbone.shapes[backbone.output]).toMatchObject({ h: 22, w: 22, c: 8 });
    expect(trackedGraph(graph, 127)!.backbone.shapes.at(-1)).toMatchObject({ h: 6, w: 6 });
    expect(strideOf(backbone.nodes, backbone.output)).toBe(8);
    for (const [id, node] of backbone.nodes.entries()) for (const from of inputsOf(node)) expect(from).toBeLessThan(id);
  },
);

test("X54 branches that are not one network have no file, and neither has a graph of another head a backbone", () => {
  const sides = { h: 9, w: 9, c: 3 };
  const g = new GraphBuilder({ name: "exemplar", ...sides, h: 5, w: 5 }, { name: "search", ...sides });
  const [z, x] = g.inputs.map((input, i) =>
    g.add({ op: "conv", name: `branch${i}`, input, out: 2, kernel: 3, stride: 1, padding: 0 }),
  );
  expect(trackedGraph(g.build(z!), 9)).toBeUndefined();
  const graph = g.build(g.add({ op: "xcorr", exemplar: z!, search: x!, scale: 1 }));
  expect(() => trackedGraph(graph, 9)).toThrow(expect.objectContaining({ code: "GRAPH_INVALID" }));
});
