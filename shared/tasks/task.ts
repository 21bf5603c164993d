// The contract of a task: what a sample is and how it is decoded, what stands on a network's features, and how its
// score is called. The half that a device needs, the loss, is in worker/tasks under the same kind.

import type { z } from "zod";
import type { Plugin, PluginOptions } from "../base/registry.ts";
import type { DataOptions } from "../data/data-kinds.ts";
import type { Dataset } from "../data/dataset.ts";
import type { PictureView } from "../data/image-view.ts";
import type { GraphBuilder, InputShape, NodeId } from "../model/graph.ts";
import type { CropSizes } from "../tracking/crop.ts";
import type { DecoderData, DecodeSample, InputTables } from "./sample-tensors.ts";
import type { ShownScore } from "./shown-score.ts";

/** What of a run's description decides a task's shapes. */
export interface TaskData {
  readonly dataset: Pick<Dataset, "shape" | "classes">;
  readonly data: Pick<DataOptions, "pad" | "size" | "resize">;
}

/** An input of the network, f32 [h][w][c] a sample where a plan reads it. */
export interface TaskInput extends InputShape {
  readonly name: string;
  /** As what it is decoded and goes to the device: `u8` is made f32 there, by the task's table. `f32` unless given. */
  readonly encoding?: "u8" | "f32";
}

/** What a sample is compared with: so many values of four bytes. */
export interface TaskTarget {
  readonly name: string;
  readonly type: "f32" | "u32";
  readonly size: number;
}

/** What a network of the task gives, as files for other programs call it. */
export interface TaskOutput {
  readonly name: string;
  /** What its numbers are, and what to do with them. */
  readonly text: string;
}

/** Means over samples: `task`, the loss, and the task's own metrics, by name. */
export type MetricMeans = Readonly<Record<string, number>>;

/** What the mean of a metric over samples can be, both ends included. */
export interface MetricRange {
  readonly least: number;
  readonly most: number;
}

/** How good a network is, in one number that people know by its name. */
export interface Score {
  /** As status, logs and checkpoints call it: "accuracy". */
  readonly name: string;
  readonly better: "higher" | "lower";
  readonly of: (means: MetricMeans) => number;
  /** "82.3 %" */
  readonly text: (value: number) => string;
  /** What a network gets, after "the student gets": "82.3 % of the test images right". */
  readonly sentence: (value: number) => string;
  /** What is told beside it. */
  readonly others?: readonly OtherScore[];
}

/** A score that a network is known by as well, such as top-5. */
export interface OtherScore extends Pick<Score, "name" | "better" | "of"> {
  /** Of a data set with fewer classes it says nothing. */
  readonly leastClasses: number;
  /** Behind the score: "top-5 95.1 %". */
  readonly text: (value: number) => string;
}

/** Values of the other scores, by name. */
export type OtherValues = Readonly<Record<string, number>>;

/** A plug-in of the table in tasks.ts. */
export interface Task extends Plugin {
  /** The network's inputs, in the order in which a model takes them. */
  readonly inputs: (options: PluginOptions, run: TaskData) => readonly [TaskInput, ...TaskInput[]];
  readonly targets: (options: PluginOptions, run: TaskData) => readonly TaskTarget[];
  /** @throws DATA_INVALID for a data set that the task cannot read */
  readonly decoder: (options: PluginOptions, run: DecoderData) => DecodeSample;
  /** Held-out samples are drawn of what is stored too, ever the same; unless given they are seen as they are. */
  readonly drawsHeldOut?: boolean;
  /** Of every input that is u8. @throws DATA_INVALID */
  readonly tables?: (options: PluginOptions, run: DecoderData) => InputTables;
  /**
   * Of a task whose one input is a picture that `mean` and `std` of the data set normalise: how any picture becomes it.
   * Its networks can be exported; without it nobody could say what such a file takes.
   */
  readonly picture?: (options: PluginOptions, run: TaskData) => PictureView;
  /**
   * Of a task that follows a target, whose two inputs one backbone sees and `mean` and `std` of the data set normalise:
   * what crops of them show. Its networks can be exported.
   */
  readonly tracking?: (options: PluginOptions, run: TaskData) => CropSizes;
  /**
   * Adds what stands on the features that a model computes, one node for each that it gives; the loss looks at the node
   * returned.
   */
  readonly head: (options: PluginOptions, run: TaskData) => Head;
  readonly output: TaskOutput;
  /**
   * Names of the means that a contribution carries beside the loss, in the order in which the device half writes them.
   */
  readonly metrics: readonly string[];
  /** Of `task`, the loss, and of the metrics, by name: a contribution that says otherwise is refused. */
  readonly ranges?: Readonly<Record<string, MetricRange>>;
  readonly score: Score;
}

export type Head = (graph: GraphBuilder, ...features: readonly NodeId[]) => NodeId;

/** A task whose functions take its own options, as its schema gives them. */
export function defineTask<S extends z.ZodObject>(task: {
  readonly kind: string;
  readonly schema: S;
  readonly inputs: (options: z.output<S>, run: TaskData) => readonly [TaskInput, ...TaskInput[]];
  readonly targets: (options: z.output<S>, run: TaskData) => readonly TaskTarget[];
  readonly decoder: (options: z.output<S>, run: DecoderData) => DecodeSample;
  readonly drawsHeldOut?: boolean;
  readonly tables?: (options: z.output<S>, run: DecoderData) => InputTables;
  readonly picture?: (options: z.output<S>, run: TaskData) => PictureView;
  readonly tracking?: (options: z.output<S>, run: TaskData) => CropSizes;
  readonly head: (options: z.output<S>, run: TaskData) => Head;
  readonly output: TaskOutput;
  readonly metrics: readonly string[];
  readonly ranges?: Readonly<Record<string, MetricRange>>;
  readonly score: Score;
}): Task {
  const { tables, picture, tracking, ...own } = task;
  const { schema, inputs, targets, decoder, head } = own;
  return {
    ...own,
    inputs: (options, run) => inputs(schema.parse(options), run),
    targets: (options, run) => targets(schema.parse(options), run),
    decoder: (options, run) => decoder(schema.parse(options), run),
    ...(tables && { tables: (options, run) => tables(schema.parse(options), run) }),
    ...(picture && { picture: (options, run) => picture(schema.parse(options), run) }),
    ...(tracking && { tracking: (options, run) => tracking(schema.parse(options), run) }),
    head: (options, run) => head(schema.parse(options), run),
  };
}

/** @param classes of the data set */
export function otherValues({ others = [] }: Score, means: MetricMeans, classes: number): OtherValues {
  const told = others.filter(({ leastClasses }) => classes >= leastClasses);
  return Object.fromEntries(told.map(({ name, of }) => [name, of(means)]));
}

export function shownScore(score: Score, value: number, values: OtherValues = {}): ShownScore {
  const { name, better, text, sentence, others = [] } = score;
  const known = others.filter((other) => Object.hasOwn(values, other.name));
  const beside = known.map((other) => `, ${other.text(values[other.name])}`).join("");
  return {
    name,
    value,
    better,
    text: text(value) + beside,
    sentence: sentence(value) + beside,
    ...(known.length > 0 && {
      others: known.map((other) => ({ name: other.name, value: values[other.name], better: other.better })),
    }),
  };
}
