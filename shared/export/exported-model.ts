// What a file of an exported network says: everything that inference needs, and where it is from (SPEC.md, annex 12).

import type { SafeTensor } from "../base/safetensors.ts";
import type { ActivationKind, NodeId, QuantiseRule, Shape, WeightForm } from "../model/graph.ts";

export const EXPORT_FORMAT = "bitswarm-inference";
/** 1 had no graph, 2 had the run's whole configuration, and planes in a dtype that older readers do not know. */
export const EXPORT_VERSION = 3;

/** A window that slides over the map of `input`, in elements. */
interface Sliding {
  readonly input: NodeId;
  readonly kernel: number;
  readonly stride: number;
  readonly padding: number;
}

interface Convolution extends Sliding {
  readonly name: string;
  readonly out: number;
}

/** Group g of the outputs sees group g of the inputs alone; left out where there is one. */
interface Grouped {
  readonly groups?: number;
}

/** How a map is made of few bits, without what only training asks for. */
export type ExportedRule =
  | Pick<Extract<QuantiseRule, { kind: "sign" }>, "kind">
  | Pick<Extract<QuantiseRule, { kind: "bits" }>, "kind" | "bits">
  | Pick<Extract<QuantiseRule, { kind: "bases" }>, "kind" | "bases">;

/**
 * A node as inference sees it: op and fields are those of shared/model/graph.ts, and `tensors` names what of the file
 * it computes with.
 */
export type ExportedNode =
  | { readonly op: "input"; readonly name: string; readonly tensors: Tensors<never> }
  | ({ readonly op: "conv"; readonly tensors: Tensors<"weight"> } & Convolution & Grouped)
  /** Takes the sign of its input itself. `signs` is one plane, and `c` scales it, broadcast over [out][in][kh][kw]. */
  | ({ readonly op: "rbconv"; readonly tensors: Tensors<"signs" | "c"> } & Convolution & Grouped)
  /** Takes its input as it is: what a `quantise` made of it, or floats. Of form `float` it has a `weight` alone. */
  | ({
      readonly op: "qconv";
      readonly weight: WeightForm;
      readonly tensors: Tensors<never, "planes" | "c" | "weight">;
    } & Convolution)
  | {
      readonly op: "quantise";
      readonly name: string;
      readonly rule: ExportedRule;
      readonly input: NodeId;
      /** Of `bases` alone. */
      readonly tensors: Tensors<never, "shift" | "scale">;
    }
  /** The map times the factors of each axis that it has. */
  | {
      readonly op: "gamma";
      readonly name: string;
      readonly input: NodeId;
      readonly tensors: Tensors<never, "c" | "h" | "w">;
    }
  | ({ readonly op: "inputscale"; readonly other: NodeId; readonly tensors: Tensors<never> } & Sliding)
  | {
      readonly op: "batchnorm";
      readonly name: string;
      readonly input: NodeId;
      readonly epsilon: number;
      readonly tensors: Tensors<"weight" | "bias" | "mean" | "variance">;
    }
  | {
      readonly op: "activation";
      readonly name: string;
      readonly kind: Exclude<ActivationKind, "identity">;
      readonly input: NodeId;
      /** Of `prelu` alone. */
      readonly tensors: Tensors<never, "weight">;
    }
  | ({ readonly op: "pool"; readonly kind: "max" | "avg"; readonly tensors: Tensors<never> } & Sliding)
  | { readonly op: "globalpool"; readonly input: NodeId; readonly tensors: Tensors<never> }
  | {
      readonly op: "linear";
      readonly name: string;
      readonly input: NodeId;
      readonly out: number;
      readonly tensors: Tensors<"weight" | "bias">;
    }
  | { readonly op: "add"; readonly input: NodeId; readonly other: NodeId; readonly tensors: Tensors<never> };

export type ExportedOp = ExportedNode["op"];
export type ExportedNodeOf<Op extends ExportedOp> = Extract<ExportedNode, { readonly op: Op }>;

/** Names in the file by what they are to the node: those that it always has, and those that it may have. */
type Tensors<Always extends string, Maybe extends string = never> = Readonly<
  Record<Always, string> & Partial<Record<Maybe, string>>
>;

export interface Sides {
  readonly h: number;
  readonly w: number;
}

/** A picture as the network takes it, and how any picture becomes one, which is what evaluations of the run do. */
export interface ExportedInput extends Shape {
  readonly name: string;
  /** It is scaled, its ratio kept, to the least size that covers this; the centre `crop` of that is seen. */
  readonly resize: Sides;
  readonly crop: Sides;
  /** Zero pixels around that. */
  readonly pad: number;
  /** Then each value v of a channel is (v / 255 − mean) / std. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** A kind of a table with its options. */
export interface ExportedKind {
  readonly kind: string;
  readonly [option: string]: unknown;
}

export interface ExportedScore {
  readonly name: string;
  readonly value: number;
  /** Of the run, when it was measured: the parameters may be of a later one. */
  readonly step: number;
  /** Beside it, such as `top5`. */
  readonly others?: Readonly<Record<string, number>>;
}

/** Where a network is from. */
export interface Provenance {
  /** Name of the run's folder. */
  readonly run: string;
  /** What volunteers read. */
  readonly title: string;
  /** Steps of the run behind it. */
  readonly step: number;
  /** SHA-256 of the latent float32 parameters, as the run's checkpoint has it. */
  readonly parameterHash: string;
  /** The version that wrote the file. */
  readonly bitswarm: string;
  readonly dataset: {
    readonly name: string;
    /** Names every sample and label of it. */
    readonly sha256: string;
    readonly trainSamples: number;
    readonly testSamples: number;
  };
  /** Of the newest evaluation by the run, where there was one. */
  readonly score?: ExportedScore;
}

/** Bytes as the literature counts them: a bit for each sign, 32 for each float, running statistics not counted. */
export interface ExportedSizes {
  readonly bytes: number;
  /** Of the same network with every layer in float32. */
  readonly fullPrecisionBytes: number;
}

/**
 * Of a network that follows a target: its graph makes features of a crop of any size, and a crop of the target is found
 * again where its features, as a window over those of a larger crop, give the greatest sum of products.
 */
export interface ExportedTracking {
  /** Pixels of a side of the target's crop, and of that which is searched. */
  readonly exemplar: number;
  readonly instance: number;
  /** A target of w × h is seen in a square of side √((w + p)(h + p)), p being so many times w + h. */
  readonly context: number;
  /** Pixels of a crop from one position of the features to the next. */
  readonly stride: number;
  /** The sum of products, scaled. */
  readonly response: { readonly op: "xcorr"; readonly scale: number };
}

/** What stands beside graph and tensors. */
export interface Description {
  readonly network: {
    readonly name: string;
    /** "1-bit student" */
    readonly title: string;
    readonly precision: "full" | "method";
  };
  readonly task: ExportedKind;
  readonly input: ExportedInput;
  readonly classes: number;
  /** From class 0 on, where the data set has names. */
  readonly classNames?: readonly string[];
  /** Of a network that follows a target alone, whose `output` is a map of features. */
  readonly tracking?: ExportedTracking;
  readonly method: ExportedKind;
  readonly model: ExportedKind;
  readonly sizes: ExportedSizes;
  readonly provenance: Provenance;
}

export interface ExportedModel extends Description {
  /** In order: each computes from nodes before it. */
  readonly nodes: readonly ExportedNode[];
  /** Of each node's map. */
  readonly shapes: readonly Shape[];
  readonly output: NodeId;
  /** By their names in the file, of which they are views. */
  readonly tensors: ReadonlyMap<string, SafeTensor>;
}
