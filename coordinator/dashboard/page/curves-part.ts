// The curves: asks for them when there is more to see, and draws those of this run and of others of its folder.

import { h } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { HistoryAnswer, RunList } from "../feed-message.ts";
import { Chart } from "./chart.ts";
import {
  type Axis,
  type ChartPlan,
  chartData,
  layerCharts,
  type RunHistory,
  stepCharts,
  stepsBetween,
} from "./curves.ts";
import type { HistoryClient } from "./history-client.ts";

/** Between two looks at curves that grow. */
const ASK_EVERY_MS = 2000;
/** The file is written a little after the step is told of. */
const WRITTEN_AFTER_MS = 250;
const POINTS = 800;
/** Other runs that are drawn at a time. */
const MOST_COMPARED = 3;
const SMOOTHINGS = 100;

interface Zoom {
  readonly from: number;
  readonly to: number;
}

interface Curves {
  readonly steps: HistoryAnswer;
  readonly layers: HistoryAnswer | undefined;
}

async function readCurves(client: HistoryClient, zoom: Zoom | undefined, layers: boolean): Promise<Curves> {
  const range = { ...zoom, points: POINTS };
  const { names } = await client.history({ table: "steps", series: [], points: 2 });
  const steps = client.history({ table: "steps", series: names.steps, ...range });
  if (!layers || names.layers.length === 0) return { steps: await steps, layers: undefined };
  return { steps: await steps, layers: await client.history({ table: "layers", series: names.layers, ...range }) };
}

/** Curves of the run, asked for again at most every so often while `mark` becomes another. */
function useCurves(client: HistoryClient, mark: number, zoom: Zoom | undefined, layers: boolean) {
  const [curves, setCurves] = useState<Curves>();
  const [failure, setFailure] = useState("");
  const askedAt = useRef(0);
  useEffect(() => {
    let gone = false;
    const due = Math.max(WRITTEN_AFTER_MS, askedAt.current + ASK_EVERY_MS - Date.now());
    const timer = setTimeout(
      async () => {
        askedAt.current = Date.now();
        try {
          const read = await readCurves(client, zoom, layers);
          if (!gone) setCurves(read);
          if (!gone) setFailure("");
        } catch (error) {
          if (!gone) setFailure((error as Error).message);
        }
      },
      curves ? due : 0,
    );
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [client, mark, zoom, layers]);
  return { curves, failure };
}

/** Curves of other runs, asked for once. */
function useOthers(client: HistoryClient, chosen: readonly string[], zoom: Zoom | undefined): readonly RunHistory[] {
  const [others, setOthers] = useState<readonly RunHistory[]>([]);
  const key = chosen.join("\n");
  useEffect(() => {
    let gone = false;
    const read = chosen.map(async (run): Promise<RunHistory> => {
      const { names } = await client.history({ run, table: "steps", series: [], points: 2 });
      const answer = await client.history({ run, table: "steps", series: names.steps, ...zoom, points: POINTS });
      return { label: run, answer };
    });
    Promise.allSettled(read).then((all) => {
      if (gone) return;
      setOthers(all.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])));
    });
    return () => {
      gone = true;
    };
  }, [client, key, zoom]);
  return others;
}

function Charts({
  plans,
  runs,
  axis,
  weight,
  onZoom,
}: {
  readonly plans: readonly ChartPlan[];
  readonly runs: readonly RunHistory[];
  readonly axis: Axis;
  readonly weight: number;
  readonly onZoom: (range: Zoom | undefined) => void;
}) {
  const all = useMemo(
    () => plans.map((plan) => ({ plan, data: chartData(plan, runs, axis, weight) })),
    [plans, runs, axis, weight],
  );
  return h(
    "div",
    { class: "charts" },
    all.map(({ plan, data }) => h(Chart, { key: plan.id, plan, data, axis, onZoom })),
  );
}

