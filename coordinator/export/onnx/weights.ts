// What a convolution multiplies by, as numbers of the file: floats, or codes of a few bits with the operators that look
// their values up.

import { channelsSeen, denseWeight } from "../../../shared/export/dense-weight.ts";
import type { ExportedModel, ExportedNodeOf } from "../../../shared/export/exported-model.ts";
import { floatsOf } from "../../../shared/export/read-exported.ts";
import { signBytes } from "../../../shared/export/tensor-shapes.ts";
import { planesOf, type WeightForm } from "../../../shared/model/graph.ts";
import { elementTypes } from "./onnx-file.ts";
import type { OnnxGraph } from "./onnx-graph.ts";

/** `float`: every weight in 32 bits. `packed`: those that the method quantised in the bits that they have. */
export const weightKinds = ["float", "packed"] as const;
export type WeightKind = (typeof weightKinds)[number];

type ConvolutionNode = ExportedNodeOf<"conv" | "rbconv" | "qconv">;
/** A layer whose weight is made of bit planes. */
type PlanesNode = ExportedNodeOf<"rbconv" | "qconv">;

/** A code lies in a byte; weights of more planes, which no method here makes, are floats. */
const MOST_CODE_BITS = 8;

/** Bits of a byte that a code takes: none crosses from one byte to the next. */
function fieldBits(planes: number): number {
  return 2 ** Math.ceil(Math.log2(planes));
}

const planeCount = (node: ConvolutionNode) => (node.op === "qconv" ? planesOf(node.weight) : 1);

const bytesOf = (model: ExportedModel, name: string) => model.tensors.get(name)!.bytes;

/** Output channels, input channels, rows and columns of a layer's weight. */
function weightDims(model: ExportedModel, id: number): readonly [number, number, number, number] {
  const node = model.nodes[id] as ConvolutionNode;
  return [node.out, channelsSeen(model, node), node.kernel, node.kernel];
}

/**
 * Σ_m bit_m 2^m of every weight.
 * @param bytes [planes][out][kh][kw][bytes], bit i % 8 of byte ⌊i / 8⌋ of input channel i
 * @returns [out][in][kh][kw]
 */
function weightCodes(bytes: Uint8Array, planes: number, dims: readonly [number, number, number, number]) {
  const [out, input, height, width] = dims;
  const area = height * width;
  const row = signBytes(input);
  const codes = new Uint8Array(out * input * area);
  for (let m = 0; m < planes; m++) {
    for (let o = 0; o < out; o++) {
      for (let at = 0; at < area; at++) {
        const from = ((m * out + o) * area + at) * row;
        for (let i = 0; i < input; i++) {
          codes[(o * input + i) * area + at] |= ((bytes[from + (i >> 3)] >> (i & 7)) & 1) << m;
        }
      }
    }
  }
  return codes;
}

/** Codes in fields of so many bits, the first in the lowest. */
function packedFields(codes: Uint8Array, bits: number): Uint8Array {
  const fields = 8 / bits;
  const bytes = new Uint8Array(Math.ceil(codes.length / fields));
  for (const [i, code] of codes.entries()) bytes[Math.floor(i / fields)] |= code << (bits * (i % fields));
  return bytes;
}

/** The value that each code stands for: of the whole layer, or [out][codes] where output channels have their own. */
interface CodeTable {
  readonly values: Float32Array;
  readonly perOut: boolean;
}

/** @param c the layer's scales, as the file has them */
function codeTable(form: Exclude<WeightForm, { readonly kind: "float" }>, out: number, c: Float32Array): CodeTable {
  const codes = 2 ** planesOf(form);
  switch (form.kind) {
    case "table":
      return { values: c, perOut: form.scale === "out" };
    case "ternary":
      // A set bit of the second plane makes a 0, one of the first −c[1].
      return { values: Float32Array.of(c[0], -c[1], 0, 0), perOut: false };
    case "linear": {
      const perOut = form.scale === "out";
      const rows = perOut ? out : 1;
      const values = Float32Array.from({ length: rows * codes }, (_, at) => {
        const [row, code] = [Math.floor(at / codes), at % codes];
        let sum = 0;
        for (let m = 0; m < form.planes; m++) sum += c[m * rows + row] * ((code >> m) & 1 ? -1 : 1);
        return sum;
      });
      return { values, perOut };
    }
    default:
      return form satisfies never;
  }
}

