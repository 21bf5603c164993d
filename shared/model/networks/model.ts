// The contract of a model: the options that shape it, and the graph that it builds for any method.

import { z } from "zod";
import { BitswarmError } from "../../base/errors.ts";
import type { Plugin, PluginOptions } from "../../base/registry.ts";
import { type Graph, GraphBuilder, INPUT, type InputShape, type NodeId } from "../graph.ts";
import type { Method } from "../methods/method.ts";

/** What the task decides of a network. */
export interface NetworkIo {
  /** Of one sample, in the task's order. */
  readonly inputs: readonly [InputShape, ...InputShape[]];
  /** Adds what stands on the features; its node is the network's output. */
  readonly head: (graph: GraphBuilder, ...features: readonly NodeId[]) => NodeId;
}

/** The graph of a model that has one input. @throws GRAPH_INVALID for a task that gives it several */
export function graphOfOne({ inputs }: NetworkIo): GraphBuilder {
  if (inputs.length > 1) {
    const names = inputs.map(({ name = INPUT }) => name).join(", ");
    throw new BitswarmError("GRAPH_INVALID", `this model has one input; the task gives ${names}: choose another model`);
  }
  return new GraphBuilder(inputs[0]);
}

/** A plug-in of the table in models.ts. */
export interface Model extends Plugin {
  /** Of a teacher alone: no method's layers can stand in it. */
  readonly fullPrecisionOnly: boolean;
  /**
   * Rules that span fields: a line for each that the options break, beginning with the field ("model.blocks: must …").
   */
  readonly check: (options: PluginOptions) => readonly string[];
  /**
   * Options of the network whose parameters have these shapes, PyTorch's order, by name: for a file that does not fit.
   * Undefined where no option makes them.
   */
  readonly guess?: (shapeOf: (name: string) => readonly number[] | undefined) => PluginOptions | undefined;
  /** The network with `method` where a layer can be binary. @throws GRAPH_INVALID where the input does not fit */
  readonly build: (options: PluginOptions, io: NetworkIo, method: Method) => Graph;
}

/** A model whose functions take its own options, as its schema gives them. */
export function defineModel<S extends z.ZodObject>(model: {
  readonly kind: string;
  readonly schema: S;
  /** False unless given. */
  readonly fullPrecisionOnly?: boolean;
  readonly check?: (options: z.output<S>) => readonly string[];
  readonly guess?: (shapeOf: (name: string) => readonly number[] | undefined) => z.input<S> | undefined;
  readonly build: (options: z.output<S>, io: NetworkIo, method: Method) => Graph;
}): Model {
  const { kind, schema, fullPrecisionOnly = false, check, guess, build } = model;
  return {
    kind,
    schema,
    fullPrecisionOnly,
    ...(guess === undefined ? {} : { guess: guess as NonNullable<Model["guess"]> }),
    check: (options) => check?.(schema.parse(options)) ?? [],
    build: (options, io, method) => build(schema.parse(options), io, method),
  };
}

/** Channels of a layer: the widest published networks of this kind have some thousands. */
export const MOST_CHANNELS = 8192;
/** Blocks of a stage. */
export const MOST_BLOCKS = 256;

export const width = z.number().int().positive().max(MOST_CHANNELS);
export const blockCount = z.number().int().positive().max(MOST_BLOCKS);
