// A file of an exported network, read as a stranger's: nothing is believed before it is checked, nothing is copied, and
// whoever computes with what comes out need not ask again whether a tensor is there, or of which shape.

import { BitswarmError } from "../base/errors.ts";
import { readSafetensors, type SafeTensor } from "../base/safetensors.ts";
import {
  MOST_ACTIVATIONS,
  MOST_NODES,
  MOST_PARAMETERS,
  type NodeId,
  type Shape,
  shapeOf,
  type WeightForm,
} from "../model/graph.ts";
import {
  type Description,
  EXPORT_FORMAT,
  EXPORT_VERSION,
  type ExportedInput,
  type ExportedModel,
  type ExportedNode,
  type ExportedRule,
  type ExportedTracking,
  type Provenance,
} from "./exported-model.ts";
import { FieldReader, modelInvalid } from "./field-reader.ts";
import { tensorShapes } from "./tensor-shapes.ts";
import { tensorsChecksum } from "./tensors-checksum.ts";
import { strideOf } from "./tracked-graph.ts";

/** Characters of the description: a name of each of 65,536 classes, and as many nodes as a graph may have. */
export const MOST_DESCRIPTION = 2 ** 25;
/** Sides of a picture, and of what it is scaled to. */
export const MOST_SIDE = 16_384;
/** Channels of a map, classes among them. */
export const MOST_CHANNELS = 65_536;
/** Of a window: side, stride and padding. */
export const MOST_WINDOW = 1024;
/** Planes of a weight or of a map. */
export const MOST_PLANES = 16;
/** Characters of a name: of a node, a tensor, a run. */
export const LONGEST_NAME = 512;
/** Scores beside the first. */
const MOST_SCORES = 64;
const MOST_COUNT = Number.MAX_SAFE_INTEGER;

function readInput(input: FieldReader): ExportedInput {
  const side = (of: FieldReader, name: "h" | "w") => of.integer(name, 1, MOST_SIDE);
  const sides = (name: "resize" | "crop") => {
    const read = input.object(name);
    return { h: side(read, "h"), w: side(read, "w") };
  };
  const c = input.integer("c", 1, MOST_PLANES);
  const pad = input.integer("pad", 0, MOST_WINDOW);
  const shape = { h: side(input, "h"), w: side(input, "w"), c };
  const [resize, crop] = [sides("resize"), sides("crop")];
  if (shape.h !== crop.h + 2 * pad || shape.w !== crop.w + 2 * pad) {
    throw modelInvalid("input", `must be crop and pad, ${crop.h}×${crop.w} + 2·${pad}; got ${shape.h}×${shape.w}`);
  }
  if (resize.h < crop.h || resize.w < crop.w) {
    throw modelInvalid("input.resize", `must hold crop, ${crop.h}×${crop.w}; got ${resize.h}×${resize.w}`);
  }
  const std = input.numbers("std", c);
  if (std.some((one) => one <= 0)) throw modelInvalid("input.std", `must be above 0; got ${std.join(", ")}`);
  return { name: input.text("name", LONGEST_NAME), ...shape, resize, crop, pad, mean: input.numbers("mean", c), std };
}

function readProvenance(from: FieldReader): Provenance {
  const dataset = from.object("dataset");
  const score = from.has("score") ? from.object("score") : undefined;
  return {
    run: from.text("run", LONGEST_NAME),
    title: from.text("title", LONGEST_NAME),
    step: from.integer("step", 0, MOST_COUNT),
    parameterHash: from.text("parameterHash", LONGEST_NAME),
    bitswarm: from.text("bitswarm", LONGEST_NAME),
    dataset: {
      name: dataset.text("name", LONGEST_NAME),
      sha256: dataset.text("sha256", LONGEST_NAME),
      trainSamples: dataset.integer("trainSamples", 0, MOST_COUNT),
      testSamples: dataset.integer("testSamples", 0, MOST_COUNT),
    },
    ...(score && {
      score: {
        name: score.text("name", LONGEST_NAME),
        value: score.number("value"),
        step: score.integer("step", 0, MOST_COUNT),
        ...(score.has("others") && { others: score.numberMap("others", MOST_SCORES, LONGEST_NAME) }),
      },
    }),
  };
}

