// Who works: a table with each worker's last minutes beside it.

import { h } from "preact";
import { useEffect, useState } from "preact/hooks";
import { bytesText } from "../../../shared/base/bytes-text.ts";
import { TIMELINE_MS, workerStates } from "../feed-message.ts";
import { type Board, countsOf, type SortKey, shownWorkers, type Worker } from "./board.ts";
import { Timeline } from "./drawings.ts";
import { onThemeChange, readTheme } from "./theme.ts";

/** Rows of a page: each is drawn anew with every look at the run. */
const ROWS = 50;

const columns: readonly { readonly key: SortKey; readonly title: string; readonly right?: boolean }[] = [
  { key: "worker", title: "Worker" },
  { key: "name", title: "Name" },
  { key: "state", title: "Does" },
  { key: "samplesPerSecond", title: "Samples/s", right: true },
  { key: "samples", title: "Samples", right: true },
  { key: "down", title: "Down", right: true },
  { key: "up", title: "Up", right: true },
  { key: "rttMs", title: "Round trip", right: true },
  { key: "adapter", title: "Adapter" },
];

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** What an account has shown, in words. */
function trustText({ own, confirmed, against }: Worker): string {
  if (own) return "own";
  if (confirmed === null) return "not audited yet";
  const agrees = `${confirmed} confirmed`;
  return against > 0 ? `${agrees}, ${against} against` : agrees;
}

export interface WorkersProps {
  readonly board: Board;
  /** Lets a worker go; undefined where nobody may. */
  readonly onDrain: ((worker: string) => void) | undefined;
}

export function WorkersPart({ board, onDrain }: WorkersProps) {
  const [filter, setFilter] = useState("");
  const [order, setOrder] = useState<{ readonly key: SortKey; readonly down: boolean }>({ key: "worker", down: false });
  const [page, setPage] = useState(0);
  const [theme, setTheme] = useState(readTheme);
  useEffect(() => onThemeChange(() => setTheme(readTheme())), []);
  const all = shownWorkers(board.workers.values(), { filter, ...order });
  const pages = Math.max(1, Math.ceil(all.length / ROWS));
  const at = Math.min(page, pages - 1);
  const counts = countsOf(board.workers.values());
  const sort = (key: SortKey) => setOrder({ key, down: order.key === key ? !order.down : false });
  const sorted = (key: SortKey) => (order.key === key ? (order.down ? "descending" : "ascending") : "none");
  return h(
    "section",
    { class: "card", "aria-labelledby": "workers-title" },
    h("h2", { id: "workers-title" }, `Workers (${whole.format(board.workers.size)})`),
    h(
      "ul",
      { class: "states" },
      workerStates
        .filter((state) => counts.has(state))
        .map((state) => h("li", { key: state }, h("span", { class: `dot ${state}` }), `${counts.get(state)} ${state}`)),
    ),
    board.workers.size > 0 &&
      h(
        "div",
        { class: "controls" },
        h(
          "label",
          null,
          "Find ",
          h("input", {
            type: "search",
            value: filter,
            placeholder: "name, adapter, state…",
            onInput: (event: Event) => setFilter((event.target as HTMLInputElement).value),
          }),
        ),
        pages > 1 &&
          h(
            "span",
            { class: "pager" },
            h("button", { type: "button", disabled: at === 0, onClick: () => setPage(at - 1) }, "Before"),
            `page ${at + 1} of ${pages}`,
            h("button", { type: "button", disabled: at === pages - 1, onClick: () => setPage(at + 1) }, "Next"),
          ),
      ),
    board.workers.size > 0 &&
      h(
        "div",
        { class: "scrolls", tabIndex: 0, role: "region", "aria-label": "Table of workers" },
        h(
          "table",
          { class: "workers" },
          h(
            "thead",
            null,
            h(
              "tr",
              null,
              columns.map(({ key, title, right }) =>
                h(
                  "th",
                  { key, scope: "col", "aria-sort": sorted(key), class: right ? "right" : undefined },
                  h("button", { class: "sorts", type: "button", onClick: () => sort(key) }, title),
                ),
              ),
              h("th", { scope: "col" }, "Trust"),
              h("th", { scope: "col" }, `Last ${TIMELINE_MS / 60_000} minutes`),
              onDrain && h("th", { scope: "col", class: "act" }, "Let go"),
            ),
          ),
          h(
            "tbody",
            null,
            all
              .slice(at * ROWS, (at + 1) * ROWS)
              .map((worker) => h(Row, { key: worker.worker, worker, board, theme, onDrain })),
          ),
        ),
      ),
    board.workers.size === 0 &&
      h(
        "p",
        { class: "quiet" },
        board.driven
          ? "Nobody works at the moment."
          : "Who works at a run that is going on is on the dashboard of the coordinator that drives it.",
      ),
  );
}

function Row({
  worker: one,
  board,
  theme,
  onDrain,
}: WorkersProps & { readonly worker: Worker; readonly theme: ReturnType<typeof readTheme> }) {
  const { worker, name, state, draining, samplesPerSecond, samples, rttMs, adapter, software, account, runtime } = one;
  const speed = samplesPerSecond === null ? "–" : samplesPerSecond.toLocaleString("en");
  return h(
    "tr",
    { "data-worker": worker, "data-state": state },
    h("th", { scope: "row" }, worker),
    h("td", { class: "wraps", title: `account ${account}…, ${runtime}` }, name || "no name"),
    h("td", null, h("span", { class: `dot ${state}` }), draining ? `${state}, then goes` : state),
    h("td", { class: "right" }, speed),
    h("td", { class: "right" }, whole.format(samples)),
    h("td", { class: "right" }, bytesText(one.down)),
    h("td", { class: "right" }, bytesText(one.up)),
    h("td", { class: "right" }, rttMs === null ? "–" : `${whole.format(rttMs)} ms`),
    h("td", { class: "wraps" }, `${adapter || "unnamed"}${software ? " (software)" : ""}`),
    h("td", { class: "wraps" }, trustText(one)),
    h("td", null, h(Timeline, { stretches: one.stretches, at: board.at, theme })),
    onDrain &&
      h(
        "td",
        { class: "act" },
        h(
          "button",
          {
            class: "drain",
            type: "button",
            disabled: draining,
            "aria-label": `Drain ${worker}`,
            onClick: () => onDrain(worker),
          },
          "Drain",
        ),
      ),
  );
}
