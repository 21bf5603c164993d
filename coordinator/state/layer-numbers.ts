// What a step did to each layer, in a few numbers: how large its gradient was, how many signs it turned, how its
// companions are spread, what its discriminator answers. Read beside the update, so that nothing of the run depends on
// it.

import type { LatentEntries, ParameterEntry } from "../../shared/model/manifest.ts";
import { type Parameters, parameter } from "../../shared/wire/parameter-blob.ts";

/** By `MEASURE/LAYER`: `flips/layer1.0.conv1`. */
export type LayerNumbers = Readonly<Record<string, number>>;

/** Steps of a run that are measured at most: they cost a pass over the weights each, and some KiB. */
export const MOST_MEASURED = 2000;

/** Of so many steps one is measured: 1, 2, 5, 10, 20… */
export function measuredEvery(steps: number): number {
  for (let power = 1; ; power *= 10) {
    for (const digit of [1, 2, 5]) if (steps <= digit * power * MOST_MEASURED) return digit * power;
  }
}

/** @param step from 1 @param steps of the whole program */
export function isMeasured(step: number, steps: number): boolean {
  return step === 1 || step === steps || step % measuredEvery(steps) === 0;
}

/** Euclidean norms of gradients by the parameter's name, noted where they are used. */
export type GradientNorms = Map<string, number>;

export function euclidean(values: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i];
  return Math.sqrt(sum);
}

/** Share of weights whose sign is another one; that of 0 is positive, as the network takes it. */
export function flippedShare(before: Float32Array, after: Float32Array): number {
  let flipped = 0;
  for (let i = 0; i < after.length; i++) if (before[i] < 0 !== after[i] < 0) flipped++;
  return flipped / Math.max(1, after.length);
}

/** Mean and standard deviation. */
export function meanAndSpread(values: Float32Array): { readonly mean: number; readonly spread: number } {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  const mean = sum / values.length;
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i] - mean) ** 2;
  return { mean, spread: Math.sqrt(squares / values.length) };
}

const criticName = /^(discriminator\..+)\.\d+\.(?:weight|bias)$/;

function layerOf({ name, role }: ParameterEntry): string {
  const critic = role === "critic" ? criticName.exec(name) : null;
  return critic ? critic[1] : name.slice(0, Math.max(0, name.lastIndexOf(".")));
}

/** Whose gradient is told: weights of layers, critics as one, companions by their own names; no norms and biases. */
function gradientMeasure({ role, shape, initial }: ParameterEntry): string | undefined {
  if (role === "learned") return initial.kind === "companion" ? `${initial.name}.gradient` : undefined;
  return role === "critic" || shape.length >= 2 ? "gradient" : undefined;
}

/** A metric that is of a layer is called as such: D of each map (`answerNames`). */
const answer = /^(?:real|fake)\//;

export interface MeasuredStep {
  /** Means over the step's samples. */
  readonly metrics: Readonly<Record<string, number>>;
  /** What the step moved. */
  readonly entries: readonly ParameterEntry[];
  readonly norms: ReadonlyMap<string, number>;
  /** Latent weights that it moved, and what they were before. */
  readonly moved: readonly LatentEntries[];
  readonly previous: ReadonlyMap<string, Float32Array>;
  /** As they are now. */
  readonly values: Parameters;
}

export function layerNumbersOf({ metrics, entries, norms, moved, previous, values }: MeasuredStep): LayerNumbers {
  const numbers: Record<string, number> = {};
  for (const [name, value] of Object.entries(metrics)) if (answer.test(name)) numbers[name] = value;
  for (const entry of entries) {
    const norm = norms.get(entry.name);
    const measure = gradientMeasure(entry);
    if (norm === undefined || measure === undefined) continue;
    const key = `${measure}/${layerOf(entry)}`;
    numbers[key] = Math.hypot(numbers[key] ?? 0, norm);
  }
  for (const { weight, companions } of moved) {
    const layer = layerOf(weight);
    const before = previous.get(weight.name);
    if (before) numbers[`flips/${layer}`] = flippedShare(before, parameter(values, weight.name));
    for (const [name, { name: of, role }] of Object.entries(companions)) {
      const companion = values.get(of);
      if (role === "state" || !companion?.length) continue;
      const { mean, spread } = meanAndSpread(companion);
      numbers[`${name}.mean/${layer}`] = mean;
      numbers[`${name}.spread/${layer}`] = spread;
    }
  }
  return numbers;
}
