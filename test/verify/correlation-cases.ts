// Oracle cases of correlations: the kernels, for as many exemplars as there are, and where each search has one of its
// own, the node as a plan records it.

import { z } from "zod";
import { type CorrelationPass, correlationPass } from "../../kernels/convolution/pass/correlation.ts";
import { GraphBuilder } from "../../shared/model/graph.ts";
import { recordBackward } from "../../worker/plan/backward.ts";
import { outputOf, recordForward } from "../../worker/plan/forward.ts";
import { LaunchList, type Ref, type SampleBuffer } from "../../worker/plan/launch-list.ts";
import { outputElements } from "../../worker/plan/network-buffers.ts";
import { NodeGradients } from "../../worker/plan/node-gradients.ts";
import { type Comparison, maxAbs } from "./compare.ts";
import { execute, type HostData } from "./execute.ts";
import type { OracleCase } from "./oracle-case.ts";
import type { Rig } from "./rig.ts";
import { summed } from "./tolerance.ts";

const attributes = z.object({
  nz: z.number(),
  n: z.number(),
  c: z.number(),
  hz: z.number(),
  wz: z.number(),
  hx: z.number(),
  wx: z.number(),
  scale: z.number(),
});
type Attributes = z.output<typeof attributes>;

interface Results {
  readonly y: Ref;
  readonly dz: Ref;
  readonly dx: Ref;
}

type Inputs = Readonly<Record<"x" | "z" | "dy", Ref>>;

function byKernels(list: LaunchList, a: Attributes, inputs: Inputs, sizes: Readonly<Record<string, number>>): Results {
  const of = { n: a.n, exemplars: a.nz, channels: a.c, h: a.hx, w: a.wx, rows: a.hz, columns: a.wz };
  const pass = (verb: CorrelationPass["verb"]) => correlationPass(verb, of, { scale: a.scale });
  const [y, dz, dx] = [list.tensor(sizes.dy), list.tensor(sizes.z), list.tensor(sizes.x)];
  const { x, z: exemplars, dy } = inputs;
  list.convolve(pass("xcorrForward"), { x, z: exemplars, y });
  list.convolve(pass("xcorrExemplarGradient"), { dy, x, dz });
  list.convolve(pass("xcorrSearchGradient"), { dy, z: exemplars, dx });
  return { y, dz, dx };
}

function byGraph(list: LaunchList, a: Attributes, { x, z: exemplars, dy }: Inputs): Results {
  const g = new GraphBuilder({ name: "z", h: a.hz, w: a.wz, c: a.c }, { name: "x", h: a.hx, w: a.wx, c: a.c });
  const [exemplar, search] = g.inputs;
  const graph = g.build(g.add({ op: "xcorr", search, exemplar, scale: a.scale }));
  const none = (name: string) => {
    throw new RangeError(`no parameter named ${name}`);
  };
  const net = { parameter: none, statistic: none };
  const trace = recordForward(list, graph, a.n, (name) => (name === "z" ? exemplars : x), net);
  const gradients = new NodeGradients(list, outputElements(graph, a.n));
  gradients.add(graph.output, dy);
  recordBackward(list, graph, a.n, net, trace, gradients, { gradient: () => undefined, inputGradient: true });
  const gradient = (node: number) => {
    const found = gradients.get(node);
    if (!found) throw new RangeError(`no gradient of input ${node}`);
    return found;
  };
  return { y: outputOf(trace, graph.output), dz: gradient(exemplar), dx: gradient(search) };
}

export async function verifyCorrelation(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = attributes.parse(test.attributes);
  const data = { x: test.map("in.x"), z: test.map("in.z"), dy: test.map("grad.y") };
  const list = new LaunchList(rig.choose);
  const external = (name: "x" | "z" | "dy"): Ref => {
    const buffer: SampleBuffer = `sample.${name}`;
    return { kind: "external", buffer, offset: 0, bytes: data[name].byteLength };
  };
  const inputs = { x: external("x"), z: external("z"), dy: external("dy") };
  const sizes = { x: data.x.length, z: data.z.length, dy: data.dy.length };
  const ways = [byKernels(list, a, inputs, sizes), ...(a.n === a.nz ? [byGraph(list, a, inputs)] : [])];
  for (const { y, dz, dx } of ways) for (const ref of [y, dz, dx]) list.keep(ref);
  const held: HostData = { "sample.x": data.x, "sample.z": data.z, "sample.dy": data.dy };
  const executed = await execute(rig.cache, list, held);
  const [x, exemplar, dy] = [maxAbs(data.x), maxAbs(data.z), a.scale * maxAbs(data.dy)];
  const taps = a.hz * a.wz;
  const results: Comparison[] = [];
  for (const way of ways) {
    const read = {
      y: await executed.read(way.y),
      dz: await executed.read(way.dz),
      dx: await executed.read(way.dx),
    };
    results.push(
      summed("y", read.y, test, taps * a.c, a.scale * x * exemplar),
      summed("dz", read.dz, test, sizes.dy / a.nz, dy * x),
      summed("dx", read.dx, test, taps, dy * exemplar),
    );
  }
  executed.destroy();
  return results;
}
