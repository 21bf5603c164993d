// What fits what in a correlation, before anything is allocated.
import { expect, test } from "vitest";
import { GraphBuilder, inputsOf, type Shape } from "../../../shared/model/graph.ts";
import { networkManifest } from "../../../shared/model/manifest.ts";

function response(exemplar: Shape, search: Shape) {
  const g = new GraphBuilder({ name: "exemplar", ...exemplar }, { name: "search", ...search });
  return g.build(g.add({ op: "xcorr", exemplar: g.inputs[0], search: g.inputs[1], scale: 0.001 }));
}

test("a response has a value where the exemplar fits, and no parameters", () => {
  const graph = response({ h: 6, w: 4, c: 256 }, { h: 22, w: 20, c: 256 });
  expect(graph.shapes[graph.output]).toEqual({ h: 17, w: 17, c: 1 });
  expect(inputsOf(graph.nodes[graph.output])).toEqual([1, 0]);
  expect(networkManifest(graph).entries).toEqual([]);
});

test.each([
  [{ h: 6, w: 6, c: 8 }, { h: 5, w: 20, c: 8 }, /6×6×8 does not fit into the search's of 5×20×8/],
  [{ h: 6, w: 6, c: 8 }, { h: 20, w: 20, c: 9 }, /give both the same channels/],
])("%j into %j is refused, with both sizes", (exemplar, search, message) => {
  expect(() => response(exemplar, search)).toThrow(expect.objectContaining({ code: "GRAPH_INVALID" }));
  expect(() => response(exemplar, search)).toThrow(message);
});
