// The contract of a training method: what stands where a layer can be binary, what belongs to its latent weights, and
// how the aggregated gradient of what the convolution saw becomes gradients of what is trained.

import { z } from "zod";
import type { Plugin, PluginOptions } from "../../base/registry.ts";
import {
  type ActivationKind,
  type Companion,
  type ConvolutionFields,
  type GraphBuilder,
  type NodeId,
  seenChannels,
} from "../graph.ts";
import type { MethodProgram, Phase } from "../phases.ts";
import { type Rectify, rectifyShape, type Surrogate } from "../rectify.ts";

/** One binary layer at a commit, in OHWI order. Its owner is the coordinator: only `settle` changes what it holds. */
export interface LatentLayer {
  readonly shape: readonly [out: number, kh: number, kw: number, input: number];
  /** Latent weights W. */
  readonly weight: Float32Array;
  /** Values of the companions by name; none of them are there while the first values are made. */
  readonly companions: Readonly<Record<string, Float32Array>>;
  /** Adam's second moment of W, its bias not corrected; none before its first step, and with SGD. */
  readonly secondMoment?: Float32Array;
}

export interface LatentGradients {
  /** ∂L/∂W. */
  readonly weight: Float64Array;
  /** Of each `learned` companion, by name, but those that workers measure (graph.ts, gamma). */
  readonly learned: Readonly<Record<string, Float64Array>>;
  /** Parts of the objective that are the method's own, by name, of this layer; they are summed over layers. */
  readonly losses: Readonly<Record<string, number>>;
}

/** What a method does with latent weights, on the coordinator: pure functions, in float64 where they sum. */
export interface WeightRule {
  /**
   * A companion's values from W: the first ones of a `learned` or `state` one; those of a `derived` one for every W
   * that is sent. f32 of the companion's size.
   */
  readonly companion: (name: string, layer: LatentLayer) => Float32Array;
  /** @param gradient the aggregated ∂L/∂W̃ of what the convolution saw, such as Ŵ⊙C */
  readonly gradients: (layer: LatentLayer, gradient: Float64Array) => LatentGradients;
  /**
   * Changes W, and `state` companions, in place: of fresh weights, and after each update (clamping, centring,
   * freezing).
   * @param previous W before the update, where the rule `readsPrevious`; W itself of fresh weights
   */
  readonly settle?: (layer: LatentLayer, previous: Float32Array) => void;
  /** `settle` reads W before the update, of which each step then makes a copy. */
  readonly readsPrevious?: true;
  /** Own steps of `learned` companions in place of SGD, by name; they may change `state` companions as well. */
  readonly learn?: Readonly<Record<string, LearnStep>>;
  /** When a phase begins, before its first step: may change W and `state` companions in place (INQ's portions). */
  readonly begin?: (layer: LatentLayer, phase: Phase) => void;
}

/** @param learningRate the companion's own, on the schedule */
export type LearnStep = (layer: LatentLayer, gradient: Float64Array, learningRate: number) => void;

/** Where batch norm and activation stand around a layer that can be binary. */
export interface BlockOrder {
  /** `after`: body → BN → + shortcut. `before`: BN → body → + shortcut. */
  readonly norm: "after" | "before";
  /**
   * After the sum with the shortcut, or, in a network without shortcuts, before the next body; `model`: what the model
   * says.
   */
  readonly activation: "model" | ActivationKind;
}

/**
 * One order for all methods, so that a comparison compares nothing else: body → BN → + shortcut → the model's
 * activation.
 */
export const commonBlock: BlockOrder = { norm: "after", activation: "model" };

/** A layer's name, and that of the layer whose parameters it shares. */
export type LayerName = Pick<ConvolutionFields, "name" | "weights">;

