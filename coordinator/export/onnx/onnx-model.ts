// An exported network as a file of the Open Neural Network Exchange: what goes in and what comes out in the task's
// words, and where it is from.

import type { ExportedModel } from "../../../shared/export/exported-model.ts";
import { tasks } from "../../../shared/tasks/tasks.ts";
import { lowerNetwork } from "./lowering.ts";
import { type OnnxAxis, type OnnxModel, type OnnxValue, onnxBytes } from "./onnx-file.ts";
import { OnnxGraph } from "./onnx-graph.ts";
import type { WeightKind } from "./weights.ts";

/** Images of a call: as many as the caller gives. */
export const BATCH: OnnxAxis = { length: "batch", denotation: "DATA_BATCH" };

/** How a picture becomes what goes in. */
function preprocessing({ input: { resize, crop, pad, c, mean, std } }: ExportedModel): string {
  const sides = ({ h, w }: { readonly h: number; readonly w: number }) => `${h}x${w}`;
  const seen = c === 1 ? "grey" : "RGB";
  const padded = pad > 0 ? `, put ${pad} zero pixels around it` : "";
  return `scale the ${seen} picture, its ratio kept, to the least size that covers ${sides(resize)} (height x width), cut the centre ${sides(crop)}${padded}, then take (v/255 - mean)/std of each channel, mean [${mean.join(", ")}], std [${std.join(", ")}], and order the axes as [batch][channel][row][column]`;
}

/**
 * What stands in a file for machines: text all of it, JSON where it is no single word or number.
 * @param before what becomes of a picture before it goes in
 */
export function metadataOf(
  model: ExportedModel,
  weights: WeightKind,
  output: string,
  before: string,
): Record<string, string> {
  const { network, task, input, classes, classNames, method, model: kind, sizes, provenance } = model;
  const { score, dataset } = provenance;
  const others = Object.entries(score?.others ?? {}).map(([name, value]) => [`test.${name}`, String(value)]);
  return {
    network: network.title,
    task: task.kind,
    method: JSON.stringify(method),
    model: JSON.stringify(kind),
    weights,
    run: provenance.run,
    title: provenance.title,
    step: String(provenance.step),
    parameterHash: provenance.parameterHash,
    dataset: JSON.stringify(dataset),
    ...(score && { [`test.${score.name}`]: String(score.value), ...Object.fromEntries(others) }),
    classes: String(classes),
    ...(classNames && { classNames: JSON.stringify(classNames) }),
    input: JSON.stringify(input),
    output,
    mean: JSON.stringify(input.mean),
    std: JSON.stringify(input.std),
    preprocessing: before,
    sizes: JSON.stringify(sizes),
  };
}

/** The map of a node as what goes in or out. */
function describedValue(name: string, { h, w, c }: ExportedModel["shapes"][number], flat: boolean) {
  const channels: OnnxAxis = { length: c, denotation: flat ? "DATA_FEATURE" : "DATA_CHANNEL" };
  const sides = [h, w].map((length): OnnxAxis => ({ length, denotation: "DATA_FEATURE" }));
  return { name, axes: [BATCH, channels, ...(flat ? [] : sides)] };
}

/** Where a network is from, in a sentence. */
export function aboutText({ network, provenance, method }: ExportedModel): string {
  return `The ${network.title} of the run ${provenance.run} after ${provenance.step} steps, method ${method.kind}, written by bitswarm ${provenance.bitswarm}`;
}

/** @param weights how those that the method quantised are held */
export function onnxModel(model: ExportedModel, weights: WeightKind): OnnxModel {
  const { network, provenance, nodes, shapes } = model;
  const { name, text } = tasks.get(model.task.kind).output;
  const graph = new OnnxGraph();
  const inputs = nodes.flatMap((node, id): OnnxValue[] => {
    if (node.op !== "input") return [];
    graph.name(node.name);
    const about = `float32, a picture of each sample: ${preprocessing(model)}`;
    return [{ ...describedValue(node.name, shapes[id], false), text: about, denotation: "IMAGE" }];
  });
  const output = graph.name(name);
  const last = lowerNetwork(graph, model, weights);
  const shape = shapes[model.output];
  const flat = shape.h === 1 && shape.w === 1;
  graph.rename(flat ? graph.flat(last) : graph.map(last), output);
  const about = aboutText(model);
  return {
    producer: "bitswarm",
    producerVersion: provenance.bitswarm,
    version: provenance.step,
    text: `${about}. Input ${inputs.map((one) => one.name).join(", ")}: ${preprocessing(model)}. Output ${output}: ${text}.`,
    metadata: metadataOf(model, weights, text, preprocessing(model)),
    graph: {
      name: `${provenance.run} ${network.name}`,
      text: about,
      nodes: graph.nodes,
      tensors: graph.tensors,
      inputs,
      outputs: [{ ...describedValue(output, shape, flat), text }],
    },
  };
}

/** The file's bytes; equal networks give equal files. */
export function writeOnnx(model: ExportedModel, weights: WeightKind): Uint8Array<ArrayBuffer> {
  return onnxBytes(onnxModel(model, weights));
}
