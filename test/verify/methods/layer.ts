// A case's layer as the coordinator has it: W, its companions, and the weight that the convolution sees.

import { type Graph, GraphBuilder, type GraphNode, type Shape } from "../../../shared/model/graph.ts";
import { latentEntries, networkManifest } from "../../../shared/model/manifest.ts";
import { companionOf, type LatentLayer, type Method } from "../../../shared/model/methods/method.ts";
import { rectifierIndex } from "../../../shared/model/methods/shared-scale.ts";
import { rectifyShape } from "../../../shared/model/rectify.ts";
import type { OracleCase } from "../oracle-case.ts";
import type { CaseLayer, CaseMethod } from "./case-method.ts";

export interface Geometry {
  readonly out: number;
  readonly in: number;
  readonly k: number;
  readonly stride: number;
  readonly padding: number;
}

/** The method's layer, called `l`, alone. */
export function graphOf(method: Method, { h, w }: Pick<Shape, "h" | "w">, geometry: Geometry): Graph {
  const { out, in: c, k: kernel, stride, padding } = geometry;
  const g = new GraphBuilder({ h, w, c });
  return g.build(method.body(g, { name: "l", input: g.input, out, kernel, stride, padding }));
}

/** The layer as it is sent. */
export function layerOf(case_: CaseMethod, method: Method, graph: Graph, test: OracleCase, weight: unknown): CaseLayer {
  const { rule, kind } = method;
  if (!rule) throw new RangeError(`${kind} has no rule`);
  const [entries] = latentEntries(networkManifest(graph));
  const [out, kh, kw, input] = entries.weight.shape;
  const companions: Record<string, Float32Array> = {};
  const layer: LatentLayer = {
    shape: [out, kh, kw, input],
    weight: test.weight("in.weight").slice(),
    companions,
    ...(test.has("in.second") ? { secondMoment: test.weight("in.second") } : {}),
  };
  const known = { ...case_.companions?.(test) };
  const all = Object.entries(entries.companions);
  for (const [name, { role }] of all) {
    if (role !== "derived") companions[name] = known[name]?.slice() ?? rule.companion(name, layer);
  }
  case_.prepare?.(rule, layer, weight);
  for (const [name, { role }] of all) if (role === "derived") companions[name] = rule.companion(name, layer);
  return { test, rule, graph, layer };
}

/** W̃ of a layer in OHWI order, from what is sent of it: f32. */
export function effectiveOf({ graph, layer }: Pick<CaseLayer, "graph" | "layer">): Float32Array {
  const { shape, weight } = layer;
  const node = graph.nodes.find(({ op }) => op === "rbconv" || op === "qconv");
  if (node?.op === "rbconv") {
    const c = companionOf(layer, "c");
    const index = rectifierIndex(shape, rectifyShape(node.rectify, shape[0], shape[1], shape[3]));
    return weight.map((w, i) => (w < 0 ? -c[index[i]] : c[index[i]]));
  }
  if (node?.op !== "qconv") throw new RangeError("the graph has no binary layer");
  return ofForm(node, layer);
}

function ofForm({ weight: form }: Extract<GraphNode, { op: "qconv" }>, layer: LatentLayer): Float32Array {
  const { weight, shape } = layer;
  if (form.kind === "float") return weight;
  const [planes, c] = [companionOf(layer, "planes"), companionOf(layer, "c")];
  const [n, filter, outs] = [weight.length, weight.length / shape[0], shape[0]];
  switch (form.kind) {
    case "linear":
      return weight.map((_, i) => {
        const out = Math.floor(i / filter);
        let sum = 0;
        for (let m = 0; m < form.planes; m++) {
          sum += planes[m * n + i] * (form.scale === "out" ? c[m * outs + out] : c[m]);
        }
        return sum;
      });
    case "ternary":
      // The second plane's set bit, −1, is a weight of 0.
      return weight.map((_, i) => (planes[n + i] < 0 ? 0 : planes[i] < 0 ? -c[1] : c[0]));
    case "table":
      return weight.map((_, i) => {
        let code = 0;
        for (let m = 0; m < form.planes; m++) if (planes[m * n + i] < 0) code += 2 ** m;
        return form.scale === "out" ? c[Math.floor(i / filter) * 2 ** form.planes + code] : c[code];
      });
    default:
      return form satisfies never;
  }
}