/** Operators that make codes i32 of `dims` of what the file has in fields of a few bits. */
function unpackedCodes(
  graph: OnnxGraph,
  name: string,
  codes: Uint8Array,
  planes: number,
  dims: readonly number[],
): string {
  const bits = fieldBits(planes);
  const packed = packedFields(codes, bits);
  const fields = 8 / bits;
  const list = (...values: number[]) => graph.constant("i64", values);
  let made = graph.tensor(`${name}.codes`, "u8", [packed.length, 1], packed);
  if (fields > 1) {
    const shifts = graph.constant(
      "u8",
      Array.from({ length: fields }, (_, i) => i * bits),
    );
    made = graph.add("BitShift", `${name}.shifted`, [made, shifts], { direction: { text: "RIGHT" } });
    made = graph.add("Mod", `${name}.fields`, [made, graph.constant("u8", 2 ** bits)]);
  }
  if (packed.length * fields !== codes.length) {
    made = graph.add("Reshape", `${name}.row`, [made, list(-1)]);
    made = graph.add("Slice", `${name}.whole`, [made, list(0), list(codes.length)]);
  }
  made = graph.add("Reshape", `${name}.shaped`, [made, list(...dims)]);
  return graph.add("Cast", `${name}.index`, [made], { to: { int: elementTypes.i32 } });
}

/** The value of each code: one lookup in a row of all tables, where every output channel's begins at its own place. */
function lookedUp(
  graph: OnnxGraph,
  name: string,
  { values, perOut }: CodeTable,
  codes: string,
  [out]: readonly number[],
): string {
  const table = graph.tensor(`${name}.values`, "f32", [values.length], values);
  if (!perOut) return graph.add("Gather", name, [table, codes]);
  const each = values.length / out;
  const first = graph.tensor(
    `${name}.first`,
    "i32",
    [out, 1, 1, 1],
    Array.from({ length: out }, (_, o) => o * each),
  );
  return graph.add("Gather", name, [table, graph.add("Add", `${name}.place`, [codes, first])]);
}

/** Of a sign: a set bit is −1. */
const SIGNS: CodeTable = { values: Float32Array.of(1, -1), perOut: false };

function packedWeight(graph: OnnxGraph, model: ExportedModel, id: number, name: string, node: PlanesNode): string {
  const dims = weightDims(model, id);
  const codesOf = (tensor: string, planes: number) => weightCodes(bytesOf(model, tensor), planes, dims);
  if (node.op === "rbconv") {
    const { signs, c } = node.tensors;
    const unpacked = unpackedCodes(graph, name, codesOf(signs, 1), 1, dims);
    const ones = lookedUp(graph, `${name}.signs`, SIGNS, unpacked, dims);
    return graph.add("Mul", name, [ones, floatTensor(graph, model, c)]);
  }
  const { weight: form, tensors } = node;
  if (form.kind === "float" || tensors.planes === undefined || tensors.c === undefined) {
    throw new RangeError(`${node.name}: a weight of floats has no planes`);
  }
  const planes = planesOf(form);
  const unpacked = unpackedCodes(graph, name, codesOf(tensors.planes, planes), planes, dims);
  return lookedUp(graph, name, codeTable(form, node.out, floatsOf(model, tensors.c)), unpacked, dims);
}

/** A tensor of the exported file as it is, once however many nodes share it. */
export function floatTensor(graph: OnnxGraph, model: ExportedModel, name: string): string {
  return graph.once(`floats:${name}`, () =>
    graph.tensor(name, "f32", model.tensors.get(name)!.shape, floatsOf(model, name)),
  );
}

/** The weight of a convolution, [out][in][kh][kw], once however many layers share it. */
export function convolutionWeight(graph: OnnxGraph, model: ExportedModel, id: number, kind: WeightKind): string {
  const node = model.nodes[id] as ConvolutionNode;
  if (node.op !== "rbconv" && node.tensors.weight !== undefined) return floatTensor(graph, model, node.tensors.weight);
  const planes = node as PlanesNode;
  const name = `${node.name}.weight`;
  return graph.once(`weight:${JSON.stringify(node.tensors)}`, () =>
    kind === "packed" && planeCount(node) <= MOST_CODE_BITS
      ? packedWeight(graph, model, id, name, planes)
      : graph.tensor(name, "f32", weightDims(model, id), denseWeight(model, node)),
  );
}
