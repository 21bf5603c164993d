// A network's forward and backward pass in float64, as SPEC.md's equations read, and nothing of the kernels: what the
// vectors of steps were computed with.

import { type Graph, type GraphNode, type NodeId, seenChannels } from "../../../shared/model/graph.ts";
import { gammaScaled, planeWeight, quantised, windowMeans } from "./quantised.ts";
import { eachTap, signOf, type Tensor, tensor } from "./tensor.ts";

export type Values = ReadonlyMap<string, ArrayLike<number>>;

const EPSILON = 1e-5;

export interface Trace {
  readonly outputs: readonly Tensor[];
  /** Of each batch norm: mean and 1/√(variance + ε) that it normalised with. */
  readonly norms: ReadonlyMap<NodeId, { readonly mean: Float64Array; readonly inverse: Float64Array }>;
  /** Batch mean and unbiased variance, by the names of contributions; empty with running statistics. */
  readonly statistics: Map<string, Float64Array>;
}

function need(values: Values, name: string): ArrayLike<number> {
  const found = values.get(name);
  if (!found) throw new RangeError(`no value of ${name}`);
  return found;
}

/** W̃ of a binary layer: ±1 times the entry of C that the element shares. */
export function effectiveWeight(node: Extract<GraphNode, { op: "rbconv" }>, channels: number, values: Values) {
  const weight = need(values, `${node.name}.weight`);
  const c = need(values, `${node.name}.c`);
  const taps = node.kernel * node.kernel;
  const entry = (i: number): number => {
    const [out, tap, input] = [Math.floor(i / (taps * channels)), Math.floor(i / channels) % taps, i % channels];
    return { layer: 0, out, kernel: tap, filter: tap * channels + input }[node.rectify];
  };
  return Float64Array.from(weight, (w, i) => signOf(w) * c[entry(i)]);
}

function convolve(
  x: Tensor,
  y: Tensor,
  node: Parameters<typeof eachTap>[2] & { readonly groups?: number },
  weight: ArrayLike<number>,
): void {
  const taps = node.kernel ** 2;
  const seen = x.c / (node.groups ?? 1);
  eachTap(x, y, node, (to, from, tap) => {
    for (let o = 0; o < y.c; o++) {
      const first = from * x.c + firstSeen(node, o, x.c, y.c);
      for (let i = 0; i < seen; i++)
        y.values[to * y.c + o] += x.values[first + i] * weight[(o * taps + tap) * seen + i];
    }
  });
}

/** The first of the input channels that output `o` of `outputs` sees. */
export function firstSeen({ groups = 1 }: { readonly groups?: number }, o: number, inputs: number, outputs: number) {
  return Math.floor((o * groups) / outputs) * (inputs / groups);
}

/** @param batch normalise with the batch's own statistics, else with the running ones */
export function forward(graph: Graph, input: Tensor, values: Values, batch: boolean): Trace {
  const outputs: Tensor[] = [];
  const norms = new Map<NodeId, { mean: Float64Array; inverse: Float64Array }>();
  const statistics = new Map<string, Float64Array>();
  graph.nodes.forEach((node, id) => {
    if (node.op === "input") {
      outputs.push(input);
      return;
    }
    if (node.op === "xcorr") throw new RangeError("no vector has a response of two inputs");
    const x = outputs[node.input];
    const y = tensor(x.n, graph.shapes[id]);
    outputs.push(y);
    switch (node.op) {
      case "conv":
        convolve(x, y, node, need(values, `${node.name}.weight`));
        return;
      case "rbconv":
        convolve(
          { ...x, values: x.values.map(signOf) },
          y,
          node,
          effectiveWeight(node, seenChannels(node, x.c), values),
        );
        return;
      case "linear": {
        const bias = need(values, `${node.name}.bias`);
        convolve(x, y, { kernel: 1, stride: 1, padding: 0 }, need(values, `${node.name}.weight`));
        y.values.forEach((value, i) => {
          y.values[i] = value + bias[i % y.c];
        });
        return;
      }
      case "batchnorm": {
        const rows = x.values.length / x.c;
        const mean = Float64Array.from({ length: x.c }, () => 0);
        const variance = new Float64Array(x.c);
        if (batch) {
          x.values.forEach((value, i) => {
            mean[i % x.c] += value / rows;
          });
          x.values.forEach((value, i) => {
            variance[i % x.c] += (value - mean[i % x.c]) ** 2 / rows;
          });
          statistics.set(`${node.name}.running_mean`, mean);
          statistics.set(
            `${node.name}.running_var`,
            variance.map((v) => (v * rows) / Math.max(rows - 1, 1)),
          );
        } else {
          mean.set(need(values, `${node.name}.running_mean`));
          variance.set(need(values, `${node.name}.running_var`));
        }
        const inverse = variance.map((v) => 1 / Math.sqrt(v + EPSILON));
        norms.set(id, { mean, inverse });
        const [weight, bias] = ["weight", "bias"].map((name) => need(values, `${node.name}.${name}`));
        x.values.forEach((value, i) => {
          const c = i % x.c;
          y.values[i] = (value - mean[c]) * inverse[c] * weight[c] + bias[c];
        });
        return;
      }
      case "activation": {
        const slope = node.kind === "prelu" ? need(values, `${node.name}.weight`) : [];
        x.values.forEach((v, i) => {
          if (node.kind === "hardtanh") y.values[i] = Math.max(-1, Math.min(1, v));
          else y.values[i] = v > 0 ? v : node.kind === "prelu" ? v * slope[i % x.c] : 0;
        });
        return;
      }
      case "pool":
        if (node.kind === "max") y.values.fill(-Infinity);
        eachTap(x, y, node, (to, from) => {
          for (let c = 0; c < x.c; c++) {
            const value = x.values[from * x.c + c];
            if (node.kind === "max") y.values[to * x.c + c] = Math.max(y.values[to * x.c + c], value);
            else y.values[to * x.c + c] += value / node.kernel ** 2;
          }
        });
        return;
      case "globalpool":
        x.values.forEach((value, i) => {
          y.values[Math.floor(i / (x.h * x.w * x.c)) * x.c + (i % x.c)] += value / (x.h * x.w);
        });
        return;
      case "add":
        y.values.set(x.values.map((value, i) => value + outputs[node.other].values[i]));
        return;
      case "qconv":
        convolve(x, y, node, planeWeight(node, x.c, values));
        return;
      case "quantise":
        y.values.set(quantised(node, x.values, values));
        return;
      case "gamma":
        y.values.set(gammaScaled(node, x, values));
        return;
      case "inputscale": {
        const k = windowMeans(node, outputs[node.other], y);
        y.values.set(x.values.map((value, i) => value * k.values[Math.floor(i / x.c)]));
        return;
      }
      case "gradientbits":
        y.values.set(x.values);
        return;
      default:
        node satisfies never;
    }
  });
  return { outputs, norms, statistics };
}
