// Oracle cases of activations as workers compute them: the values of a quantised map, its planes, what goes back, and
// what an output is scaled by.

import { z } from "zod";
import { gradientPeaks, quantiseGradient } from "../../kernels/layers/gradient-bits.ts";
import { GraphBuilder } from "../../shared/model/graph.ts";
import { outputOf, recordForward } from "../../worker/plan/forward.ts";
import { LaunchList, type Ref, type SampleBuffer } from "../../worker/plan/launch-list.ts";
import { type Comparison, compare, EPSILON, maxAbs } from "./compare.ts";
import { execute } from "./execute.ts";
import { quantiseRuleOf } from "./methods/activation.ts";
import { runOperator } from "./operator-program.ts";
import type { OracleCase } from "./oracle-case.ts";
import { planeComparisons } from "./plane-cases.ts";
import type { Rig } from "./rig.ts";
import { SAFETY } from "./tolerance.ts";

const shape = { n: z.number(), c: z.number(), h: z.number(), w: z.number() };
const attributes = z.looseObject({ ...shape, kind: z.string(), bases: z.number().default(1) });
const boxAttributes = z.object({ ...shape, k: z.number(), stride: z.number(), padding: z.number() });
const gradientAttributes = z.object({ ...shape, bits: z.number() });

export async function verifyActivation(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = attributes.parse(test.attributes);
  if (a.kind === "box") return verifyBox(rig, test);
  const rule = quantiseRuleOf(a);
  const g = new GraphBuilder({ h: a.h, w: a.w, c: a.c });
  // Of an activation that is none a convolution behind it reads the map itself.
  const graph = g.build(rule ? g.add({ op: "quantise", name: "l", rule, input: g.input }) : g.input);
  const names = rule?.kind === "bases" ? ["shift", "scale"] : [];
  const parameters = new Map(names.map((name) => [`l.${name}`, test.tensor(`in.${name}`).data]));
  const [x, dy] = [test.map("in.x"), test.map("grad.y")];
  const { y, dx, arena } = await runOperator(rig, graph, a.n, parameters, x, dy);

  const scales = rule?.kind === "bases" ? test.tensor("in.scale").data : Float32Array.of(1);
  const gain = scales.reduce((sum, scale) => sum + Math.abs(scale), 0);
  const [largest, seed] = [rule ? gain : 0, maxAbs(dy)];
  const within = (name: string, actual: ArrayLike<number>, terms: number, size: number) =>
    compare(name, actual, test.tensor(`out.${name}`), SAFETY * Math.sqrt(terms) * EPSILON * size);
  return [
    within("y", y, a.bases, largest),
    within("dx", dx, a.bases, 2 * gain * seed),
    ...names.map((name) => {
      const sum = arena.get(`l.${name}`);
      if (!sum) throw new RangeError(`no gradient of l.${name}`);
      return within(`d${name}`, sum, x.length, gain * seed);
    }),
    ...(await planeComparisons(rig, test, graph, a.n, parameters, x, "out.")),
  ];
}

/** K of a map, as what it makes of ones. */
async function verifyBox(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const { n, h, w, c, k: kernel, stride, padding } = boxAttributes.parse(test.attributes);
  const y = test.tensor("out.y");
  const [ones, x] = [new Float32Array(y.data.length).fill(1), test.map("in.x")];
  const g = new GraphBuilder({ name: "ones", h: y.shape[2], w: y.shape[3], c: 1 }, { name: "x", h, w, c });
  const graph = g.build(g.add({ op: "inputscale", input: g.inputs[0], other: g.inputs[1], kernel, stride, padding }));
  const list = new LaunchList(rig.choose);
  const data: Readonly<Record<SampleBuffer, Float32Array>> = { "sample.ones": ones, "sample.x": x };
  const input = (name: string): Ref => {
    const buffer: SampleBuffer = `sample.${name}`;
    return { kind: "external", buffer, offset: 0, bytes: data[buffer].byteLength };
  };
  const none = (name: string) => {
    throw new RangeError(`no parameter named ${name}`);
  };
  const result = outputOf(recordForward(list, graph, n, input, { parameter: none }), graph.output);
  list.keep(result);
  const executed = await execute(rig.cache, list, data);
  const values = await executed.read(result);
  executed.destroy();
  return [compare("y", values, y, SAFETY * Math.sqrt(c * kernel * kernel) * EPSILON * maxAbs(x))];
}

/** DoReFa-Net's gradient of few bits, with the case's noise; and as the node makes it, with noise of its own. */
export async function verifyGradientQuantizer(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const { n, c, h, w, bits } = gradientAttributes.parse(test.attributes);
  const [y, noise] = [test.map("grad.y"), test.map("in.noise")];
  const elements = c * h * w;
  const list = new LaunchList(rig.choose);
  const external = (buffer: SampleBuffer): Ref => ({ kind: "external", buffer, offset: 0, bytes: y.byteLength });
  const [peak, dx] = [list.tensor(n), list.tensor(n * elements)];
  const dy = external("sample.y");
  list.run(gradientPeaks({ n, elements }), { dy, peak });
  list.run(quantiseGradient({ n, elements, bits, accumulate: false }), {
    dy,
    peak,
    noise: external("sample.noise"),
    dx,
  });
  list.keep(dx);
  const executed = await execute(rig.cache, list, { "sample.y": y, "sample.noise": noise });
  const values = await executed.read(dx);
  executed.destroy();

  const g = new GraphBuilder({ h, w, c });
  const graph = g.build(g.add({ op: "gradientbits", bits, input: g.input }));
  const own = await runOperator(rig, graph, n, new Map(), y, y);
  // Half a step of noise, and half of rounding.
  const step = (2 * maxAbs(y)) / (2 ** bits - 1);
  return [
    compare("dx", values, test.tensor("out.dx"), SAFETY * EPSILON * 2 * maxAbs(y)),
    compare("dx of the node's own noise", own.dx, test.tensor("grad.y"), step * (1 + SAFETY * EPSILON)),
  ];
}
