// Nodes of methods that quantise, in float64 as their definitions in shared/model/graph.ts read.

import { type GraphNode, gammaParameter, planesOf } from "../../../shared/model/graph.ts";
import { type Tensor, tensor } from "./tensor.ts";

type Values = ReadonlyMap<string, ArrayLike<number>>;
type Node<Op extends GraphNode["op"]> = Extract<GraphNode, { op: Op }>;

const clip = (v: number) => Math.min(1, Math.max(0, v));

function roundEven(v: number): number {
  const floor = Math.floor(v);
  const rest = v - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** W̃ of a layer of bit planes, from planes of ±1. */
export function planeWeight(node: Node<"qconv">, channels: number, values: Values): Float64Array {
  const of = (name: string) => values.get(`${node.name}.${name}`)!;
  const { weight: form } = node;
  if (form.kind === "float") return Float64Array.from(of("weight"));
  const size = node.out * node.kernel ** 2 * channels;
  const [planes, c] = [of("planes"), of("c")];
  return Float64Array.from({ length: size }, (_, i) => {
    const signs = Array.from({ length: planesOf(form) }, (_, m) => planes[m * size + i]);
    const filter = Math.floor((i * node.out) / size);
    switch (form.kind) {
      case "linear":
        return signs.reduce((sum, s, m) => sum + s * c[form.scale === "out" ? m * node.out + filter : m], 0);
      case "ternary":
        return signs[1] < 0 ? 0 : signs[0] < 0 ? -c[1] : c[0];
      case "table": {
        const code = signs.reduce((sum, s, m) => sum + (s < 0 ? 2 ** m : 0), 0);
        return c[(form.scale === "out" ? filter * 2 ** form.planes : 0) + code];
      }
      default:
        return form satisfies never;
    }
  });
}

/** What a quantised map's bits stand for. */
export function quantised({ rule, name }: Node<"quantise">, x: Float64Array, values: Values): Float64Array {
  switch (rule.kind) {
    case "sign":
      return x.map((v) => (v < 0 ? -1 : 1));
    case "bits": {
      const levels = 2 ** rule.bits - 1;
      return x.map((v) => roundEven(clip(v) * levels) / levels);
    }
    case "bases": {
      const [shift, scale] = [Array.from(values.get(`${name}.shift`)!), values.get(`${name}.scale`)!];
      return x.map((v) => shift.reduce((sum, s, j) => sum + (clip(v + s) >= 0.5 ? scale[j] : -scale[j]), 0));
    }
    default:
      return rule satisfies never;
  }
}

/** Adds to dx, and to the sums of bases. */
export function quantisedBackward(
  { rule, name }: Node<"quantise">,
  x: Float64Array,
  dy: Float64Array,
  dx: Float64Array,
  values: Values,
  into: (name: string, size: number) => Float64Array,
): void {
  if (rule.kind !== "bases") {
    const slope = (v: number) => {
      if (rule.kind === "bits") return v >= 0 && v <= 1 ? 1 : 0;
      if (rule.surrogate === "bireal") return Math.max(0, 2 - 2 * Math.abs(v));
      return Math.abs(v) < 1 || (Math.abs(v) === 1 && rule.surrogate === "ste") ? 1 : 0;
    };
    dy.forEach((g, i) => {
      dx[i] += g * slope(x[i]);
    });
    return;
  }
  const [shift, scale] = [values.get(`${name}.shift`)!, values.get(`${name}.scale`)!];
  const [dshift, dscale] = [into(`${name}.shift`, rule.bases), into(`${name}.scale`, rule.bases)];
  dy.forEach((g, i) => {
    for (let j = 0; j < rule.bases; j++) {
      const moved = x[i] + shift[j];
      const passed = moved >= 0 && moved <= 1 ? g * scale[j] : 0;
      dx[i] += passed;
      dshift[j] += passed;
      dscale[j] += clip(moved) >= 0.5 ? g : -g;
    }
  });
}

/** A gamma node's factor of each axis at element i of its map; 1 where it has none. */
function gammaFactors(node: Node<"gamma">, { h, w, c }: Tensor, values: Values) {
  const places = {
    c: (i: number) => i % c,
    w: (i: number) => Math.floor(i / c) % w,
    h: (i: number) => Math.floor(i / (c * w)) % h,
  };
  return node.axes.map((axis) => {
    const name = gammaParameter(node, axis);
    const factors = values.get(name)!;
    return { name, size: factors.length, place: places[axis], at: (i: number) => factors[places[axis](i)] };
  });
}

export function gammaScaled(node: Node<"gamma">, x: Tensor, values: Values): Float64Array {
  const factors = gammaFactors(node, x, values);
  return x.values.map((v, i) => factors.reduce((product, { at }) => product * at(i), v));
}

export function gammaBackward(
  node: Node<"gamma">,
  x: Tensor,
  dy: Float64Array,
  dx: Float64Array,
  values: Values,
  into: (name: string, size: number) => Float64Array,
): void {
  const factors = gammaFactors(node, x, values);
  dy.forEach((g, i) => {
    dx[i] += factors.reduce((product, { at }) => product * at(i), g);
    factors.forEach(({ name, size, place }, mine) => {
      const others = factors.reduce((product, { at }, axis) => (axis === mine ? product : product * at(i)), g);
      into(name, size)[place(i)] += x.values[i] * others;
    });
  });
}

/** XNOR-Net's K, [n][oh][ow][1]. */
export function windowMeans(node: Node<"inputscale">, x: Tensor, { h, w }: { h: number; w: number }): Tensor {
  const k = tensor(x.n, { h, w, c: 1 });
  for (let at = 0; at < k.values.length; at++) {
    const [b, oy, ox] = [Math.floor(at / (h * w)), Math.floor(at / w) % h, at % w];
    for (let tap = 0; tap < node.kernel ** 2; tap++) {
      const iy = oy * node.stride + Math.floor(tap / node.kernel) - node.padding;
      const ix = ox * node.stride + (tap % node.kernel) - node.padding;
      if (iy < 0 || iy >= x.h || ix < 0 || ix >= x.w) continue;
      const pixel = ((b * x.h + iy) * x.w + ix) * x.c;
      for (let i = 0; i < x.c; i++) k.values[at] += Math.abs(x.values[pixel + i]) / (x.c * node.kernel ** 2);
    }
  }
  return k;
}