export function CurvesPart({ client, mark }: { readonly client: HistoryClient; readonly mark: number }) {
  const [axis, setAxis] = useState<Axis>("step");
  const [smoothing, setSmoothing] = useState(0);
  const [zoom, setZoom] = useState<Zoom>();
  const [layers, setLayers] = useState(false);
  const [runs, setRuns] = useState<RunList["runs"]>([]);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const { curves, failure } = useCurves(client, mark, zoom, layers);
  const others = useOthers(client, chosen, zoom);
  const askRuns = () =>
    client.runs().then(
      ({ runs: all }) => setRuns(all.filter(({ own }) => !own)),
      () => undefined,
    );
  useEffect(() => void askRuns(), [client]);
  const stepRuns = useMemo(() => (curves ? [{ label: "", answer: curves.steps }, ...others] : []), [curves, others]);
  const layerRuns = useMemo(() => (curves?.layers ? [{ label: "", answer: curves.layers }] : []), [curves]);
  const names = curves?.steps.names;
  const stepPlans = useMemo(() => stepCharts(names?.steps ?? []), [names?.steps.join("\n")]);
  const layerPlans = useMemo(() => layerCharts(names?.layers ?? []), [names?.layers.join("\n")]);
  const choose = (range: Zoom | undefined) => {
    if (!range) return setZoom(undefined);
    const found = curves && stepsBetween(curves.steps, axis, range.from, range.to);
    if (found) setZoom(found);
  };
  const step = (event: Event) => Math.max(0, Math.floor(Number((event.target as HTMLInputElement).value)));
  const last = curves?.steps.steps.at(-1) ?? 0;
  const toggle = (run: string) =>
    setChosen(chosen.includes(run) ? chosen.filter((one) => one !== run) : [...chosen, run].slice(-MOST_COMPARED));
  return h(
    "section",
    { class: "card", "aria-labelledby": "curves-title" },
    h("h2", { id: "curves-title" }, "Curves"),
    h(
      "div",
      { class: "controls" },
      h(
        "fieldset",
        null,
        h("legend", null, "Against"),
        (["step", "time"] as const).map((each) =>
          h(
            "label",
            { key: each },
            h("input", {
              type: "radio",
              name: "axis",
              value: each,
              checked: axis === each,
              onChange: () => setAxis(each),
            }),
            each,
          ),
        ),
      ),
      h(
        "label",
        null,
        "Smoothing ",
        h("input", {
          type: "range",
          min: 0,
          max: SMOOTHINGS - 1,
          value: smoothing,
          "aria-valuetext": `${smoothing} %`,
          onInput: (event: Event) => setSmoothing(Number((event.target as HTMLInputElement).value)),
        }),
      ),
      h(
        "label",
        null,
        "From step ",
        h("input", {
          type: "number",
          min: 0,
          max: last,
          value: zoom?.from ?? "",
          placeholder: "first",
          onChange: (event: Event) => setZoom({ from: step(event), to: zoom?.to ?? last }),
        }),
      ),
      h(
        "label",
        null,
        "to ",
        h("input", {
          type: "number",
          min: 1,
          value: zoom?.to ?? "",
          placeholder: "newest",
          onChange: (event: Event) => setZoom({ from: zoom?.from ?? 0, to: step(event) || last }),
        }),
      ),
      h("button", { type: "button", disabled: !zoom, onClick: () => setZoom(undefined) }, "Whole run"),
    ),
    runs.length > 0 &&
      h(
        "details",
        { class: "others", onToggle: () => void askRuns() },
        h("summary", null, `Other runs of this folder (${chosen.length} drawn)`),
        h(
          "ul",
          null,
          runs.map(({ run }) =>
            h(
              "li",
              { key: run },
              h(
                "label",
                null,
                h("input", { type: "checkbox", checked: chosen.includes(run), onChange: () => toggle(run) }),
                run,
              ),
            ),
          ),
        ),
      ),
    failure !== "" && h("p", { class: "quiet", role: "status" }, `The curves cannot be read now: ${failure}`),
    curves && stepPlans.length === 0 && h("p", { class: "quiet" }, "There is no step to draw yet."),
    h(
      "p",
      { class: "quiet hint" },
      "Drag over a chart to see a part of it closer; a double click shows the whole run again.",
    ),
    h(Charts, { plans: stepPlans, runs: stepRuns, axis, weight: smoothing / SMOOTHINGS, onZoom: choose }),
    (names?.layers.length ?? 0) > 0 &&
      h(
        "details",
        {
          class: "layers",
          open: layers,
          onToggle: (event: Event) => setLayers((event.target as HTMLDetailsElement).open),
        },
        h("summary", null, "Layer by layer"),
        layers &&
          h(Charts, { plans: layerPlans, runs: layerRuns, axis, weight: smoothing / SMOOTHINGS, onZoom: choose }),
      ),
  );
}
