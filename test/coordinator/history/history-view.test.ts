import { expect, test } from "vitest";
import { HistoryData, Segment } from "../../../coordinator/history/history-data.ts";
import { readLine, writtenLine } from "../../../coordinator/history/history-line.ts";
import {
  MOST_NUMBERS,
  MOST_POINTS,
  MOST_SERIES,
  stepsPerPoint,
  viewOf,
} from "../../../coordinator/history/history-view.ts";

/** Steps 1 to `steps`, a second apart; `b` is only in every other row. */
function segmentOf(steps: number, first = 1): Segment {
  const segment = new Segment(["a", "b"]);
  for (let step = first; step < first + steps; step++) {
    segment.add({ table: "steps", step, time: step * 1000, values: [step, step % 2 === 0 ? -step : Number.NaN] });
  }
  return segment;
}

test("a run of few steps is shown step by step", () => {
  expect(viewOf([segmentOf(3)], { series: ["a", "b", "unknown"] })).toEqual({
    stepsPerPoint: 1,
    steps: [1, 2, 3],
    times: [1000, 2000, 3000],
    series: { a: { mean: [1, 2, 3] }, b: { mean: [null, -2, null] } },
  });
});

test("a run of many steps is shown by mean, least and most of as many steps a point", () => {
  const view = viewOf([segmentOf(6), segmentOf(4, 7)], { series: ["a", "b"], points: 6 });
  expect(view).toEqual({
    stepsPerPoint: 2,
    steps: [2, 4, 6, 8, 10],
    times: [2000, 4000, 6000, 8000, 10_000],
    series: {
      a: { mean: [1.5, 3.5, 5.5, 7.5, 9.5], least: [1, 3, 5, 7, 9], most: [2, 4, 6, 8, 10] },
      b: { mean: [-2, -4, -6, -8, -10], least: [-2, -4, -6, -8, -10], most: [-2, -4, -6, -8, -10] },
    },
  });
});

test("points that are full stay as they are while the run goes on", () => {
  const [one, other] = [900, 950].map((steps) => viewOf([segmentOf(steps)], { series: ["a"], points: 100 }));
  expect(other.stepsPerPoint).toBe(one.stepsPerPoint);
  expect(other.steps.slice(0, 90)).toEqual(one.steps);
  expect(other.series.a.mean.slice(0, 90)).toEqual(one.series.a.mean);
});

test("a view of some steps has those alone, of each segment", () => {
  const view = viewOf([segmentOf(6), segmentOf(4, 7)], { series: ["a"], from: 5, to: 8 });
  expect(view.steps).toEqual([5, 6, 7, 8]);
});

test.each([
  [10, 100, 1],
  [1000, 100, 20],
  [100_000, 500, 500],
  [99, 100, 1],
])("%i steps in fewer than %i points are %i a point", (steps, points, each) => {
  expect(stepsPerPoint(steps, points)).toBe(each);
});

test("MOST_POINTS, MOST_SERIES and MOST_NUMBERS hold whatever is asked for", () => {
  const wide = new Segment(Array.from({ length: MOST_SERIES + 9 }, (_, i) => `${i}`));
  for (let step = 1; step <= 3000; step++) {
    wide.add({ table: "layers", step, time: 0, values: wide.columns.map((_, i) => i / 3) });
  }
  const one = viewOf([wide], { series: ["0"], points: 10 ** 9 });
  expect(one.steps.length).toBeGreaterThan(MOST_POINTS / 3);
  expect(one.steps.length).toBeLessThanOrEqual(MOST_POINTS);
  const all = viewOf([wide], { series: wide.columns, points: 10 ** 9 });
  expect(Object.keys(all.series)).toHaveLength(MOST_SERIES);
  const numbers = Object.values(all.series).flatMap(({ mean, least = [], most = [] }) => [...mean, ...least, ...most]);
  expect(numbers.length).toBeGreaterThan(MOST_NUMBERS / 3);
  expect(numbers.length).toBeLessThanOrEqual(MOST_NUMBERS);
});

test("lines are read as they were written; what is none is counted and changes nothing", () => {
  const lines = [
    { kind: "begin", after: 0 },
    { kind: "pass", pass: { phase: "student", network: "student", epoch: 0, after: 0 } },
    { kind: "columns", table: "steps", columns: ["score", "loss.total"] },
    { kind: "row", table: "steps", step: 1, time: 1_700_000_000_000, values: [0.25, Number.NaN] },
    {
      kind: "evaluation",
      evaluation: { step: 1, time: 5, network: "student", score: "accuracy", value: 0.5, others: { top5: 1 } },
    },
  ] as const;
  expect(lines.map(writtenLine).map(readLine)).toEqual(lines);
  const data = new HistoryData();
  for (const line of lines) data.add(line);
  for (const text of ["{", "[]", "[2,2,0,1,1]", "[0,2,0,1]", '[0,2,0,1,"x"]', "[0,1,0,1,1]", "[1,2,0]", '{"pass":1}']) {
    expect(data.add(readLine(text)), text).toBe(false);
  }
  expect(data.damaged).toBe(8);
  expect(data.step).toBe(1);
});
