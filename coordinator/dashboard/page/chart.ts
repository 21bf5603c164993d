// One chart: uPlot's canvas with the page's colours, a legend that can be read and pressed, and the same in words.

import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { type Axis, type ChartData, type ChartPlan, chartText, valueText } from "./curves.ts";
import { onThemeChange, readTheme, type Theme } from "./theme.ts";

const HEIGHT = 220;
/** Dashes of a run's lines: none for the run itself. */
const DASHES: readonly (readonly number[])[] = [[], [6, 4], [2, 3], [10, 3, 2, 3]];
const LEAST_WIDTH = 240;
const SYNC = "curves";

const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
/** Steps of an axis of bytes, so that its labels are round: 512 KiB, 1.00 MiB. */
const BINARY = Array.from({ length: 50 }, (_, i) => 2 ** i);
/** Width of an axis' labels at 12 px: their longest text, the ticks and the gap to them. */
const DIGIT = 7;
const BESIDE = 20;
const LEAST_AXIS = 56;

/** Seconds as an axis has them. */
function clockText(seconds: number): string {
  if (seconds >= 3600) return `${number.format(seconds / 3600)} h`;
  return seconds >= 60 ? `${number.format(seconds / 60)} min` : `${number.format(seconds)} s`;
}

export interface ChartProps {
  readonly plan: ChartPlan;
  readonly data: ChartData;
  readonly axis: Axis;
  /** A stretch of the axis was chosen with the pointer; undefined to see all of it. */
  readonly onZoom: (range: { readonly from: number; readonly to: number } | undefined) => void;
}

function xText(axis: Axis, x: number | null): string {
  return axis === "step" ? `step ${valueText(x)}` : clockText(x ?? 0);
}

function optionsOf(
  { plan, data, axis }: ChartProps,
  theme: Theme,
  width: number,
  zoom: { readonly current: ChartProps["onZoom"] },
  onPoint: (index: number | null) => void,
): uPlot.Options {
  const axisStyle = {
    stroke: theme.quiet,
    grid: { stroke: theme.line, width: 1 },
    ticks: { stroke: theme.line, width: 1 },
    font: "12px system-ui, sans-serif",
  };
  const sayX = (value: number) => (axis === "step" ? valueText(value) : clockText(value));
  return {
    width,
    height: HEIGHT,
    scales: { x: { time: false } },
    cursor: { sync: { key: SYNC }, drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
    legend: { show: false },
    hooks: {
      setCursor: [(plot) => onPoint(plot.cursor.idx ?? null)],
      setSelect: [
        (plot) => {
          const { left, width: chosen } = plot.select;
          if (chosen < 4) return;
          zoom.current({ from: plot.posToVal(left, "x"), to: plot.posToVal(left + chosen, "x") });
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
    axes: [
      { ...axisStyle, values: (_plot, splits) => splits.map(sayX) },
      {
        ...axisStyle,
        size: (_plot, labels) => {
          const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
          return Math.max(LEAST_AXIS, longest * DIGIT + BESIDE);
        },
        values: (_plot, splits) => splits.map((value) => valueText(value, plan.unit)),
        ...(plan.unit === "bytes" ? { incrs: BINARY } : {}),
      },
    ],
    series: [
      {},
      ...data.series.map(({ label, place, run, points }): uPlot.Series => {
        const stroke = theme.series[place % theme.series.length];
        return {
          label,
          stroke,
          width: points ? 0 : 1.5,
          dash: [...DASHES[Math.min(run, DASHES.length - 1)]],
          points: {
            show: points ? true : undefined,
            size: points ? 8 : 4,
            stroke,
            fill: stroke,
          } as uPlot.Series.Points,
          spanGaps: true,
        };
      }),
    ],
    id: `plot-${plan.id}`,
  };
}

export function Chart(props: ChartProps) {
  const { plan, data, axis } = props;
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const [theme, setTheme] = useState(readTheme);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [pointed, setPointed] = useState<number | null>(null);
  const zoom = useRef(props.onZoom);
  zoom.current = props.onZoom;
  useEffect(() => onThemeChange(() => setTheme(readTheme())), []);
  const shape = JSON.stringify([axis, data.series]);
  useEffect(() => {
    const target = holder.current;
    if (!target) return undefined;
    const columns = data.columns as unknown as uPlot.AlignedData;
    const wide = () => Math.max(LEAST_WIDTH, target.clientWidth);
    const made = new uPlot(optionsOf(props, theme, wide(), zoom, setPointed), columns, target);
    for (const [i, { label }] of data.series.entries()) if (hidden.has(label)) made.setSeries(i + 1, { show: false });
    plot.current = made;
    made.over.addEventListener("dblclick", () => zoom.current(undefined));
    const observer = new ResizeObserver(() => made.setSize({ width: wide(), height: HEIGHT }));
    observer.observe(target);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [shape, theme]);
  useEffect(() => plot.current?.setData(data.columns as unknown as uPlot.AlignedData), [data]);
  const toggle = (label: string, i: number) => {
    const shown = hidden.has(label);
    plot.current?.setSeries(i + 1, { show: shown });
    setHidden(new Set(shown ? [...hidden].filter((one) => one !== label) : [...hidden, label]));
  };
  const text = chartText(data, plan.unit);
  const x = pointed === null ? undefined : data.columns[0][pointed];
  const shownValue = (i: number) =>
    pointed === null ? data.columns[i + 1].findLast((one) => one !== null) : data.columns[i + 1][pointed];
  return h(
    "figure",
    { class: "chart", "data-chart": plan.id },
    h(
      "figcaption",
      null,
      h("h3", null, plan.title),
      h("span", { class: "quiet", "aria-hidden": "true" }, x === undefined ? "newest" : xText(axis, x)),
    ),
    h("div", { class: "plot", ref: holder, role: "img", "aria-label": `${plan.title}; ${text}` }),
    h(
      "ul",
      { class: "legend", "aria-label": `Series of ${plan.title}` },
      data.series.map(({ label, place, run }, i) =>
        h(
          "li",
          { key: label },
          h(
            "button",
            { type: "button", "aria-pressed": !hidden.has(label), onClick: () => toggle(label, i) },
            h("span", {
              class: `swatch dashes-${Math.min(run, DASHES.length - 1)}`,
              style: { borderColor: theme.series[place % theme.series.length] },
            }),
            `${label} `,
            h("span", { class: "value" }, valueText(shownValue(i), plan.unit)),
          ),
        ),
      ),
    ),
  );
}