function readTracking(tracking: FieldReader): ExportedTracking {
  const [exemplar, instance] = (["exemplar", "instance"] as const).map((name) => tracking.integer(name, 1, MOST_SIDE));
  if (exemplar > instance) {
    throw modelInvalid("model.tracking", `must have an exemplar within the instance; got ${exemplar} and ${instance}`);
  }
  const context = tracking.number("context");
  if (context < 0) throw modelInvalid("model.tracking.context", `must not be below 0; got ${context}`);
  const response = tracking.object("response");
  return {
    exemplar,
    instance,
    context,
    stride: tracking.integer("stride", 1, MOST_SIDE),
    response: { op: response.choice("op", ["xcorr"]), scale: response.number("scale") },
  };
}

function readDescription(model: FieldReader): Description {
  const network = model.object("network");
  const classes = model.integer("classes", 0, MOST_CHANNELS);
  const sizes = model.object("sizes");
  return {
    network: {
      name: network.text("name", LONGEST_NAME),
      title: network.text("title", LONGEST_NAME),
      precision: network.choice("precision", ["full", "method"]),
    },
    task: model.kind("task", LONGEST_NAME),
    input: readInput(model.object("input")),
    classes,
    ...(model.has("classNames") && { classNames: model.texts("classNames", classes, LONGEST_NAME) }),
    ...(model.has("tracking") && { tracking: readTracking(model.object("tracking")) }),
    method: model.kind("method", LONGEST_NAME),
    model: model.kind("model", LONGEST_NAME),
    sizes: {
      bytes: sizes.integer("bytes", 0, MOST_COUNT),
      fullPrecisionBytes: sizes.integer("fullPrecisionBytes", 0, MOST_COUNT),
    },
    provenance: readProvenance(model.object("provenance")),
  };
}

function readForm(form: FieldReader): WeightForm {
  const kind = form.choice("kind", ["float", "linear", "ternary", "table"]);
  if (kind === "float" || kind === "ternary") return { kind };
  return { kind, planes: form.integer("planes", 1, MOST_PLANES), scale: form.choice("scale", ["layer", "out"]) };
}

function readRule(rule: FieldReader): ExportedRule {
  const kind = rule.choice("kind", ["sign", "bits", "bases"]);
  switch (kind) {
    case "sign":
      return { kind };
    case "bits":
      return { kind, bits: rule.integer("bits", 1, MOST_PLANES) };
    case "bases":
      return { kind, bases: rule.integer("bases", 1, MOST_PLANES) };
    default:
      return kind satisfies never;
  }
}

const ops = [
  "input",
  "conv",
  "rbconv",
  "qconv",
  "quantise",
  "gamma",
  "inputscale",
  "batchnorm",
  "activation",
  "pool",
  "globalpool",
  "linear",
  "add",
] as const satisfies readonly ExportedNode["op"][];

