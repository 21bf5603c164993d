// What of a history is shown: a run of any length in so many points, each the mean of some steps with the least and the
// most of them. The same steps make the same point however long the run has become.

import type { Segment } from "./history-data.ts";

/** Points of each series of a view, whatever is asked for. */
export const MOST_POINTS = 2000;
/** Series of one view. */
export const MOST_SERIES = 256;
/** Numbers in a view: where many series are asked for, each has fewer points. Some 600 KiB of JSON at most. */
export const MOST_NUMBERS = 60_000;
/** Significant digits of a shown number. */
const DIGITS = 6;

export interface ViewRequest {
  /** Names of series; those that the history has none of are left out. */
  readonly series: readonly string[];
  /** First and last step; the whole run unless given. */
  readonly from?: number;
  readonly to?: number;
  /** Points of each series at most; 500 unless given. */
  readonly points?: number;
}

/** A series of a view; null where a step has no such number. */
export interface ViewSeries {
  readonly mean: readonly (number | null)[];
  /** Of the steps of a point; absent where each point is one step. */
  readonly least?: readonly (number | null)[];
  readonly most?: readonly (number | null)[];
}

/** Columns of equal length, as charts take them. */
export interface HistoryView {
  /** Steps that one point stands for. */
  readonly stepsPerPoint: number;
  /** Of each point's last row. */
  readonly steps: readonly number[];
  /** Milliseconds since 1970; null where nobody wrote it down. */
  readonly times: readonly (number | null)[];
  readonly series: Readonly<Record<string, ViewSeries>>;
}

const DEFAULT_POINTS = 500;

/** 1, 2, 5, 10, 20…: the first with which `rows` steps are no more than `points`. */
export function stepsPerPoint(steps: number, points: number): number {
  for (let power = 1; ; power *= 10) {
    for (const digit of [1, 2, 5]) if (Math.ceil(steps / (digit * power)) < points) return digit * power;
  }
}

function rounded(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(DIGITS)) : null;
}

/** Of each series and point, series after series. */
interface Sums {
  readonly sum: Float64Array;
  readonly count: Uint32Array;
  readonly least: Float64Array;
  readonly most: Float64Array;
}

function noSums(size: number): Sums {
  return {
    sum: new Float64Array(size),
    count: new Uint32Array(size),
    least: new Float64Array(size).fill(Number.POSITIVE_INFINITY),
    most: new Float64Array(size).fill(Number.NEGATIVE_INFINITY),
  };
}

/** Rows of a segment, and the point that each belongs to. */
interface Placed {
  readonly segment: Segment;
  readonly first: number;
  readonly point: Int32Array;
}

/** Brings rows together, row after row as they lie in memory. */
function gather({ segment, first, point }: Placed, names: readonly string[], points: number, sums: Sums): void {
  const { numbers, width } = segment;
  const { sum, count, least, most } = sums;
  const wanted = names.flatMap((name, index) => {
    const place = segment.place(name);
    return place === undefined ? [] : [{ place, start: index * points }];
  });
  const places = Int32Array.from(wanted, ({ place }) => place);
  const starts = Int32Array.from(wanted, ({ start }) => start);
  for (let row = 0, at = first * width; row < point.length; row++, at += width) {
    const own = point[row];
    for (let i = 0; i < places.length; i++) {
      const value = numbers[at + places[i]];
      if (Number.isNaN(value)) continue;
      const to = starts[i] + own;
      sum[to] += value;
      count[to]++;
      if (value < least[to]) least[to] = value;
      if (value > most[to]) most[to] = value;
    }
  }
}

export function viewOf(segments: readonly Segment[], request: ViewRequest): HistoryView {
  const { from = 0, to = Number.MAX_SAFE_INTEGER, points: asked = DEFAULT_POINTS } = request;
  const known = new Set(segments.flatMap(({ columns }) => columns));
  const names = [...new Set(request.series)].filter((name) => known.has(name)).slice(0, MOST_SERIES);
  const most = Math.floor(MOST_NUMBERS / (3 * Math.max(1, names.length)));
  const points = Math.max(2, Math.min(asked, MOST_POINTS, most));
  const ranges = segments.flatMap((segment) => {
    const [first, end] = [segment.rowAfter(from - 1), segment.rowAfter(to)];
    return end > first ? [{ segment, first, end }] : [];
  });
  const rows = ranges.reduce((sum, { first, end }) => sum + end - first, 0);
  const last = ranges.at(-1);
  const span = last === undefined ? 0 : last.segment.step(last.end - 1) - ranges[0].segment.step(ranges[0].first) + 1;
  const each = rows <= points ? 1 : stepsPerPoint(span, points);

  const steps: number[] = [];
  const times: (number | null)[] = [];
  let bucket = -1;
  const placed = ranges.map(({ segment, first, end }): Placed => {
    const { numbers, width } = segment;
    const point = new Int32Array(end - first);
    for (let row = first; row < end; row++) {
      const step = numbers[row * width];
      const at = Math.floor((step - 1) / each);
      if (at !== bucket || steps.length === 0) {
        bucket = at;
        steps.push(step);
        times.push(null);
      }
      const index = steps.length - 1;
      steps[index] = step;
      const time = numbers[row * width + 1];
      if (!Number.isNaN(time)) times[index] = time;
      point[row - first] = index;
    }
    return { segment, first, point };
  });
  const count = steps.length;
  const sums = noSums(names.length * count);
  for (const part of placed) gather(part, names, count, sums);
  const series = names.map((name, index): [string, ViewSeries] => {
    const [start, end] = [index * count, (index + 1) * count];
    const mean = steps.map((_, i) => rounded(sums.sum[start + i] / sums.count[start + i]));
    if (each === 1) return [name, { mean }];
    const told = (values: Float64Array) => Array.from(values.subarray(start, end), rounded);
    return [name, { mean, least: told(sums.least), most: told(sums.most) }];
  });
  return { stepsPerPoint: each, steps, times, series: Object.fromEntries(series) };
}
