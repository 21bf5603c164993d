// A model as bytes of the Open Neural Network Exchange: the protocol buffers of onnx/onnx.proto, of which these few
// messages and fields are written.

import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** Of the format itself. Opset 13 came with this one, and every runtime since November 2020 reads both. */
const IR_VERSION = 7;
/** Of the standard operators. */
export const OPSET = 13;

/** TensorProto.DataType */
export const elementTypes = { f32: 1, u8: 2, i32: 6, i64: 7 } as const;
export type ElementType = keyof typeof elementTypes;

/** AttributeProto.AttributeType */
const attributeTypes = { float: 1, int: 2, text: 3, ints: 7 } as const;

export type OnnxAttribute =
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly text: string };

export interface OnnxTensor {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** Little-endian, in the order of the axes. */
  readonly data: Uint8Array;
}

export interface OnnxNode {
  readonly name: string;
  /** The operator's name in the standard. */
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** An axis of what goes in or out, by its length or, where each call may have another, its name. */
export interface OnnxAxis {
  readonly length: number | string;
  /** What it counts, by the standard's word (docs/DimensionDenotation.md). */
  readonly denotation?: string;
}

/** What goes in or out, of float32. */
export interface OnnxValue {
  readonly name: string;
  readonly axes: readonly OnnxAxis[];
  readonly text: string;
  /** What it is, by the standard's word (docs/TypeDenotation.md). */
  readonly denotation?: string;
}

export interface OnnxModel {
  readonly producer: string;
  readonly producerVersion: string;
  /** Of the same network at another time. */
  readonly version: number;
  readonly text: string;
  /** For machines; a name has one value. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly graph: {
    readonly name: string;
    readonly text: string;
    /** Each after those that it takes from. */
    readonly nodes: readonly OnnxNode[];
    readonly tensors: readonly OnnxTensor[];
    readonly inputs: readonly OnnxValue[];
    readonly outputs: readonly OnnxValue[];
  };
}

const text = (writer: BinaryWriter, field: number, value: string) =>
  writer.tag(field, WireType.LengthDelimited).string(value);
const whole = (writer: BinaryWriter, field: number, value: number) => writer.tag(field, WireType.Varint).int64(value);

function message(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write();
  writer.join();
}

function writeAttribute(writer: BinaryWriter, name: string, value: OnnxAttribute): void {
  text(writer, 1, name);
  if ("int" in value) {
    whole(writer, 3, value.int);
    writer.tag(20, WireType.Varint).int32(attributeTypes.int);
  } else if ("float" in value) {
    writer.tag(2, WireType.Bit32).float(value.float);
    writer.tag(20, WireType.Varint).int32(attributeTypes.float);
  } else if ("text" in value) {
    text(writer, 4, value.text);
    writer.tag(20, WireType.Varint).int32(attributeTypes.text);
  } else {
    for (const one of value.ints) whole(writer, 8, one);
    writer.tag(20, WireType.Varint).int32(attributeTypes.ints);
  }
}

function writeNode(writer: BinaryWriter, { name, op, inputs, output, attributes }: OnnxNode): void {
  for (const input of inputs) text(writer, 1, input);
  text(writer, 2, output);
  text(writer, 3, name);
  text(writer, 4, op);
  for (const [key, value] of Object.entries(attributes)) message(writer, 5, () => writeAttribute(writer, key, value));
}

function writeTensor(writer: BinaryWriter, { name, type, dims, data }: OnnxTensor): void {
  for (const length of dims) whole(writer, 1, length);
  writer.tag(2, WireType.Varint).int32(elementTypes[type]);
  text(writer, 8, name);
  writer.tag(9, WireType.LengthDelimited).bytes(data);
}

function writeAxis(writer: BinaryWriter, { length, denotation }: OnnxAxis): void {
  if (typeof length === "string") text(writer, 2, length);
  else whole(writer, 1, length);
  if (denotation !== undefined) text(writer, 3, denotation);
}

function writeValue(writer: BinaryWriter, { name, axes, text: about, denotation }: OnnxValue): void {
  text(writer, 1, name);
  message(writer, 2, () => {
    message(writer, 1, () => {
      writer.tag(1, WireType.Varint).int32(elementTypes.f32);
      message(writer, 2, () => {
        for (const axis of axes) message(writer, 1, () => writeAxis(writer, axis));
      });
    });
    if (denotation !== undefined) text(writer, 6, denotation);
  });
  text(writer, 3, about);
}

function writeGraph(writer: BinaryWriter, { name, text: about, nodes, tensors, inputs, outputs }: OnnxModel["graph"]) {
  for (const node of nodes) message(writer, 1, () => writeNode(writer, node));
  text(writer, 2, name);
  for (const tensor of tensors) message(writer, 5, () => writeTensor(writer, tensor));
  text(writer, 10, about);
  for (const value of inputs) message(writer, 11, () => writeValue(writer, value));
  for (const value of outputs) message(writer, 12, () => writeValue(writer, value));
}

/** The whole file. */
export function onnxBytes(model: OnnxModel): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  whole(writer, 1, IR_VERSION);
  text(writer, 2, model.producer);
  text(writer, 3, model.producerVersion);
  whole(writer, 5, model.version);
  text(writer, 6, model.text);
  message(writer, 7, () => writeGraph(writer, model.graph));
  message(writer, 8, () => {
    // The standard's own operators have the empty domain.
    text(writer, 1, "");
    whole(writer, 2, OPSET);
  });
  for (const [key, value] of Object.entries(model.metadata)) {
    message(writer, 14, () => {
      text(writer, 1, key);
      text(writer, 2, value);
    });
  }
  return writer.finish();
}
