// What a network comes to when it only predicts: steps over values, each a convolution, or what stands between two,
// with norm, shortcut and activation drawn into the step before them. Both backends read this.

import type { ExportedRule } from "../../../shared/export/exported-model.ts";
import type { Shape } from "../../../shared/model/graph.ts";
import { signWords, type WindowShape } from "../../../shared/model/window.ts";

/** Index of a value in its program. */
export type ValueId = number;

export type Value =
  /** f32 [h][w][c]. */
  | ({ readonly kind: "map" } & Shape)
  /** Bit planes u32 [planes][h][w][words], as sign planes have them; with groups words of each of them. */
  | ({ readonly kind: "planes"; readonly planes: number; readonly groups?: number } & Shape)
  /** f32 [h][w]: a factor a position. */
  | { readonly kind: "factors"; readonly h: number; readonly w: number };

/** x where x > 0, else x · slope[c]; or x clipped to ±1. */
export type Activation = { readonly kind: "slope"; readonly slope: Float32Array } | { readonly kind: "clip" };

/**
 * What becomes of what a step computes, before it is stored: y = activation((x · factors) · scale[c] + bias[c] + add),
 * of which any part may be missing.
 */
export interface Tail {
  readonly factors?: ValueId | Float32Array;
  readonly scale?: Float32Array;
  readonly bias?: Float32Array;
  readonly add?: ValueId;
  readonly activation?: Activation;
}

/**
 * How bits of an activation's plane and of a weight's are counted together: a term is coefficient[o] · (offset[o] − 2 ·
 * count), where `count` is of the bits that differ (`xor`) or are both set (`and`), and both are over the taps inside
 * the image.
 */
export interface Counting {
  readonly operation: "xor" | "and";
  /** So many times the channels of each tap, and so many times the set bits of the weight's plane. */
  readonly offset: { readonly channels: 0 | 1; readonly ones: 0 | 1 | 2 };
}

export interface BitTerm {
  /** u32 [out][kh][kw][words]. */
  readonly bits: Uint32Array;
  /** Which plane of the activations. */
  readonly plane: number;
  /** f32 [out]. */
  readonly coefficient: Float32Array;
}

interface Convolving {
  readonly name: string;
  readonly input: ValueId;
  readonly output: ValueId;
  /** With groups, `in` and `out` are the channels of one, and those of all of them are the maps'. */
  readonly window: WindowShape;
  readonly tail: Tail;
}

export type Step =
  /** `weight` is f32 [out][kh][kw][in]. */
  | ({ readonly op: "float"; readonly weight: Float32Array } & Convolving)
  /** The sum of its terms. */
  | ({ readonly op: "bits"; readonly counting: Counting; readonly terms: readonly BitTerm[] } & Convolving)
  /** ±1 times ±1 · c[tap], summed: `bits` as a term's, c f32 [kh][kw]. */
  | ({ readonly op: "taps"; readonly bits: Uint32Array; readonly c: Float32Array } & Convolving)
  | { readonly op: "map"; readonly input: ValueId; readonly output: ValueId; readonly tail: Tail }
  /** To planes of bits: a sign's set bit is −1, a level's planes are its binary digits. */
  | { readonly op: "pack"; readonly input: ValueId; readonly output: ValueId; readonly rule: Rule }
  /** The same as numbers. */
  | { readonly op: "quantise"; readonly input: ValueId; readonly output: ValueId; readonly rule: Rule }
  | {
      readonly op: "pool";
      readonly kind: "max" | "avg";
      readonly input: ValueId;
      readonly output: ValueId;
      readonly window: WindowShape;
    }
  | { readonly op: "globalpool"; readonly input: ValueId; readonly output: ValueId }
  /** The mean over channels and window of |x|; zeros around it count. */
  | { readonly op: "magnitude"; readonly input: ValueId; readonly output: ValueId; readonly window: WindowShape };

/** How a map is made of few bits; of `bases` with what they are shifted by and worth. */
export type Rule =
  | Exclude<ExportedRule, { readonly kind: "bases" }>
  | { readonly kind: "bases"; readonly shift: Float32Array; readonly scale: Float32Array };

export interface Program {
  /** Pictures at once: each value is there for all of them, one behind the other, and planes plane by plane. */
  readonly n: number;
  readonly values: readonly Value[];
  readonly input: ValueId;
  readonly steps: readonly Step[];
  readonly output: ValueId;
}

/** u32 words of a plane's pixel. */
export function planeWords({ c, groups = 1 }: Pick<Extract<Value, { kind: "planes" }>, "c" | "groups">): number {
  return groups * signWords(c / groups);
}

/** Values that a step reads. */
export function readBy(step: Step): readonly ValueId[] {
  if (!("tail" in step)) return [step.input];
  const { factors, add } = step.tail;
  return [step.input, ...(typeof factors === "number" ? [factors] : []), ...(add === undefined ? [] : [add])];
}

/** Place of the last step that reads each value; that of the step that makes it where none does. */
export function lastReads({ values, steps, output }: Program): readonly number[] {
  const last = values.map(() => -1);
  steps.forEach((step, at) => {
    for (const id of [step.output, ...readBy(step)]) last[id] = at;
  });
  last[output] = steps.length;
  return last;
}