/** A node by its own fields. @param id its place: it computes from nodes before it */
function readNode(node: FieldReader, id: NodeId): ExportedNode {
  const op = node.choice("op", ops);
  const name = () => node.text("name", LONGEST_NAME);
  const before = (field: "input" | "other") => node.integer(field, 0, id - 1);
  const input = () => before("input");
  const sliding = () => ({
    input: input(),
    kernel: node.integer("kernel", 1, MOST_WINDOW),
    stride: node.integer("stride", 1, MOST_WINDOW),
    padding: node.integer("padding", 0, MOST_WINDOW),
  });
  const out = () => node.integer("out", 1, MOST_CHANNELS);
  const grouped = () => {
    const groups = node.has("groups") ? node.integer("groups", 1, MOST_CHANNELS) : 1;
    return groups === 1 ? {} : { groups };
  };
  const listed = node.has("tensors") ? node.textMap("tensors", MOST_PLANES, LONGEST_NAME) : {};
  const tensor = (role: string) => {
    if (Object.hasOwn(listed, role)) return listed[role]!;
    throw modelInvalid(`nodes[${id}].tensors`, `of ${op} must name ${role}; it has ${Object.keys(listed).join(", ")}`);
  };
  const tensors = <Role extends string>(...roles: readonly Role[]) =>
    Object.fromEntries(roles.map((role) => [role, tensor(role)])) as Record<Role, string>;
  const none = {};
  switch (op) {
    case "input":
      return { op, name: name(), tensors: none };
    case "conv":
      return { op, name: name(), ...sliding(), out: out(), ...grouped(), tensors: tensors("weight") };
    case "rbconv":
      return { op, name: name(), ...sliding(), out: out(), ...grouped(), tensors: tensors("signs", "c") };
    case "qconv": {
      const weight = readForm(node.object("weight"));
      const own = weight.kind === "float" ? tensors("weight") : tensors("planes", "c");
      return { op, name: name(), ...sliding(), out: out(), weight, tensors: own };
    }
    case "quantise": {
      const rule = readRule(node.object("rule"));
      return {
        op,
        name: name(),
        input: input(),
        rule,
        tensors: rule.kind === "bases" ? tensors("shift", "scale") : none,
      };
    }
    case "gamma": {
      const axes = (["c", "h", "w"] as const).filter((axis) => Object.hasOwn(listed, axis));
      return { op, name: name(), input: input(), tensors: tensors(...axes) };
    }
    case "inputscale":
      return { op, ...sliding(), other: before("other"), tensors: none };
    case "batchnorm": {
      const epsilon = node.number("epsilon");
      if (epsilon < 0) throw modelInvalid(`nodes[${id}].epsilon`, `must not be below 0; got ${epsilon}`);
      return { op, name: name(), input: input(), epsilon, tensors: tensors("weight", "bias", "mean", "variance") };
    }
    case "activation": {
      const kind = node.choice("kind", ["prelu", "relu", "hardtanh"]);
      return { op, name: name(), kind, input: input(), tensors: kind === "prelu" ? tensors("weight") : none };
    }
    case "pool":
      return { op, kind: node.choice("kind", ["max", "avg"]), ...sliding(), tensors: none };
    case "globalpool":
      return { op, input: input(), tensors: none };
    case "linear":
      return { op, name: name(), input: input(), out: out(), tensors: tensors("weight", "bias") };
    case "add":
      return { op, input: input(), other: before("other"), tensors: none };
    default:
      return op satisfies never;
  }
}

/** Of all maps, before anything is made of them. @throws MODEL_INVALID where they do not fit, or are too large */
function shapesOf(nodes: readonly ExportedNode[], { h, w, c }: ExportedInput): readonly Shape[] {
  const shapes: Shape[] = [];
  let values = 0;
  for (const [id, node] of nodes.entries()) {
    const input = "input" in node ? shapes[node.input]! : { h, w, c };
    const shape = fitting(node, input, "other" in node ? shapes[node.other] : undefined, id);
    values += shape.h * shape.w * shape.c;
    if (values > MOST_ACTIVATIONS) {
      throw modelInvalid(`nodes[${id}]`, `makes ${values} values a picture of it; the limit is ${MOST_ACTIVATIONS}`);
    }
    shapes.push(shape);
  }
  return shapes;
}

function fitting(node: ExportedNode, input: Shape, other: Shape | undefined, id: NodeId): Shape {
  try {
    return shapeOf(node, input, other);
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
    throw new BitswarmError("MODEL_INVALID", `nodes[${id}]: ${error.message}`, { cause: error });
  }
}

/**
 * A network that follows a target takes crops of any side: the same with the shapes of another.
 * @throws MODEL_INVALID where the crop is too small, or too large
 */
export function atSide(model: ExportedModel, side: number): ExportedModel {
  const sides = { h: side, w: side };
  const input = { ...model.input, ...sides, resize: sides, crop: sides, pad: 0 };
  return { ...model, input, shapes: shapesOf(model.nodes, input) };
}

