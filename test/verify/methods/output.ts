// What becomes of a case's sums before they leave the layer: XNOR-Net's K (`box`), or XNOR-Net++'s factors of channels,
// rows and columns (`gamma`).

import type { ConvolutionFields, GraphBuilder, NodeId } from "../../../shared/model/graph.ts";
import { type Comparison, maxAbs } from "../compare.ts";
import { NotSupported } from "../not-supported.ts";
import type { OracleCase } from "../oracle-case.ts";
import { summed } from "../tolerance.ts";

export type OutputKind = "box" | "gamma" | undefined;

/** @throws NotSupported */
export function outputKind(output: string | undefined): OutputKind {
  if (output === undefined || output === "box" || output === "gamma") return output;
  throw new NotSupported(`output ${output}`);
}

const axes = ["out", "h", "w"];
/** Prefix of the factors' parameters. */
const FACTORS = "l.gamma";

/** @param layer what the convolution read before its input was quantised */
export function addOutput(g: GraphBuilder, kind: OutputKind, layer: ConvolutionFields, input: NodeId): NodeId {
  const { input: other, kernel, stride, padding } = layer;
  switch (kind) {
    case undefined:
      return input;
    case "box":
      return g.add({ op: "inputscale", input, other, kernel, stride, padding });
    case "gamma":
      // A mask's node may have the name already.
      return g.add({ op: "gamma", name: "l.factors", weights: FACTORS, axes: ["c", "h", "w"], input });
    default:
      return kind satisfies never;
  }
}

const factor = (test: OracleCase, axis: string) => test.tensor(`in.gamma_${axis}`).data;

/** By their whole names. */
export function outputParameters(test: OracleCase, kind: OutputKind): Readonly<Record<string, Float32Array>> {
  return kind === "gamma" ? Object.fromEntries(axes.map((axis) => [`${FACTORS}.${axis}`, factor(test, axis)])) : {};
}

/** Greatest factor of the sums. */
export function outputGain(test: OracleCase, kind: OutputKind): number {
  switch (kind) {
    case undefined:
      return 1;
    case "box":
      return maxAbs(test.tensor("in.x").data);
    case "gamma":
      return axes.reduce((whole, axis) => whole * maxAbs(factor(test, axis)), 1);
    default:
      return kind satisfies never;
  }
}

export function outputGradients(
  test: OracleCase,
  kind: OutputKind,
  arena: ReadonlyMap<string, Float32Array>,
  { terms, product }: { readonly terms: number; readonly product: number },
): readonly Comparison[] {
  if (kind !== "gamma") return [];
  return axes.map((axis) => {
    const gradient = arena.get(`${FACTORS}.${axis}`);
    if (!gradient) throw new RangeError(`no gradient of ${FACTORS}.${axis}`);
    return summed(`dgamma_${axis}`, gradient, test, terms, product);
  });
}
