// A network that follows a target as two files: the backbone makes features of crops of any side, the head seeks those
// of the target among those of searches. Whoever runs them embeds the target once.

import type { ExportedModel, ExportedTracking } from "../../../shared/export/exported-model.ts";
import { lowerNetwork } from "./lowering.ts";
import { type OnnxAxis, type OnnxModel, type OnnxValue, onnxBytes } from "./onnx-file.ts";
import { OnnxGraph } from "./onnx-graph.ts";
import { aboutText, BATCH, metadataOf } from "./onnx-model.ts";
import type { WeightKind } from "./weights.ts";

export interface OnnxTracker {
  readonly backbone: OnnxModel;
  readonly head: OnnxModel;
}

const CROP = "crop";
const FEATURES = "features";
const EXEMPLAR = "exemplar";
const SEARCH = "search";
const RESPONSE = "response";

/** A map whose sides are those that the caller gives. */
function anyMap(
  name: string,
  batch: OnnxAxis,
  channels: number,
  sides: readonly [string, string],
  text: string,
): OnnxValue {
  const long = sides.map((length): OnnxAxis => ({ length, denotation: "DATA_FEATURE" }));
  return { name, axes: [batch, { length: channels, denotation: "DATA_CHANNEL" }, ...long], text };
}

function words(
  { input: { mean, std } }: ExportedModel,
  { exemplar, instance, context, stride, response }: ExportedTracking,
) {
  const before = `of a crop in RGB take (v/255 - mean)/std of each channel, mean [${mean.join(", ")}], std [${std.join(", ")}], and order the axes as [batch][channel][row][column]; a target of w x h is seen in a square of side s = sqrt((w + p)(h + p)), p = ${context} (w + h), resized to ${exemplar}, and searched in one of s ${instance}/${exemplar}, resized to ${instance}; what lies beyond the picture is its mean colour`;
  const features = `float32, features of each crop, a position every ${stride} pixels: those of the target, of one crop of ${exemplar}, go to the head as ${EXEMPLAR}, those of searches, of crops of ${instance}, as ${SEARCH}`;
  const after = `float32, for each place that holds the exemplar whole ${response.scale} times the sum of products of its features with those of the search; from one place to the next it is ${stride} pixels of the crop`;
  return { before, features, after };
}

/** @throws RangeError for a network that follows nothing */
export function onnxTracker(model: ExportedModel, weights: WeightKind): OnnxTracker {
  const { network, provenance, nodes, shapes, tracking } = model;
  if (!tracking) throw new RangeError(`${network.title} follows nothing: it is one file`);
  const { before, features, after } = words(model, tracking);
  const about = aboutText(model);
  const constants = { tracking: JSON.stringify(tracking) };
  const channels = shapes[model.output]!.c;
  const common = { producer: "bitswarm", producerVersion: provenance.bitswarm, version: provenance.step };

  const graph = new OnnxGraph();
  // What the run calls its input is nobody's affair here; nodes refer to values, and not to names.
  const named = nodes.map((node) => (node.op === "input" ? { ...node, name: CROP } : node));
  graph.name(CROP);
  const output = graph.name(FEATURES);
  graph.rename(graph.map(lowerNetwork(graph, { ...model, nodes: named }, weights)), output);
  const crop = anyMap(CROP, BATCH, shapes[0]!.c, ["height", "width"], `float32, crops: ${before}`);
  const backbone: OnnxModel = {
    ...common,
    text: `${about}: its backbone, of crops of any size. Input ${CROP}: ${before}. Output ${output}: ${features}.`,
    metadata: { ...metadataOf(model, weights, features, before), ...constants },
    graph: {
      name: `${provenance.run} ${network.name} backbone`,
      text: about,
      nodes: graph.nodes,
      tensors: graph.tensors,
      inputs: [{ ...crop, denotation: "IMAGE" }],
      outputs: [anyMap(output, BATCH, channels, ["rows", "columns"], features)],
    },
  };

  const head = new OnnxGraph();
  for (const name of [SEARCH, EXEMPLAR, RESPONSE]) head.name(name);
  const sums = head.add("Conv", "sums", [SEARCH, EXEMPLAR]);
  head.rename(head.add("Mul", "scaled", [sums, head.constant("f32", tracking.response.scale)]), RESPONSE);
  return {
    backbone,
    head: {
      ...common,
      text: `${about}: its head. Inputs ${EXEMPLAR} and ${SEARCH}: the backbone's features of one target, and of any number of searches. Output ${RESPONSE}: ${after}.`,
      metadata: { ...metadataOf(model, weights, after, before), ...constants },
      graph: {
        name: `${provenance.run} ${network.name} head`,
        text: about,
        nodes: head.nodes,
        tensors: head.tensors,
        inputs: [
          anyMap(
            EXEMPLAR,
            { length: 1 },
            channels,
            ["exemplarRows", "exemplarColumns"],
            "float32, features of one target",
          ),
          anyMap(SEARCH, BATCH, channels, ["rows", "columns"], "float32, features of each search"),
        ],
        outputs: [anyMap(RESPONSE, BATCH, 1, ["responseRows", "responseColumns"], after)],
      },
    },
  };
}

export interface OnnxTrackerFiles {
  readonly backbone: Uint8Array<ArrayBuffer>;
  readonly head: Uint8Array<ArrayBuffer>;
}

/** The files' bytes; equal networks give equal files. */
export function writeOnnxTracker(model: ExportedModel, weights: WeightKind): OnnxTrackerFiles {
  const { backbone, head } = onnxTracker(model, weights);
  return { backbone: onnxBytes(backbone), head: onnxBytes(head) };
}
