// From the histories of one or several runs to the columns of a chart: which charts there are, smoothing, one axis for
// all. Pure functions.

import { bytesText } from "../../../shared/base/bytes-text.ts";
import type { HistoryAnswer } from "../feed-message.ts";

export type Axis = "step" | "time";

/** A chart as it is planned: its series by name. */
export interface ChartPlan {
  readonly id: string;
  readonly title: string;
  readonly series: readonly string[];
  /** Held-out scores are drawn as points. */
  readonly evaluations?: boolean;
  /** Series of which other runs are shown, too. */
  readonly compared: readonly string[];
  /** What its numbers count, where that is written in a way of its own. */
  readonly unit?: "bytes";
}

const wordsOf: Readonly<Record<string, string>> = {
  gradient: "Gradient norm, by layer",
  flips: "Signs that a step flips, by layer",
  real: "D(R), of the teacher's maps",
  fake: "D(T), of the 1-bit maps",
};

/** `c.mean` is the mean of the companion C. */
const partsOf: Readonly<Record<string, string>> = { mean: "Mean", spread: "Spread", gradient: "Gradient" };

function measureTitle(measure: string): string {
  const [companion, part] = measure.split(".");
  const of = part === undefined ? undefined : partsOf[part];
  return wordsOf[measure] ?? (of ? `${of} of ${companion.toUpperCase()}, by layer` : `${measure}, by layer`);
}

const measureOf = (name: string) => name.slice(0, name.indexOf("/"));
const layerOf = (name: string) => name.slice(name.indexOf("/") + 1);

