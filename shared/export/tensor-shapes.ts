// Which tensors a node computes with, of which dtype and shape in the file: what a writer makes and a reader checks.

import { planesOf, type Shape, scaleShape, seenChannels } from "../model/graph.ts";
import { signWords } from "../model/window.ts";
import type { ExportedNode } from "./exported-model.ts";

export interface TensorShape {
  readonly dtype: "F32" | "U8";
  /** In PyTorch's order. */
  readonly shape: readonly number[];
}

/** Bytes that hold a sign of each channel: whole words of 32 bits, so that they may be read as such. */
export function signBytes(channels: number): number {
  return 4 * signWords(channels);
}

const floats = (...shape: number[]): TensorShape => ({ dtype: "F32", shape });

/** Whether a scale of four axes can be broadcast over [out][in][kh][kw]. */
function broadcasts(shape: readonly number[], over: readonly number[]): boolean {
  return shape.length === over.length && shape.every((length, axis) => length === 1 || length === over[axis]);
}

/**
 * By what they are to the node, in the file's order.
 * @param input the shape of the map that it takes
 * @param given the shape of a tensor in the file, of which one of several is allowed: the scale of an `rbconv`
 */
export function tensorShapes(
  node: ExportedNode,
  { h, w, c: channels }: Shape,
  given: (name: string) => readonly number[] | undefined,
): Readonly<Record<string, TensorShape>> {
  switch (node.op) {
    case "input":
    case "inputscale":
    case "pool":
    case "globalpool":
    case "add":
      return {};
    case "conv":
      return { weight: floats(node.out, seenChannels(node, channels), node.kernel, node.kernel) };
    case "rbconv": {
      const seen = seenChannels(node, channels);
      const over = [node.out, seen, node.kernel, node.kernel];
      const scale = given(node.tensors.c) ?? [];
      return {
        signs: { dtype: "U8", shape: [node.out, node.kernel, node.kernel, signBytes(seen)] },
        c: floats(...(broadcasts(scale, over) ? scale : over)),
      };
    }
    case "qconv": {
      const { weight: form, out, kernel } = node;
      if (form.kind === "float") return { weight: floats(out, channels, kernel, kernel) };
      const planes = planesOf(form);
      return {
        planes: { dtype: "U8", shape: [planes, out, kernel, kernel, signBytes(channels)] },
        c: floats(...scaleShape(form, out)),
      };
    }
    case "quantise":
      if (node.rule.kind !== "bases") return {};
      return { shift: floats(node.rule.bases), scale: floats(node.rule.bases) };
    case "gamma": {
      const lengths = { c: channels, h, w };
      const axes = (["c", "h", "w"] as const).filter((axis) => node.tensors[axis] !== undefined);
      return Object.fromEntries(axes.map((axis) => [axis, floats(lengths[axis])]));
    }
    case "batchnorm":
      return { weight: floats(channels), bias: floats(channels), mean: floats(channels), variance: floats(channels) };
    case "activation":
      return node.kind === "prelu" ? { weight: floats(channels) } : {};
    case "linear":
      return { weight: floats(node.out, channels), bias: floats(node.out) };
    default:
      return node satisfies never;
  }
}
