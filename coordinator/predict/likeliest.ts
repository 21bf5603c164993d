// The classes that logits speak for.

import type { ExportedModel } from "../../shared/export/exported-model.ts";

export interface Predicted {
  readonly index: number;
  /** The class's number where it has no name. */
  readonly name: string;
  /** Those of all classes are 1 together. */
  readonly probability: number;
}

export function className({ classNames }: Pick<ExportedModel, "classNames">, index: number): string {
  return classNames?.[index] ?? String(index);
}

/** The likeliest first; of equal ones the one that comes first. */
export function likeliest(
  logits: Float32Array,
  model: Pick<ExportedModel, "classNames">,
  top: number,
): readonly Predicted[] {
  const largest = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const powers = Array.from(logits, (value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers
    .map((power, index) => ({ index, name: className(model, index), probability: power / sum }))
    .sort((a, b) => b.probability - a.probability || a.index - b.index)
    .slice(0, top);
}