/** What a series is called within its chart. */
export function seriesLabel(name: string): string {
  if (name.includes("/")) return layerOf(name);
  const [head, ...rest] = name.split(".");
  return rest.length > 0 ? rest.join(".") : head.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** The charts of a run's steps. */
export function stepCharts(names: readonly string[]): ChartPlan[] {
  const starting = (head: string) => names.filter((name) => name.startsWith(head));
  const has = (name: string) => names.filter((one) => one === name);
  const losses = starting("loss.");
  const total = losses.includes("loss.total") ? ["loss.total"] : losses.slice(0, 1);
  const charts: ChartPlan[] = [
    { id: "loss", title: "Loss by part", series: losses, compared: total },
    { id: "score", title: "Score", series: has("score"), evaluations: true, compared: ["score"] },
    { id: "rate", title: "Learning rates", series: starting("rate."), compared: [] },
    { id: "speed", title: "Samples a second", series: has("samplesPerSecond"), compared: ["samplesPerSecond"] },
    { id: "workers", title: "Workers", series: has("workers"), compared: ["workers"] },
    { id: "bytes", title: "Bytes a step, both ways", series: starting("bytes."), compared: [], unit: "bytes" },
  ];
  const known = new Set(charts.flatMap(({ series }) => series));
  // What a later build writes is shown, too.
  const others = names.filter((name) => !known.has(name) && name !== "samples");
  const heads = [...new Set(others.map((name) => name.split(".")[0]))];
  for (const head of heads) {
    const series = others.filter((name) => name.split(".")[0] === head);
    charts.push({ id: head, title: head, series, compared: series.slice(0, 1) });
  }
  return charts.filter(({ series, evaluations }) => series.length > 0 || evaluations);
}

/** The charts of layers: one a measure, with a series a layer. */
export function layerCharts(names: readonly string[]): ChartPlan[] {
  const measures = [...new Set(names.filter((name) => name.includes("/")).map(measureOf))];
  return measures.map((measure) => ({
    id: `layers-${measure}`,
    title: measureTitle(measure),
    series: names.filter((name) => measureOf(name) === measure),
    compared: [],
  }));
}

type Numbers = readonly (number | null)[];

/**
 * The exponential mean with this weight of what came before, as TensorBoard has it: divided by the weights that there
 * were, so that it does not begin at 0.
 */
export function smoothed(values: Numbers, weight: number): (number | null)[] {
  if (weight <= 0) return [...values];
  let mean = 0;
  let total = 0;
  return values.map((value) => {
    if (value === null) return null;
    mean = weight * mean + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return mean / total;
  });
}

/** One run's part of a chart. */
export interface RunHistory {
  /** Empty for the run itself. */
  readonly label: string;
  readonly answer: HistoryAnswer;
}

export interface ChartSeries {
  readonly label: string;
  /** Of the series within the chart: its colour. */
  readonly place: number;
  /** Of the run among the shown: its dashes. */
  readonly run: number;
  readonly points: boolean;
}

export interface ChartData {
  readonly series: readonly ChartSeries[];
  /** Abscissae, then a column a series. */
  readonly columns: readonly Numbers[];
}

interface Line extends ChartSeries {
  readonly xs: Numbers;
  readonly ys: Numbers;
}

/** Seconds since the run's first step. */
function secondsOf({ times }: HistoryAnswer, of: Numbers): Numbers {
  const first = times.find((time) => time !== null);
  return of.map((time) => (time === null || first === undefined || first === null ? null : (time - first) / 1000));
}

function linesOf(plan: ChartPlan, runs: readonly RunHistory[], axis: Axis, weight: number): Line[] {
  return runs.flatMap(({ label, answer }, run) => {
    const named = (name: string) => (label === "" ? name : `${label}: ${name}`);
    const xs = axis === "step" ? answer.steps : secondsOf(answer, answer.times);
    const shown = label === "" ? plan.series : plan.compared;
    const lines: Line[] = shown.flatMap((name) => {
      const values = answer.series[name]?.mean;
      if (!values) return [];
      const place = plan.series.indexOf(name);
      return [{ label: named(seriesLabel(name)), place, run, points: false, xs, ys: smoothed(values, weight) }];
    });
    if (!plan.evaluations) return lines;
    const networks = [...new Set(answer.evaluations.map(({ network }) => network))];
    const evaluated = networks.map((network, i): Line => {
      const own = answer.evaluations.filter((one) => one.network === network);
      const at =
        axis === "step"
          ? own.map(({ step }) => step)
          : secondsOf(
              answer,
              own.map(({ time }) => time),
            );
      const place = plan.series.length + i;
      return {
        label: named(`${network}, held out`),
        place,
        run,
        points: true,
        xs: at,
        ys: own.map((one) => one.value),
      };
    });
    return [...lines, ...evaluated];
  });
}

/** A chart's columns over one axis that has every abscissa of every run once. */
export function chartData(plan: ChartPlan, runs: readonly RunHistory[], axis: Axis, weight: number): ChartData {
  const lines = linesOf(plan, runs, axis, weight);
  const places = new Set<number>();
  for (const { xs } of lines) for (const x of xs) if (x !== null) places.add(x);
  const abscissae = [...places].sort((a, b) => a - b);
  const at = new Map(abscissae.map((x, i) => [x, i]));
  const columns = lines.map(({ xs, ys }) => {
    const column: (number | null)[] = new Array(abscissae.length).fill(null);
    xs.forEach((x, i) => {
      if (x !== null) column[at.get(x) as number] = ys[i];
    });
    return column;
  });
  const series = lines.map(({ label, place, run, points }) => ({ label, place, run, points }));
  return { series, columns: [abscissae, ...columns] };
}

/** The steps between two abscissae of an axis; undefined where there are none. */
export function stepsBetween(
  answer: HistoryAnswer,
  axis: Axis,
  from: number,
  to: number,
): { readonly from: number; readonly to: number } | undefined {
  const xs = axis === "step" ? answer.steps : secondsOf(answer, answer.times);
  const within = answer.steps.filter((_, i) => {
    const x = xs[i];
    return x !== null && x >= from && x <= to;
  });
  const [first, last] = [within[0], within.at(-1)];
  return first === undefined || last === undefined || first === last ? undefined : { from: first, to: last };
}

const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

/** A number of a chart; 0.0000123 is read worse than 1.23e-5. */
export function valueText(value: number | null | undefined, unit?: ChartPlan["unit"]): string {
  if (value === null || value === undefined) return "–";
  if (unit === "bytes") return bytesText(value);
  const size = Math.abs(value);
  return value !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : short.format(value);
}

/** What a chart shows, in words: the newest value of each series. */
export function chartText({ series, columns }: ChartData, unit?: ChartPlan["unit"]): string {
  const newest = series.flatMap(({ label }, i) => {
    const value = columns[i + 1].findLast((one) => one !== null);
    return value === undefined || value === null ? [] : [`${label} ${valueText(value, unit)}`];
  });
  return newest.length > 0 ? `newest: ${newest.join(", ")}` : "nothing yet";
}
