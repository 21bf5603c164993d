// What a convolution of few bits multiplies by, as floats: for whoever computes with other runtimes, and to check those
// that count bits.

import { type Shape4, toOihw } from "../model/axes.ts";
import { planesOf as planeCount, seenChannels, type WeightForm } from "../model/graph.ts";
import { unpackSignPlanes } from "../model/sign-planes.ts";
import type { ExportedModel, ExportedNodeOf } from "./exported-model.ts";
import { floatsOf, planesOf } from "./read-exported.ts";

export type ConvolutionNode = ExportedNodeOf<"conv" | "rbconv" | "qconv">;

/** The weight of one element. @param plane of ±1, of this element */
function elementOf(
  form: Exclude<WeightForm, { readonly kind: "float" }>,
  c: Float32Array,
  out: number,
  outs: number,
  plane: (m: number) => number,
): number {
  const planes = planeCount(form);
  switch (form.kind) {
    case "linear": {
      let sum = 0;
      for (let m = 0; m < planes; m++) sum += plane(m) * c[form.scale === "out" ? m * outs + out : m]!;
      return sum;
    }
    case "ternary":
      if (plane(1) < 0) return 0;
      return plane(0) > 0 ? c[0]! : -c[1]!;
    case "table": {
      let index = 0;
      for (let m = 0; m < planes; m++) if (plane(m) < 0) index += 2 ** m;
      return c[form.scale === "out" ? out * 2 ** planes + index : index]!;
    }
    default:
      return form satisfies never;
  }
}

/** Channels of the input that an output of the layer sees. */
export function channelsSeen({ shapes }: Pick<ExportedModel, "shapes">, node: ConvolutionNode): number {
  return seenChannels(node.op === "qconv" ? {} : node, shapes[node.input]!.c);
}

/** The weight that a convolution sees, float32 [out][in][kh][kw], `in` being the channels of a group. */
export function denseWeight(model: ExportedModel, node: ConvolutionNode): Float32Array<ArrayBuffer> {
  if (node.op === "conv") return floatsOf(model, node.tensors.weight);
  if (node.op === "qconv" && node.weight.kind === "float") return floatsOf(model, node.tensors.weight!);
  const { out, kernel } = node;
  const channels = channelsSeen(model, node);
  const each = kernel * kernel * channels;
  const shape: Shape4 = [out, channels, kernel, kernel];
  if (node.op === "rbconv") {
    const signs = unpackSignPlanes(planesOf(model, node.tensors.signs), out * kernel * kernel, channels);
    return scaled(
      toOihw(signs, shape),
      shape,
      floatsOf(model, node.tensors.c),
      model.tensors.get(node.tensors.c)!.shape,
    );
  }
  const form = node.weight as Exclude<WeightForm, { readonly kind: "float" }>;
  const planes = planeCount(form);
  const bits = unpackSignPlanes(planesOf(model, node.tensors.planes!), planes * out * kernel * kernel, channels);
  const c = floatsOf(model, node.tensors.c!);
  const weight = new Float32Array(out * each);
  for (let i = 0; i < weight.length; i++) {
    weight[i] = elementOf(form, c, Math.floor(i / each), out, (m) => bits[m * weight.length + i]!);
  }
  return toOihw(weight, shape);
}

/** ±1 times a scale that is broadcast over [out][in][kh][kw]. */
function scaled(
  signs: Float32Array<ArrayBuffer>,
  [outs, ins, rows, columns]: Shape4,
  c: Float32Array,
  shape: readonly number[],
): Float32Array<ArrayBuffer> {
  const [so, si, sh, sw] = shape as Shape4;
  let at = 0;
  for (let o = 0; o < outs; o++) {
    for (let i = 0; i < ins; i++) {
      for (let y = 0; y < rows; y++) {
        for (let x = 0; x < columns; x++) {
          const from = (((so > 1 ? o : 0) * si + (si > 1 ? i : 0)) * sh + (sh > 1 ? y : 0)) * sw + (sw > 1 ? x : 0);
          signs[at++]! *= c[from]!;
        }
      }
    }
  }
  return signs;
}
