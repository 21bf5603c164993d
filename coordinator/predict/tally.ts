// Right answers of a network, counted: over all, and of each class.

import type { ExportedModel } from "../../shared/export/exported-model.ts";

/** Classes that a top-5 says something of; as the task has it. */
const TOP = 5;

export interface ClassTally {
  readonly samples: number;
  readonly right: number;
}

export interface Evaluation {
  readonly samples: number;
  readonly right: number;
  /** Samples whose class is among the five largest. */
  readonly amongFive: number;
  /** By class. */
  readonly classes: readonly ClassTally[];
}

export class Tally {
  #samples = 0;
  #right = 0;
  #amongFive = 0;
  readonly #classes: { samples: number; right: number }[];

  constructor(classes: number) {
    this.#classes = Array.from({ length: classes }, () => ({ samples: 0, right: 0 }));
  }

  /** Of equal logits the first class is the larger one, as the loss's kernel has it. */
  add(logits: Float32Array, label: number): void {
    const own = logits[label];
    let above = 0;
    logits.forEach((value, index) => {
      if (value > own || (value === own && index < label)) above++;
    });
    // What is no number is above nothing, and is no answer either.
    const right = above === 0 && !Number.isNaN(own);
    this.#samples++;
    this.#classes[label].samples++;
    if (right) {
      this.#right++;
      this.#classes[label].right++;
    }
    if (above < TOP && !Number.isNaN(own)) this.#amongFive++;
  }

  get evaluation(): Evaluation {
    return {
      samples: this.#samples,
      right: this.#right,
      amongFive: this.#amongFive,
      classes: this.#classes.map((one) => ({ ...one })),
    };
  }
}

/** Beside what the run itself measured. */
export type OwnScore =
  | { readonly kind: "none" }
  /** Of other samples: nothing to compare. */
  | { readonly kind: "other-data"; readonly value: number }
  | { readonly kind: "same" | "differs"; readonly value: number; readonly step: number; readonly samples: number };

/** @param data the name of what was evaluated, and how much of it */
export function besideOwn(
  { provenance }: Pick<ExportedModel, "provenance">,
  { samples, right }: Evaluation,
  data: string,
): OwnScore {
  const { score, dataset } = provenance;
  if (score?.name !== "accuracy") return { kind: "none" };
  const { value, step } = score;
  if (dataset.name !== data || dataset.testSamples !== samples) return { kind: "other-data", value };
  // A run's mean is a sum of float32: less than half a picture apart is none.
  const kind = Math.abs(right / samples - value) < 0.5 / samples ? "same" : "differs";
  return { kind, value, step, samples };
}