/** @throws MODEL_INVALID for a graph that is none of crops of any side, or makes no map to be searched */
function requireTracking({ h, w, c, pad }: ExportedInput, tracking: ExportedTracking, model: ExportedModel): void {
  const { instance, exemplar, stride } = tracking;
  const { nodes, output } = model;
  if (h !== instance || w !== instance || c !== 3 || pad !== 0) {
    throw modelInvalid(
      "model.input",
      `must be the instance, ${instance}×${instance} of 3 channels without pad; got ${h}×${w} of ${c}, pad ${pad}`,
    );
  }
  const fixed = nodes.findIndex(
    (node) => node.op === "linear" || (node.op === "gamma" && (node.tensors.h ?? node.tensors.w) !== undefined),
  );
  if (fixed >= 0) throw modelInvalid(`nodes[${fixed}]`, "must fit a map of any size, since crops of several are taken");
  const actual = strideOf(nodes, output);
  if (actual !== stride) throw modelInvalid("model.tracking.stride", `must be ${actual}, as the nodes'; got ${stride}`);
  // That the instance fits is known by now.
  atSide(model, exemplar);
}

/** Bits of a float32 that are all set of what is infinite or no number. */
const EXPONENT = 0x7f80_0000;

/** Of the first float that is infinite or no number; −1 if there is none. */
function notFinite(bytes: Uint8Array): number {
  // A file may begin anywhere in memory, words only at multiples of 4.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  const words = new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
  return words.findIndex((word) => (word & EXPONENT) === EXPONENT);
}

/** Every tensor that a node names is there, of the dtype and the shape that it computes with, its floats finite. */
function requireTensors(
  nodes: readonly ExportedNode[],
  shapes: readonly Shape[],
  tensors: ReadonlyMap<string, SafeTensor>,
): void {
  let parameters = 0;
  for (const [id, node] of nodes.entries()) {
    const input = "input" in node ? shapes[node.input]! : shapes[id]!;
    const wanted = tensorShapes(node, input, (name) => tensors.get(name)?.shape);
    for (const [role, { dtype, shape }] of Object.entries(wanted)) {
      const name = (node.tensors as Readonly<Record<string, string>>)[role]!;
      const tensor = tensors.get(name);
      const words = (of: { readonly dtype: string; readonly shape: readonly number[] }) => `${of.dtype} [${of.shape}]`;
      if (tensor?.dtype !== dtype || tensor.shape.join() !== shape.join()) {
        const actual = tensor ? words(tensor) : "not in it";
        throw modelInvalid(
          `nodes[${id}].tensors.${role}`,
          `${name} must be ${words({ dtype, shape })}; it is ${actual}`,
        );
      }
      const at = dtype === "F32" ? notFinite(tensor.bytes) : -1;
      if (at >= 0) {
        throw modelInvalid(
          `nodes[${id}].tensors.${role}`,
          `${name} must have finite floats; number ${at} of them is infinite or no number`,
        );
      }
      parameters += shape.reduce((product, length) => product * length, dtype === "U8" ? 8 : 1);
    }
    if (parameters > MOST_PARAMETERS) {
      throw modelInvalid(`nodes[${id}]`, `makes ${parameters} parameters of it; the limit is ${MOST_PARAMETERS}`);
    }
  }
}

/** Of a file that has one: those of earlier versions have none, and other kinds are for other readers. */
function requireChecksum(wanted: string | undefined, tensors: ReadonlyMap<string, SafeTensor>): void {
  if (!wanted?.startsWith("crc32c:")) return;
  const actual = tensorsChecksum(tensors.values());
  if (actual === wanted) return;
  throw modelInvalid("the file", `was changed since it was written: its numbers give ${actual}, and gave ${wanted}`);
}

function documentOf(text: string | undefined): unknown {
  if (text === undefined) throw modelInvalid("the file", "has no metadata `model`");
  if (text.length > MOST_DESCRIPTION) {
    throw modelInvalid("the metadata `model`", `has ${text.length} characters; the limit is ${MOST_DESCRIPTION}`);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BitswarmError("MODEL_INVALID", "the metadata `model` is no JSON; get the file anew", { cause });
  }
}

