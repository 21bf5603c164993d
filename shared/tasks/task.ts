// The contract of a task: what a sample is, what stands on a network's features, and how its score is called. The half
// that a device needs, decoding and the loss, is in worker/tasks under the same kind.

import type { z } from "zod";
import type { Plugin, PluginOptions } from "../base/registry.ts";
import type { DataOptions } from "../data/data-kinds.ts";
import type { Dataset } from "../data/dataset.ts";
import type { GraphBuilder, InputShape, NodeId } from "../model/graph.ts";
import type { ShownScore } from "./shown-score.ts";

/** What of a run's description decides a task's shapes. */
export interface TaskData {
  readonly dataset: Pick<Dataset, "shape" | "classes">;
  readonly data: Pick<DataOptions, "pad">;
}

/** An input of the network, f32 [h][w][c] a sample. */
export interface TaskInput extends InputShape {
  readonly name: string;
}

/** What a sample is compared with: so many values of four bytes. */
export interface TaskTarget {
  readonly name: string;
  readonly type: "f32" | "u32";
  readonly size: number;
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
}

/** A plug-in of the table in tasks.ts. */
export interface Task extends Plugin {
  /** The network's inputs, in the order in which a model takes them. */
  readonly inputs: (options: PluginOptions, run: TaskData) => readonly [TaskInput, ...TaskInput[]];
  readonly targets: (options: PluginOptions, run: TaskData) => readonly TaskTarget[];
  /**
   * Adds what stands on the features that a model computes, one node for each that it gives; the loss looks at the node
   * returned.
   */
  readonly head: (options: PluginOptions, run: TaskData) => Head;
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
  readonly head: (options: z.output<S>, run: TaskData) => Head;
  readonly metrics: readonly string[];
  readonly ranges?: Readonly<Record<string, MetricRange>>;
  readonly score: Score;
}): Task {
  const { schema, inputs, targets, head } = task;
  return {
    ...task,
    inputs: (options, run) => inputs(schema.parse(options), run),
    targets: (options, run) => targets(schema.parse(options), run),
    head: (options, run) => head(schema.parse(options), run),
  };
}

export function shownScore({ name, better, text, sentence }: Score, value: number): ShownScore {
  return { name, value, better, text: text(value), sentence: sentence(value) };
}
