// Oracle cases of a teacher that somebody else trained: logits and every compared map of one forward pass, in the
// launches that training records and once more with each map kept.

import { z } from "zod";
import { type Graph, INPUT } from "../../shared/model/graph.ts";
import { networkManifest } from "../../shared/model/manifest.ts";
import { largeStem, smallStem } from "../../shared/model/networks/residual.ts";
import { torchvisionResNet } from "../../shared/model/networks/resnet-torchvision.ts";
import { contributionLayout } from "../../shared/wire/contribution.ts";
import { blobLayout, encodeBlob, type Parameters } from "../../shared/wire/parameter-blob.ts";
import { outputOf, recordForward } from "../../worker/plan/forward.ts";
import { LaunchList, type Ref } from "../../worker/plan/launch-list.ts";
import { blobRefs } from "../../worker/plan/plan.ts";
import { everything } from "../fixtures/phases.ts";
import { type Comparison, compare, maxAbs } from "./compare.ts";
import { execute, roundData } from "./execute.ts";
import type { OracleCase, OracleTensor } from "./oracle-case.ts";
import type { Rig } from "./rig.ts";

/** Of a value, and of the largest of its tensor where that is below 1. */
const TOLERANCE = 1e-4;
/** Of the largest of a tensor whose values are so large that float32 itself comes no nearer. */
const LARGE_TOLERANCE = 1e-5;

const attributes = z.object({
  n: z.number(),
  h: z.number(),
  w: z.number(),
  blocks: z.array(z.number()).readonly(),
  widths: z.array(z.number()).readonly(),
  classes: z.number(),
  stem: z.enum(["imagenet", "cifar"]),
});

/** @param largest of the values that were rounded */
function close(
  name: string,
  actual: ArrayLike<number>,
  oracle: OracleTensor,
  largest = maxAbs(oracle.data),
): Comparison {
  return compare(name, actual, oracle, Math.max(TOLERANCE * Math.min(1, largest), LARGE_TOLERANCE * largest));
}

/** Mean over positions of [n][c][h][w], as [n][c]. */
function meanOf({ shape: [n, c, h, w], data }: OracleTensor): OracleTensor {
  const positions = h * w;
  const means = Float32Array.from({ length: n * c }, (_, at) =>
    data.subarray(at * positions, (at + 1) * positions).reduce((sum, value) => sum + value / positions, 0),
  );
  return { shape: [n, c], data: means };
}

/** The same network with a second reader of each map, so that no kernel keeps it to itself. */
function withMapsKept(graph: Graph): Graph {
  const readers = graph.maps.map(({ name, node }) => ({ op: "activation", kind: "relu", name, input: node }) as const);
  const shapes = graph.maps.map(({ node }) => graph.shapes[node]);
  return { ...graph, nodes: [...graph.nodes, ...readers], shapes: [...graph.shapes, ...shapes] };
}

/** torchvision's name of a compared map: `layer1.0.bn2` of `layer1.0.conv2`. */
const oracleMap = (name: string) => `out.map.${name.replace(/conv(\d+)$/, "bn$1")}`;

/** The network of a case, for images of so many channels. */
export function teacherGraph(
  { h, w, blocks, widths, classes, stem }: Omit<z.output<typeof attributes>, "n">,
  channels: number,
): Graph {
  return torchvisionResNet(
    { stem: stem === "imagenet" ? largeStem : smallStem, widths, blocks },
    {
      inputs: [{ name: INPUT, h, w, c: channels }],
      head: (builder, features) => builder.add({ op: "linear", name: "fc", input: features, out: classes }),
    },
  );
}

export async function verifyTeacherForward(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const { n, ...network } = attributes.parse(test.attributes);
  const graph = teacherGraph(network, test.tensor("in.images").shape[1]);
  const manifest = networkManifest(graph);
  const blob = blobLayout(manifest);
  const parameters: Parameters = new Map(manifest.entries.map(({ name }) => [name, test.weight(`in.${name}`)]));
  const x = test.map("in.images");
  const list = new LaunchList(rig.choose);
  const input: Ref = { kind: "external", buffer: "sample.input", offset: 0, bytes: 4 * x.length };
  const net = { parameter: blobRefs("parameters", blob) };

  // As a phase that needs the teacher records it: the maps' means, from kernels that add and rectify at once.
  const means = graph.maps.map(({ node }) => list.tensor(n * graph.shapes[node].c));
  const pooled = new Map(graph.maps.map(({ node }, i) => [node, means[i]]));
  const fused = outputOf(
    recordForward(list, graph, n, () => input, net, { pooled }),
    graph.output,
  );
  const kept = recordForward(list, withMapsKept(graph), n, () => input, net);
  const logits = outputOf(kept, graph.output);
  const maps = graph.maps.map(({ node }) => outputOf(kept, node));
  for (const ref of [fused, logits, ...means, ...maps]) list.keep(ref);

  const { tensors } = contributionLayout(manifest, everything);
  const executed = await execute(rig.cache, list, {
    ...(tensors.length > 0 ? roundData(manifest) : {}),
    parameters: encodeBlob(manifest, blob, parameters),
    "sample.input": x,
  });
  const wanted = test.tensor("out.logits");
  const results = [
    close("logits", await executed.read(logits), wanted),
    close("logits, fused", await executed.read(fused), wanted),
  ];
  for (const [i, { name }] of graph.maps.entries()) {
    const oracle = test.tensor(oracleMap(name));
    results.push(close(`map ${name}`, await executed.read(maps[i]), oracle));
    results.push(close(`mean of ${name}`, await executed.read(means[i]), meanOf(oracle), maxAbs(oracle.data)));
  }
  executed.destroy();
  const known = graph.maps.map(({ name }) => oracleMap(name));
  const unknown = test.names("out.map.").filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new RangeError(`the network has no ${unknown.join(", ")}`);
  return results;
}