/** A method with its options. */
export interface Method {
  readonly kind: string;
  /** True where the layer takes the sign of its input, so that the activation before it would be pointless. */
  readonly binarizesInput: boolean;
  readonly block: BlockOrder;
  /** Adds the layer to a graph. */
  readonly body: (graph: GraphBuilder, layer: ConvolutionFields) => NodeId;
  /**
   * Adds what stands behind the layer's norm, before its map is compared and its shortcut added; behind the body where
   * the norm comes before it. Models call it as `behindNorm`.
   */
  readonly afterNorm?: (graph: GraphBuilder, layer: LayerName, map: NodeId) => NodeId;
  /** Absent where the gradient on the wire is already the parameter's. */
  readonly rule?: WeightRule;
}

/** What of a run's configuration a method may read beside its own options. */
export interface MethodFields {
  readonly epochs: number;
  readonly bnPhase: number;
  readonly teacher: {
    readonly epochs: number;
    readonly file?: string | undefined;
    readonly model?: PluginOptions | undefined;
    readonly learningRate: number;
  };
  readonly adversarial: { readonly lambda: number; readonly warmupEpochs: number };
  readonly optimizer: { readonly learningRate: number; readonly latent: { readonly kind: "sgd" | "adam" } };
  /** Options of an entry of the table of objectives; of kind `method` only until the method has said which. */
  readonly objective: PluginOptions;
  /** Whether a pass tunes batch norms after each epoch; as `objective`. */
  readonly tuneNorms: "method" | "on" | "off";
}

/** The same, with what people call the method's networks. */
export interface MethodRun extends MethodFields {
  /** Before "network" and "student": "1-bit". */
  readonly word: string;
}

/** Fields of a configuration that mean something to some methods or objectives only. */
export const methodFields = ["adversarial", "teacher", "bnPhase"] as const;
export type MethodField = (typeof methodFields)[number];

/** A plug-in of the table in methods.ts. */
export interface MethodPlugin extends Plugin {
  /** Those that it reads itself, beside its objective; whoever sets one that nobody reads is told so. */
  readonly reads: readonly MethodField[];
  /** Whether workers have its rule on the device (worker/plan/device-rules.ts), which `sync: local` takes. */
  readonly deviceRule: boolean;
  /** What people call its networks, before that word: "1-bit", "ternary", "full-precision". */
  readonly word: (options: PluginOptions) => string;
  /** What its runs are trained for, and whether their batch norms are tuned, where the configuration does not say. */
  readonly objective: (options: PluginOptions) => PluginOptions;
  readonly tunes: (options: PluginOptions) => boolean;
  /** Rules that span fields: a line for each that is broken, beginning with the field. */
  readonly check: (options: PluginOptions, run: MethodFields) => readonly string[];
  /** @param options as the schema gave them */
  readonly create: (options: PluginOptions) => Method;
  /** The program of a run: its networks, phases and passes. */
  readonly phases: (options: PluginOptions, run: MethodFields) => MethodProgram;
}

/** What a run is trained for, and whether batch norms are tuned: as the method says where the run leaves it to it. */
export function askedOfMethod(
  { objective, tunes }: Pick<MethodPlugin, "objective" | "tunes">,
  options: PluginOptions,
  run: Pick<MethodFields, "objective" | "tuneNorms">,
): { readonly objective: PluginOptions; readonly tuneNorms: "on" | "off" } {
  return {
    objective: run.objective.kind === "method" ? objective(options) : run.objective,
    tuneNorms: run.tuneNorms === "method" ? (tunes(options) ? "on" : "off") : run.tuneNorms,
  };
}

