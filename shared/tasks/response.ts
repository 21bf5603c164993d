// What stands on the features of an exemplar and a search, whatever they are cut from: a response map, what is counted
// of it, and how good that is.

import { z } from "zod";
import type { Head, MetricRange, Score, TaskOutput } from "./task.ts";

/** Pixels of a search from one place of a response to the next, of a network like SiamFC's. */
export const RESPONSE_STRIDE = 8;
/** Cells from the centre within which the greatest response is counted, each a metric. */
export const RESPONSE_CELLS = [2, 4] as const;

/** Options of a task that ends in a response. */
export const responseFields = {
  responseScale: z
    .number()
    .positive()
    .max(1e3)
    .default(1e-3)
    .describe("the response is this times the sum over both maps"),
  radius: z
    .number()
    .min(0)
    .max(1e4)
    .default(16)
    .describe("pixels from the centre, by rows and columns together, within which a place is the target's"),
};

export interface ResponseOptions {
  readonly responseScale: number;
  readonly radius: number;
}

/** The correlation of both features. */
export function responseHead({ responseScale: scale }: Pick<ResponseOptions, "responseScale">): Head {
  return (graph, exemplar, search) => graph.add({ op: "xcorr", exemplar, search, scale });
}

export const responseOutput: TaskOutput = {
  name: "response",
  text: "float32, one number a place of the search, the greatest where the exemplar's target is likeliest",
};

const metricOf = (cells: number) => `within${cells}`;

/** Shares of responses whose greatest value is near the centre, where the target of a pair is. */
export const responseMetrics: readonly string[] = RESPONSE_CELLS.map(metricOf);

/** A logistic loss, and shares. */
export const responseRanges: Readonly<Record<string, MetricRange>> = {
  task: { least: 0, most: Number.POSITIVE_INFINITY },
  ...Object.fromEntries(responseMetrics.map((name) => [name, { least: 0, most: 1 }])),
};

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
const [near, far] = RESPONSE_CELLS;

export const responseScore: Score = {
  name: "on target",
  better: "higher",
  of: (means) => means[metricOf(near)],
  text: percent,
  sentence: (value) => `the target within ${near} cells in ${percent(value)} of the held-out pairs`,
  others: [
    {
      name: metricOf(far),
      better: "higher",
      leastClasses: 0,
      of: (means) => means[metricOf(far)],
      text: (value) => `within ${far} cells ${percent(value)}`,
    },
  ],
};
