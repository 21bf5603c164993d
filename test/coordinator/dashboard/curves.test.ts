// Rules of the charts.

import { expect, test } from "vitest";
import type { HistoryAnswer } from "../../../coordinator/dashboard/feed-message.ts";
import {
  chartData,
  chartText,
  layerCharts,
  seriesLabel,
  smoothed,
  stepCharts,
  stepsBetween,
  valueText,
} from "../../../coordinator/dashboard/page/curves.ts";

function answer(steps: number[], times: number[], series: Record<string, (number | null)[]>): HistoryAnswer {
  return {
    generation: 0,
    names: { steps: Object.keys(series), layers: [] },
    passes: [],
    evaluations: [{ step: steps[1], time: times[1], network: "student", score: "accuracy", value: 0.5 }],
    stepsPerPoint: 1,
    steps,
    times,
    series: Object.fromEntries(Object.entries(series).map(([name, mean]) => [name, { mean }])),
  };
}

const own = answer([1, 2, 3], [1000, 2000, 4000], {
  "loss.total": [3, 2, 1],
  "loss.task": [2, 1, null],
  score: [0, 0.1, 0.2],
});
const other = answer([2, 4], [10_000, 11_000], { "loss.total": [9, 8], "loss.task": [7, 6] });

test("each series has its chart, and one that nobody foresaw has one of its own", () => {
  const plans = stepCharts(["loss.total", "loss.task", "score", "rate.weights", "workers", "heat.gpu", "heat.cpu"]);
  expect(plans.map(({ id, series }) => [id, series])).toEqual([
    ["loss", ["loss.total", "loss.task"]],
    ["score", ["score"]],
    ["rate", ["rate.weights"]],
    ["workers", ["workers"]],
    ["heat", ["heat.gpu", "heat.cpu"]],
  ]);
  expect(layerCharts(["flips/conv1", "flips/conv2", "c.mean/conv1", "heat/fc"]).map(({ title }) => title)).toEqual([
    "Signs that a step flips, by layer",
    "Mean of C, by layer",
    "heat, by layer",
  ]);
  expect(["loss.total", "samplesPerSecond", "flips/a.b"].map(seriesLabel)).toEqual([
    "total",
    "samples per second",
    "a.b",
  ]);
});

test("runs stand over one axis; of others there is what is compared", () => {
  const [plan] = stepCharts(own.names.steps);
  const runs = [
    { label: "", answer: own },
    { label: "run-2", answer: other },
  ];
  const data = chartData(plan, runs, "step", 0);
  expect(data.series.map(({ label, run }) => [label, run])).toEqual([
    ["total", 0],
    ["task", 0],
    ["run-2: total", 1],
  ]);
  expect(data.columns).toEqual([
    [1, 2, 3, 4],
    [3, 2, 1, null],
    [2, 1, null, null],
    [null, 9, null, 8],
  ]);
  expect(chartText(data)).toBe("newest: total 1, task 1, run-2: total 8");
  // Against time each begins at its own start.
  expect(chartData(plan, runs, "time", 0).columns[0]).toEqual([0, 1, 3]);
});

test("held-out scores are points at their step", () => {
  const score = stepCharts(own.names.steps).find(({ id }) => id === "score");
  const { series, columns } = chartData(score!, [{ label: "", answer: own }], "step", 0);
  expect(series[1]).toMatchObject({ label: "student, held out", points: true });
  expect(columns[2]).toEqual([null, 0.5, null]);
});

test("smoothing begins at the first value, keeps gaps, and comes near a constant", () => {
  expect(smoothed([4, null, 4, 4], 0.9).map((value) => value && Math.round(1e9 * value) / 1e9)).toEqual([
    4,
    null,
    4,
    4,
  ]);
  expect(smoothed([0, 1], 0.5)[1]).toBeCloseTo(2 / 3);
  expect(smoothed([1, 2], 0)).toEqual([1, 2]);
});

test("a stretch of either axis is a stretch of steps", () => {
  expect(stepsBetween(own, "step", 1.5, 9)).toEqual({ from: 2, to: 3 });
  expect(stepsBetween(own, "time", 0, 1)).toEqual({ from: 1, to: 2 });
  expect(stepsBetween(own, "step", 1.2, 1.8)).toBeUndefined();
});

test("bytes are told in KiB and MiB, other numbers in the fewest digits that can be read", () => {
  const plan = stepCharts(["bytes.down", "bytes.up"]).find(({ id }) => id === "bytes");
  const data = { series: [{ label: "down", place: 0, run: 0, points: false }], columns: [[1], [3 * 2 ** 20]] };
  expect(chartText(data, plan?.unit)).toBe("newest: down 3.00 MiB");
  expect([0, 0.5, 1234.5678, 1.23e-5, 3e6, null].map((value) => valueText(value))).toEqual([
    "0",
    "0.5",
    "1,235",
    "1.23e-5",
    "3.00e+6",
    "–",
  ]);
});