/** A method whose functions take its own options, as its schema gives them. */
export function defineMethod<S extends z.ZodObject>(method: {
  readonly kind: string;
  readonly schema: S;
  /** None unless given. */
  readonly reads?: readonly MethodField[];
  /** False unless given. */
  readonly deviceRule?: boolean;
  /** "1-bit" unless given. */
  readonly word?: string | ((options: z.output<S>) => string);
  /** The task alone unless given. */
  readonly objective?: (options: z.output<S>) => PluginOptions;
  /** They are not unless given. */
  readonly tunes?: (options: z.output<S>) => boolean;
  readonly check?: (options: z.output<S>, run: MethodFields) => readonly string[];
  readonly create: (options: z.output<S>) => Omit<Method, "kind">;
  readonly phases: (options: z.output<S>, run: MethodRun) => MethodProgram;
}): MethodPlugin {
  const { kind, schema, reads = [], deviceRule = false, word = "1-bit", check, create, phases } = method;
  const wordOf = (options: PluginOptions) => (typeof word === "string" ? word : word(schema.parse(options)));
  const objective = (options: PluginOptions) => method.objective?.(schema.parse(options)) ?? { kind: "none" };
  const tunes = (options: PluginOptions) => method.tunes?.(schema.parse(options)) ?? false;
  return {
    kind,
    schema,
    reads,
    deviceRule,
    word: wordOf,
    objective,
    tunes,
    check: (options, run) => check?.(schema.parse(options), run) ?? [],
    create: (options) => ({ kind, ...create(schema.parse(options)) }),
    phases: (options, run) =>
      phases(schema.parse(options), {
        ...run,
        word: wordOf(options),
        ...askedOfMethod({ objective, tunes }, options, run),
      }),
  };
}

/** The option by which a method takes its authors' order of a block instead of everybody's. */
export const blockOrderOption = z
  .enum(["common", "paper"])
  .default("common")
  .describe("order of a block: one for all methods, or that of the method's authors");

/** Where the slope of a sign of activations ends: BNN's at 1, with it, and XNOR-Net's code before it. */
export const edgeOption = z
  .enum(["closed", "open"])
  .default("closed")
  .describe(
    "the slope of the sign of activations is 1 where |x| <= 1, as BNN's, or where |x| < 1, as in XNOR-Net's code",
  );

export function edgeSurrogate(edge: z.output<typeof edgeOption>): Surrogate {
  return edge === "open" ? "open" : "ste";
}

/** A layer's map behind its norm, with what its method puts there. */
export function behindNorm(method: Method, graph: GraphBuilder, layer: LayerName, map: NodeId): NodeId {
  return method.afterNorm?.(graph, layer, map) ?? map;
}

/** Options of a body that takes signs of its input and multiplies the signs of W by shared scales C. */
export interface SignBody {
  readonly rectify: Rectify;
  readonly surrogate: Surrogate;
  /** C, and whatever else belongs to the layer's W, of whose inputs an output sees `in`. */
  readonly companions: (layer: { readonly out: number; readonly kernel: number; readonly in: number }) => Companion[];
}

/** Adds conv(sign(x), sign(W) ⊙ C). */
export function signBody({ rectify, surrogate, companions }: SignBody): Method["body"] {
  return (graph, layer) => {
    const { out, kernel, input } = layer;
    const of = { out, kernel, in: seenChannels(layer, graph.shape(input).c) };
    return graph.add({ op: "rbconv", rectify, surrogate, companions: companions(of), ...layer });
  };
}

/** A body whose scale C follows from W: XNOR-Net's α, or BNN's 1. */
export function derivedScale(rectify: Rectify, surrogate: Surrogate): Method["body"] {
  return signBody({
    rectify,
    surrogate,
    companions: (layer) => [
      { name: "c", role: "derived", shape: rectifyShape(rectify, layer.out, layer.kernel, layer.in) },
    ],
  });
}

/** A companion that must be there. @throws RangeError */
export function companionOf({ companions }: LatentLayer, name: string): Float32Array {
  const values = companions[name];
  if (!values) throw new RangeError(`no companion named ${name}; there are ${Object.keys(companions).join(", ")}`);
  return values;
}

/** Clamps to ±bound in place. */
export function clamp(values: Float32Array, bound: number): void {
  for (let i = 0; i < values.length; i++) values[i] = Math.min(bound, Math.max(-bound, values[i]));
}
