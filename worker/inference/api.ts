// What people who use `bitswarm/inference` see of it.

import type { Backbone, Features, Responses } from "../../shared/tracking/backbone.ts";

export type { Features, Responses };

/** The CPU, or the GPU. */
export type BackendKind = "wasm" | "webgpu";

/** An exported file: its address, or its bytes. */
export type Source = string | URL | Blob | ArrayBuffer | Uint8Array;

export interface LoadOptions {
  /** What is to compute; unless given, a GPU where there is a real one, and else the CPU. */
  readonly backend?: BackendKind;
}

/** Pixels as ImageData has them, or with one or three channels: bytes [height][width][channels]. */
export interface PlainPicture {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** What `predict` takes. */
export type Picture =
  | PlainPicture
  | ImageBitmap
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLVideoElement
  | HTMLImageElement;

/** How good a network was, by its run. */
export interface Score {
  /** "accuracy" */
  readonly name: string;
  readonly value: number;
  readonly others?: Readonly<Record<string, number>>;
}

export interface Prediction {
  readonly label: string;
  /** Of the class, from 0. */
  readonly index: number;
  /** 0 to 1; those of all classes are 1 together. */
  readonly probability: number;
}

/** What is told of any network, whatever it is for. */
export interface CommonInfo {
  /** What computes it. */
  readonly backend: BackendKind;
  /** "1-bit student" */
  readonly title: string;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Kinds, such as "rbcn" and "resnet". */
  readonly method: string;
  readonly model: string;
  readonly run: string;
  readonly dataset: string;
  /** Optimizer steps behind it. */
  readonly step: number;
  /** What it got when its run measured it last. */
  readonly score?: Score;
  readonly fileBytes: number;
  /** Values of what it computes with, a bit or a float each. */
  readonly parameters: number;
}

export interface ModelInfo extends CommonInfo {
  /** Of what the network sees of a picture. */
  readonly input: { readonly h: number; readonly w: number; readonly c: number };
  readonly pad: number;
  readonly classes: number;
  /** A name each, of classes without names their numbers. */
  readonly labels: readonly string[];
}

export interface PredictOptions {
  /** How many classes, the likeliest first; 5 unless given. */
  readonly top?: number;
}

/** A network that predicts. */
export interface Model {
  readonly info: ModelInfo;
  /**
   * What a picture says of transparency is left out: its colours stand as they are.
   * @throws DATA_INVALID for what is no picture, CONFIG_INVALID for a `top` that is none, COMPUTE_FAILED after dispose
   */
  predict(picture: Picture, options?: PredictOptions): Promise<readonly Prediction[]>;
  /**
   * Logits f32 [n][classes] of inputs [n][h][w][c] as the network sees them, zero pixels around them included: f32
   * values, normalised already, or u8 pixels, normalised here.
   * @throws DATA_INVALID for what is no whole number of inputs, COMPUTE_FAILED after dispose
   */
  logits(input: Float32Array | Uint8Array): Promise<Float32Array>;
  /** Gives memory and device back; nothing can be asked afterwards. */
  dispose(): void;
}

/** Of a network that follows a target. */
export interface BackboneInfo extends CommonInfo {
  /** Pixels of a side of the target's crop, and of that which is searched. */
  readonly exemplar: number;
  readonly instance: number;
  /** A target of w × h is seen in a square of side √((w + p)(h + p)), p being so many times w + h. */
  readonly context: number;
  /** Pixels of a crop from one place of a response to the next. */
  readonly stride: number;
  /** Of its parameters, a bit for each sign and four bytes for each float. */
  readonly bytes: number;
}

/** A network that follows a target: features of crops, and where those of one are found in others. */
export interface LoadedBackbone extends Backbone {
  readonly info: BackboneInfo;
}
