// Operands of convolutions over bit planes: data for a pass, and what it should give, from the values that the planes
// stand for.
import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import { type PlaneOperands, planeForm, planeScales } from "../../kernels/convolution/pass/planes.ts";
import type { WindowShape } from "../../shared/model/window.ts";
import type { Tensor } from "../fixtures/device.ts";
import { uniform, uniformWithZeros } from "./data.ts";
import { convolution, inputSize, outputSize, type Sums, sign, signPlanes, weightSize } from "./reference.ts";

export type PlanesPass = Extract<ConvolutionPass, { readonly verb: "planesConvForward" }>;

export const OPERANDS: readonly PlaneOperands[] = [
  { activations: { kind: "bits", bits: 2 }, weights: { kind: "linear", planes: 2, scale: "layer" } },
  { activations: { kind: "sign" }, weights: { kind: "ternary" } },
  { activations: { kind: "bases", bases: 3 }, weights: { kind: "linear", planes: 3, scale: "out" } },
  { activations: { kind: "bits", bits: 1 }, weights: { kind: "linear", planes: 1, scale: "layer" } },
  { activations: { kind: "bits", bits: 3 }, weights: { kind: "ternary" } },
  { activations: { kind: "sign" }, weights: { kind: "linear", planes: 2, scale: "out" } },
  { activations: { kind: "bases", bases: 2 }, weights: { kind: "ternary" } },
  { activations: { kind: "bits", bits: 4 }, weights: { kind: "linear", planes: 1, scale: "out" } },
  { activations: { kind: "bases", bases: 1 }, weights: { kind: "linear", planes: 5, scale: "layer" } },
];

/** The operands that are due at a turn. */
export function planesPass(shape: WindowShape, turn: number): PlanesPass {
  return { verb: "planesConvForward", shape, ...OPERANDS[turn % OPERANDS.length]! };
}

interface Planes {
  /** Set bits are where a value is negative. */
  readonly a: Float32Array<ArrayBuffer>;
  readonly w: Float32Array<ArrayBuffer>;
  readonly c: Float32Array<ArrayBuffer>;
  readonly b: Float32Array<ArrayBuffer>;
}

function planesOf(pass: PlanesPass): Planes {
  const { shape } = pass;
  const { activations, weights } = planeForm(pass);
  return {
    a: uniformWithZeros(activations * inputSize(shape), 1),
    w: uniformWithZeros(weights * weightSize(shape), 2),
    c: uniform(planeScales(pass, shape), 3).map((v) => v + 1.25),
    b: uniform(activations, 4),
  };
}

/** x̃, a value of [n][h][w][in] each. */
function activationValues({ activations: rule, shape }: PlanesPass, { a, b }: Planes): Float64Array {
  const size = inputSize(shape);
  return Float64Array.from({ length: size }, (_, i) => {
    switch (rule.kind) {
      case "sign":
        return sign(a[i]!);
      case "bits": {
        let level = 0;
        for (let j = 0; j < rule.bits; j++) level += a[j * size + i]! < 0 ? 2 ** j : 0;
        return level / (2 ** rule.bits - 1);
      }
      case "bases": {
        let value = 0;
        for (let j = 0; j < rule.bases; j++) value += b[j]! * sign(a[j * size + i]!);
        return value;
      }
      default:
        return rule satisfies never;
    }
  });
}

/** W̃, a value of [out][kh][kw][in] each. */
function weightValues({ weights: form, shape }: PlanesPass, { w, c }: Planes): Float64Array {
  const size = weightSize(shape);
  return Float64Array.from({ length: size }, (_, i) => {
    if (form.kind === "ternary") return w[size + i]! < 0 ? 0 : w[i]! < 0 ? -c[1]! : c[0]!;
    const o = Math.floor((i * shape.out) / size);
    let value = 0;
    for (let m = 0; m < form.planes; m++) {
      value += (form.scale === "out" ? c[m * shape.out + o]! : c[m]!) * sign(w[m * size + i]!);
    }
    return value;
  });
}

/** Bindings of a pass, with y full of NaN. */
export function planesBindings(pass: PlanesPass): Readonly<Record<string, Tensor>> {
  const { shape } = pass;
  const { a, w, c, b } = planesOf(pass);
  return {
    a: signPlanes(a, a.length / shape.in, shape.in),
    w: signPlanes(w, w.length / shape.in, shape.in),
    c,
    ...(pass.activations.kind === "bases" ? { b } : {}),
    y: new Float32Array(outputSize(shape)).fill(Number.NaN),
  };
}

/** y, and as its greatest product that of any pair of planes, for these are added apart. */
export function planesExpected(pass: PlanesPass): Sums {
  const planes = planesOf(pass);
  const sums = convolution(pass.shape, activationValues(pass, planes), weightValues(pass, planes));
  const magnitude = (values: Float32Array) => values.reduce((sum, v) => sum + Math.abs(v), 0);
  const b = pass.activations.kind === "bases" ? magnitude(planes.b) : 1;
  return { ...sums, greatest: b * magnitude(planes.c) };
}
