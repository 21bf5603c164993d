// The way back through a network, in float64.

import { type Graph, type NodeId, seenChannels } from "../../../shared/model/graph.ts";
import type { Surrogate } from "../../../shared/model/rectify.ts";
import { effectiveWeight, firstSeen, type Trace, type Values } from "./network.ts";
import { gammaBackward, planeWeight, quantisedBackward, windowMeans } from "./quantised.ts";
import { eachTap, signOf, tensor } from "./tensor.ts";

/** s(x) of a sign for |x| (SPEC.md, annex 6). */
function slopeOf(surrogate: Surrogate, size: number): number {
  if (surrogate === "bireal") return Math.max(0, 2 - 2 * size);
  return size < 1 || (surrogate === "ste" && size === 1) ? 1 : 0;
}

/** What reaches a weight from gradients of the output, and what reaches the input. */
type Window = Parameters<typeof eachTap>[2] & { readonly groups?: number };

/**
 * Gradients of parameters by name; of a binary layer's weight it is ∂L/∂W̃.
 * @param seeds ∂L/∂output of the nodes that the loss looks at
 */
export function backward(
  graph: Graph,
  { outputs, norms }: Trace,
  values: Values,
  seeds: ReadonlyMap<NodeId, Float64Array>,
): Map<string, Float64Array> {
  const gradients = new Map<string, Float64Array>();
  const d = outputs.map(({ values: y }, id) => Float64Array.from(seeds.get(id) ?? new Float64Array(y.length)));
  const into = (name: string, size: number) => {
    const found = gradients.get(name) ?? new Float64Array(size);
    gradients.set(name, found);
    return found;
  };
  const linear = (
    id: NodeId,
    from: NodeId,
    node: Window,
    name: string,
    weight: ArrayLike<number>,
    sees: (x: number) => number,
    passes: (x: number) => number,
  ) => {
    const [x, y, dy, dx] = [outputs[from], outputs[id], d[id], d[from]];
    const taps = node.kernel ** 2;
    const seen = seenChannels(node, x.c);
    const dw = into(`${name}.weight`, y.c * taps * seen);
    eachTap(x, y, node, (to, at, tap) => {
      for (let o = 0; o < y.c; o++) {
        const g = dy[to * y.c + o];
        const first = at * x.c + firstSeen(node, o, x.c, y.c);
        for (let i = 0; i < seen; i++) {
          const [value, w] = [x.values[first + i], (o * taps + tap) * seen + i];
          dw[w] += g * sees(value);
          dx[first + i] += g * weight[w] * passes(value);
        }
      }
    });
  };
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    const node = graph.nodes[id];
    if (node.op === "input") continue;
    if (node.op === "xcorr") throw new RangeError("no vector has a response of two inputs");
    const [x, dy, dx] = [outputs[node.input], d[id], d[node.input]];
    const { c } = x;
    switch (node.op) {
      case "conv":
        linear(
          id,
          node.input,
          node,
          node.name,
          values.get(`${node.name}.weight`)!,
          (v) => v,
          () => 1,
        );
        break;
      case "rbconv":
        linear(id, node.input, node, node.name, effectiveWeight(node, seenChannels(node, c), values), signOf, (v) =>
          slopeOf(node.surrogate, Math.abs(v)),
        );
        break;
      case "linear": {
        const one = { kernel: 1, stride: 1, padding: 0 };
        linear(
          id,
          node.input,
          one,
          node.name,
          values.get(`${node.name}.weight`)!,
          (v) => v,
          () => 1,
        );
        const db = into(`${node.name}.bias`, node.out);
        dy.forEach((g, i) => {
          db[i % node.out] += g;
        });
        break;
      }
      case "batchnorm": {
        const { mean, inverse } = norms.get(id)!;
        const weight = values.get(`${node.name}.weight`)!;
        const [dw, db] = ["weight", "bias"].map((name) => into(`${node.name}.${name}`, c));
        const normal = x.values.map((v, i) => (v - mean[i % c]) * inverse[i % c]);
        dy.forEach((g, i) => {
          dw[i % c] += g * normal[i];
          db[i % c] += g;
        });
        const rows = dy.length / c;
        dy.forEach((g, i) => {
          const k = i % c;
          dx[i] += weight[k] * inverse[k] * (g - db[k] / rows - (normal[i] * dw[k]) / rows);
        });
        break;
      }
      case "activation": {
        const slope = node.kind === "prelu" ? values.get(`${node.name}.weight`)! : [];
        const ds = node.kind === "prelu" ? into(`${node.name}.weight`, c) : [];
        dy.forEach((g, i) => {
          const v = x.values[i];
          if (node.kind === "hardtanh") dx[i] += Math.abs(v) < 1 ? g : 0;
          else if (v > 0) dx[i] += g;
          else if (node.kind === "prelu") {
            dx[i] += g * slope[i % c];
            ds[i % c] += g * v;
          }
        });
        break;
      }
      case "pool": {
        const y = outputs[id];
        const taken = new Uint8Array(dy.length);
        eachTap(x, y, node, (to, at) => {
          for (let k = 0; k < c; k++) {
            const g = dy[to * c + k];
            if (node.kind === "avg") dx[at * c + k] += g / node.kernel ** 2;
            else if (!taken[to * c + k] && x.values[at * c + k] === y.values[to * c + k]) {
              taken[to * c + k] = 1;
              dx[at * c + k] += g;
            }
          }
        });
        break;
      }
      case "globalpool":
        dx.forEach((_, i) => {
          dx[i] += dy[Math.floor(i / (x.h * x.w * c)) * c + (i % c)] / (x.h * x.w);
        });
        break;
      case "add":
        dy.forEach((g, i) => {
          dx[i] += g;
          d[node.other][i] += g;
        });
        break;
      case "qconv":
        linear(
          id,
          node.input,
          node,
          node.name,
          planeWeight(node, c, values),
          (v) => v,
          () => 1,
        );
        break;
      case "quantise":
        quantisedBackward(node, x.values, dy, dx, values, into);
        break;
      case "gamma":
        gammaBackward(node, x, dy, dx, values, into);
        break;
      case "inputscale": {
        const k = windowMeans(node, outputs[node.other], outputs[id]);
        dy.forEach((g, i) => {
          dx[i] += g * k.values[Math.floor(i / c)];
        });
        break;
      }
      case "gradientbits":
        throw new RangeError("what noise a device adds to a gradient, the reference does not know");
      default:
        node satisfies never;
    }
  }
  return gradients;
}

/** ∂L/∂(a map's mean over positions) spread over the positions. */
export function spread(
  dPooled: Float64Array,
  n: number,
  { h, w, c }: { h: number; w: number; c: number },
): Float64Array {
  return tensor(n, { h, w, c }).values.map((_, i) => dPooled[Math.floor(i / (h * w * c)) * c + (i % c)] / (h * w));
}