function requireFormat({ format, formatVersion }: Readonly<Record<string, string>>): void {
  if (format !== EXPORT_FORMAT) {
    throw new BitswarmError(
      "MODEL_INVALID",
      `the file's metadata say format ${JSON.stringify(format)}, not ${EXPORT_FORMAT}: it is no network that \`export\` of bitswarm wrote`,
    );
  }
  if (formatVersion === String(EXPORT_VERSION)) return;
  throw modelInvalid(
    "the file",
    `has format version ${JSON.stringify(formatVersion?.slice(0, LONGEST_NAME))}; this program reads ${EXPORT_VERSION}`,
  );
}

/** Beginnings of what people have beside exported files, and what they call it. */
const others: readonly (readonly [beginning: RegExp, kind: string])[] = [
  [/^PK/, "a zip archive, as PyTorch writes"],
  [/^\s*<(!doctype|html|head|body|\?xml)/i, "a web page, which a server gives for what it does not have"],
  [/^version https:\/\/git-lfs/, "a pointer of Git LFS, not the file that it points to"],
  [/^\s*[{[]/, "JSON"],
];

/** What a file is that is no safetensors, for a sentence; undefined for what no rule knows. */
function otherKind(bytes: Uint8Array): string | undefined {
  const [first, second, third] = bytes;
  // Protobuf: ir_version, then the producer's name, or its opset.
  if (first === 0x08 && second! <= 0x20 && (third === 0x12 || third === 0x3a)) return "an ONNX file";
  if (first === 0x80 && second! >= 2 && second! <= 5) return "a Python pickle, as PyTorch wrote";
  const head = String.fromCharCode(...bytes.subarray(0, 64));
  return others.find(([beginning]) => beginning.test(head))?.[1];
}

/** @throws SAFETENSORS_INVALID saying what it is instead */
function safetensorsIn(bytes: Uint8Array): ReturnType<typeof readSafetensors> {
  try {
    return readSafetensors(bytes);
  } catch (error) {
    const other = otherKind(bytes);
    if (!(error instanceof BitswarmError && other)) throw error;
    throw new BitswarmError(
      "SAFETENSORS_INVALID",
      `this looks like ${other}; a network is read from what \`export\` of bitswarm writes as safetensors`,
      { cause: error },
    );
  }
}

/**
 * Reads a whole file; the tensors are views of it.
 * @throws SAFETENSORS_INVALID, and MODEL_INVALID naming field, limit and value
 */
export function readExported(bytes: Uint8Array): ExportedModel {
  const { metadata, tensors } = safetensorsIn(bytes);
  requireFormat(metadata);
  const model = new FieldReader(documentOf(metadata.model), "model");
  const description = readDescription(model);
  const nodes = model.objects("nodes", 2, MOST_NODES).map(readNode);
  const output = model.integer("output", 0, nodes.length - 1);
  const inputs = nodes.flatMap(({ op }, id) => (op === "input" ? [id] : []));
  if (inputs.length !== 1 || inputs[0] !== 0) {
    throw modelInvalid("model.nodes", `must have one input, the first; there are inputs at ${inputs.join(", ")}`);
  }
  const shapes = shapesOf(nodes, description.input);
  requireTensors(nodes, shapes, tensors);
  const read = { ...description, nodes, shapes, output, tensors };
  if (read.tracking) requireTracking(read.input, read.tracking, read);
  requireChecksum(metadata.checksum, tensors);
  return read;
}

/** A tensor that a node names. */
function tensorNamed({ tensors }: Pick<ExportedModel, "tensors">, name: string): SafeTensor {
  const tensor = tensors.get(name);
  if (!tensor) throw new RangeError(`no tensor named ${name}`);
  return tensor;
}

/** A copy of a tensor of floats, in the file's order. */
export function floatsOf(model: Pick<ExportedModel, "tensors">, name: string): Float32Array<ArrayBuffer> {
  return new Float32Array(new Uint8Array(tensorNamed(model, name).bytes).buffer);
}

/** A copy of sign planes as words: channel i is bit i % 32 of word ⌊i / 32⌋ of its row, and a set bit is −1. */
export function planesOf(model: Pick<ExportedModel, "tensors">, name: string): Uint32Array<ArrayBuffer> {
  return new Uint32Array(new Uint8Array(tensorNamed(model, name).bytes).buffer);
}
