// Numbers of a comparison as people read them, the same in the terminal and on the page.

import type { Pairs } from "../../shared/run/compute.ts";
import type { Comparison } from "./comparison.ts";
import type { Estimate } from "./statistics.ts";

/** A score and its interval in the score's own unit. */
export interface ScoreScale {
  readonly unit: string;
  readonly factor: number;
  readonly digits: number;
}

/** A share is told in percent, as its own text does. */
export function scoreScale({ results }: Pick<Comparison, "results">): ScoreScale {
  const text = results.find(({ score }) => score)?.score?.text ?? "%";
  return text.includes("%") ? { unit: "%", factor: 100, digits: 2 } : { unit: "", factor: 1, digits: 4 };
}

const signed = (value: number, digits: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;

/** "87.31 ± 0.52"; "87.31" where there is one value. */
export function estimateText({ mean, half }: Estimate, { factor, digits }: ScoreScale, sign = false): string {
  const value = factor * mean;
  const text = sign ? signed(value, digits) : value.toFixed(digits);
  return half === null ? text : `${text} ± ${(factor * half).toFixed(digits)}`;
}

const steps = [
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
] as const;

/** Three digits and a prefix: "1.23 G". */
export function countText(value: number): string {
  const step = steps.find(([size]) => value >= size);
  if (!step) return Number.isInteger(value) ? String(value) : value.toPrecision(3);
  const scaled = value / step[0];
  return `${scaled >= 100 ? scaled.toFixed(0) : scaled.toPrecision(3)} ${step[1]}`;
}

/** "1.2 M float + 3.4 M 1-bit", without what is 0. */
export function pairsText({ float, binary }: Pairs): string {
  const parts = [
    ...(float > 0 || binary === 0 ? [`${countText(float)} float`] : []),
    ...(binary > 0 ? [`${countText(binary)} 1-bit`] : []),
  ];
  return parts.join(" + ");
}

/** "12.3 KiB". */
export function kibText(bytes: number): string {
  return bytes >= 2 ** 20 ? `${(bytes / 2 ** 20).toFixed(2)} MiB` : `${(bytes / 1024).toFixed(1)} KiB`;
}

export function relativeText(value: number): string {
  return `${value.toFixed(2)} ×`;
}
