// Charts of a comparison as SVG without scripts and styles of their own: colours are classes of the page, which has
// them for light and for dark.

import { html, type Markup } from "./html.ts";

/** Colours that the page has; more series begin anew, with other dashes. */
export const COLOURS = 10;
const dashes = ["", "7 4", "2 3", "9 3 2 3"] as const;

/** How a series is drawn: `s3` and its dashes. */
export function seriesClass(series: number): string {
  return `s${series % COLOURS}`;
}

export function seriesDash(series: number): string {
  return dashes[Math.floor(series / COLOURS) % dashes.length];
}

export interface Point {
  readonly x: number;
  readonly y: number;
  /** Half of the interval of y. */
  readonly half: number | null;
}

export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface ChartText {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly xText: (value: number) => string;
  readonly yText: (value: number) => string;
  /** Whether each point is marked; unless given it is. */
  readonly dots?: boolean;
  /** Values that y cannot have lie beyond: nothing is drawn there. */
  readonly yLimits?: readonly [number, number];
  /** What the axis of y spans at the least. */
  readonly yRange?: readonly [number, number];
}

const size = { width: 720, height: 400, left: 62, right: 26, top: 14, bottom: 46 } as const;
/** Ticks of an axis, about. */
const TICKS = 6;

/** Round steps that hold a range. */
function ticksOf(low: number, high: number): number[] {
  const span = high - low || Math.abs(high) || 1;
  const rough = span / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? rough;
  const first = Math.floor(low / step);
  const last = Math.max(first + 1, Math.ceil((high || step) / step));
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** How ticks are told: no two alike, whatever digits are usual for what stands there. */
function tickTexts(ticks: readonly number[], text: (value: number) => string): readonly string[] {
  const usual = ticks.map(text);
  return new Set(usual).size < ticks.length ? ticks.map(String) : usual;
}

function limited({ yLimits = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] }: ChartText) {
  return (value: number) => Math.min(yLimits[1], Math.max(yLimits[0], value));
}

interface Frame {
  readonly x: (value: number) => number;
  readonly y: (value: number) => number;
  readonly axes: Markup;
}

function frameOf(series: readonly Series[], text: ChartText, fromZero: boolean): Frame | undefined {
  const points = series.flatMap((one) => one.points);
  if (points.length === 0) return undefined;
  const { width, height, left, right, top, bottom } = size;
  const xs = ticksOf(fromZero ? 0 : Math.min(...points.map((p) => p.x)), Math.max(...points.map((p) => p.x)));
  const within = limited(text);
  const { yRange = [] } = text;
  const ys = ticksOf(
    Math.min(...yRange, ...points.map((p) => within(p.y - (p.half ?? 0)))),
    Math.max(...yRange, ...points.map((p) => within(p.y + (p.half ?? 0)))),
  );
  const [xTexts, yTexts] = [tickTexts(xs, text.xText), tickTexts(ys, text.yText)];
  const scale = (values: readonly number[], from: number, to: number) => (value: number) =>
    from + ((value - values[0]) / (values[values.length - 1] - values[0])) * (to - from);
  const x = scale(xs, left, width - right);
  const yOf = scale(ys, height - bottom, top);
  const y = (value: number) => yOf(within(value));
  const axes = html`
${ys.map((tick, i) => html`<line class="grid" x1="${left}" x2="${width - right}" y1="${at(y(tick))}" y2="${at(y(tick))}"/><text class="tick" x="${left - 6}" y="${at(y(tick) + 4)}" text-anchor="end">${yTexts[i]}</text>`)}
${xs.map((tick, i) => html`<line class="grid" y1="${top}" y2="${height - bottom}" x1="${at(x(tick))}" x2="${at(x(tick))}"/><text class="tick" x="${at(x(tick))}" y="${height - bottom + 16}" text-anchor="middle">${xTexts[i]}</text>`)}
<text class="axis" x="${(left + width - right) / 2}" y="${height - 8}" text-anchor="middle">${text.x}</text>
<text class="axis" transform="translate(14 ${(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">${text.y}</text>`;
  return { x, y, axes };
}

const at = (value: number) => Number(value.toFixed(1));

