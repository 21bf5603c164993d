// A graph of one layer, run forward and backward by the code that records whole networks.

import type { Graph } from "../../shared/model/graph.ts";
import { networkManifest } from "../../shared/model/manifest.ts";
import { contributionLayout } from "../../shared/wire/contribution.ts";
import { blobLayout, encodeBlob, type Parameters } from "../../shared/wire/parameter-blob.ts";
import { recordBackward } from "../../worker/plan/backward.ts";
import { outputOf, recordForward } from "../../worker/plan/forward.ts";
import { LaunchList, type Ref } from "../../worker/plan/launch-list.ts";
import { outputElements } from "../../worker/plan/network-buffers.ts";
import { NodeGradients } from "../../worker/plan/node-gradients.ts";
import { arenaRefs, blobRefs } from "../../worker/plan/plan.ts";
import { everything } from "../fixtures/phases.ts";
import { execute, roundData } from "./execute.ts";
import type { Rig } from "./rig.ts";

export interface OperatorResult {
  readonly y: Float32Array;
  readonly dx: Float32Array;
  /** Gradients and batch statistics by parameter name. */
  readonly arena: ReadonlyMap<string, Float32Array>;
}

/** @param x f32 NHWC @param dy gradient of the output, NHWC */
export async function runOperator(
  rig: Rig,
  graph: Graph,
  n: number,
  parameters: Parameters,
  x: Float32Array,
  dy: Float32Array,
): Promise<OperatorResult> {
  const manifest = networkManifest(graph);
  const layout = contributionLayout(manifest, everything);
  const blob = blobLayout(manifest);
  const arena = arenaRefs(layout);
  const list = new LaunchList(rig.choose);
  const external = (buffer: "sample.input" | "sample.seed", elements: number): Ref => ({
    kind: "external",
    buffer,
    offset: 0,
    bytes: 4 * elements,
  });
  const buffers = { parameter: blobRefs("parameters", blob), statistic: (name: string) => required(arena(name), name) };
  const trace = recordForward(list, graph, n, () => external("sample.input", x.length), buffers);
  const gradients = new NodeGradients(list, outputElements(graph, n));
  gradients.add(graph.output, external("sample.seed", dy.length));
  recordBackward(list, graph, n, buffers, trace, gradients, { gradient: arena, inputGradient: true });
  const y = outputOf(trace, graph.output);
  const dx = required(gradients.get(0), "dx");
  list.keep(y);
  list.keep(dx);

  const executed = await execute(rig.cache, list, {
    ...roundData(manifest),
    parameters: encodeBlob(manifest, blob, parameters),
    "sample.input": x,
    "sample.seed": dy,
  });
  const named = new Map<string, Float32Array>();
  for (const { name } of layout.tensors) named.set(name, await executed.read(required(arena(name), name)));
  const result = { y: await executed.read(y), dx: await executed.read(dx), arena: named };
  executed.destroy();
  return result;
}

function required<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new RangeError(`nothing is recorded for ${name}`);
  return value;
}