function drawn(text: ChartText, inner: Markup): Markup {
  const { width, height } = size;
  return html`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${text.title}">${inner}</svg>`;
}

const nothing = html`<p class="note">Nothing is there to be drawn yet.</p>`;

const spread = (half: number | null, text: ChartText) => (half === null ? "" : ` ± ${text.yText(half)}`);

/** Series whose bands can be told apart. */
const MOST_BANDS = 6;

/** Lines of means, with their intervals as bands where these are few enough. @param fromZero where x begins */
export function lineChart(series: readonly Series[], text: ChartText, fromZero = true): Markup {
  const frame = frameOf(series, text, fromZero);
  if (!frame) return nothing;
  const { x, y, axes } = frame;
  const place = (px: number, py: number) => `${at(x(px))},${at(y(py))}`;
  const bands = series.map(({ points }, i) => {
    const wide = points.filter(({ half }) => half !== null);
    if (wide.length < 2 || series.length > MOST_BANDS) return html``;
    const upper = wide.map((p) => place(p.x, p.y + (p.half ?? 0)));
    const lower = wide.map((p) => place(p.x, p.y - (p.half ?? 0))).reverse();
    return html`<polygon class="band ${seriesClass(i)}" points="${[...upper, ...lower].join(" ")}"/>`;
  });
  const lines = series.map(({ name, points }, i) => {
    const path = points.map((p) => place(p.x, p.y)).join(" ");
    const marked = text.dots === false ? [] : points;
    const dots = marked.map(
      (p) =>
        html`<circle class="dot ${seriesClass(i)}" cx="${at(x(p.x))}" cy="${at(y(p.y))}" r="2.5"><title>${name}: ${text.yText(p.y)}${spread(p.half, text)} after ${text.xText(p.x)}</title></circle>`,
    );
    return html`<polyline class="line ${seriesClass(i)}" stroke-dasharray="${seriesDash(i)}" points="${path}"/>${dots}`;
  });
  return drawn(text, html`${axes}${bands}${lines}`);
}

/** Rows of names beside marks, in pixels; and how near marks' names get into each other's way. */
const ROW = 14;
const NEAR = 110;

/** Where names are written, so that none is over another: each as near to its mark as those above it let it. */
function nameRows(marks: readonly { readonly x: number; readonly y: number }[]): ReadonlyMap<object, number> {
  const rows = new Map<object, number>();
  for (const mark of [...marks].sort((a, b) => a.y - b.y)) {
    const above = [...rows].filter(([other]) => Math.abs((other as { readonly x: number }).x - mark.x) < NEAR);
    rows.set(
      mark,
      above.reduce((row, [, taken]) => Math.max(row, taken + ROW), mark.y + 4),
    );
  }
  return rows;
}

/** A point a series, with its interval as a bar and its name beside it. */
export function scatterChart(series: readonly Series[], text: ChartText): Markup {
  const frame = frameOf(series, text, true);
  if (!frame) return nothing;
  const { x, y, axes } = frame;
  const marks = series.flatMap(({ name, points }, i) =>
    points.map((point) => ({ name, point, i, x: at(x(point.x)), y: at(y(point.y)) })),
  );
  const rows = nameRows(marks);
  const drawnMarks = marks.map((mark) => {
    const { name, point, i } = mark;
    const { half } = point;
    const bar =
      half === null
        ? html``
        : html`<line class="bar ${seriesClass(i)}" x1="${mark.x}" x2="${mark.x}" y1="${at(y(point.y - half))}" y2="${at(y(point.y + half))}"/>`;
    // Where a name would leave the picture it stands on the other side.
    const left = mark.x > size.width * 0.82;
    const label = html`<text class="name" x="${mark.x + (left ? -8 : 8)}" y="${at(rows.get(mark) ?? mark.y)}" text-anchor="${left ? "end" : "start"}">${name}</text>`;
    return html`${bar}<circle class="dot ${seriesClass(i)}" cx="${mark.x}" cy="${mark.y}" r="4.5"><title>${name}: ${text.yText(point.y)}${spread(half, text)} at ${text.xText(point.x)}</title></circle>${label}`;
  });
  return drawn(text, html`${axes}${drawnMarks}`);
}
