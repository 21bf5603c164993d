// The dashboard: one line to the coordinator, and what comes over it on one page.

import { h, render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { bytesText } from "../../../shared/base/bytes-text.ts";
import type { Command } from "../feed-message.ts";
import { ActionsPart } from "./actions-part.ts";
import { awayText, type Board, demoLink, nextBoard, sourceText, stateText } from "./board.ts";
import { CurvesPart } from "./curves-part.ts";
import { passText, Strip } from "./drawings.ts";
import { EventsPart } from "./events-part.ts";
import { heldToken } from "./held-token.ts";
import { HistoryClient } from "./history-client.ts";
import { Line, type LineState } from "./line.ts";
import { onThemeChange, readTheme } from "./theme.ts";
import { durationText } from "./words.ts";
import { WorkersPart } from "./workers-part.ts";

const parameters = new URLSearchParams(location.search);
const token = parameters.get("token") ?? "";
/** The page is at /dashboard, below whatever path a proxy takes off. */
const base = new URL("./", location.href).href;
const icon = new URL("../../../shared/page/icon.svg", import.meta.url).href;
const OPERATOR = "operator-";
/** What was answered is old news then; what came of it is in the log. */
const SAID_MS = 30_000;

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

interface LineTextProps {
  readonly state: LineState;
  /** Nothing before something came. */
  readonly board: Board | undefined;
  readonly onRetry: () => void;
}

function LineText({ state, board, onRetry }: LineTextProps) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (state.kind !== "down") return undefined;
    const timer = setInterval(() => tick((n) => n + 1), 500);
    return () => clearInterval(timer);
  }, [state]);
  switch (state.kind) {
    case "connecting":
      return h("p", { class: "line" }, "Connecting…");
    case "up":
      return h("p", { class: "line up" }, board ? sourceText(board) : "Connected");
    case "refused":
      return h(
        "p",
        { class: "line down" },
        "This link is not valid any more: open the one that the coordinator printed last.",
      );
    case "down": {
      const seconds = Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000));
      return h(
        "p",
        { class: "line down" },
        `${awayText(board?.status)} Next try in ${seconds} s. `,
        h("button", { type: "button", onClick: onRetry }, "Try now"),
      );
    }
    default:
      return state satisfies never;
  }
}

function Fact({ name, value, wide }: { readonly name: string; readonly value: string; readonly wide?: boolean }) {
  return h("div", { class: wide ? "wide" : undefined }, h("dt", null, name), h("dd", null, value));
}

function Overview({ board, answers }: { readonly board: Board; readonly answers: boolean }) {
  const { status, traffic } = board;
  const { step, steps, phase, workers, samplesPerSecond, etaSeconds, scores, loss, loopDelayMs, samples, reason } =
    status;
  const [theme, setTheme] = useState(readTheme);
  useEffect(() => onThemeChange(() => setTheme(readTheme())), []);
  const over = status.state === "done";
  const total = loss.total ?? loss.task;
  const demo = answers ? demoLink(status, token) : undefined;
  return h(
    "section",
    { class: "card", "aria-labelledby": "overview-title" },
    h("h2", { id: "overview-title" }, "Where it stands"),
    h("progress", { max: Math.max(1, steps), value: step, "aria-labelledby": "overview-title" }),
    h("p", { class: "reason" }, reason),
    demo && h("p", null, h("a", { id: "demo", href: demo, target: "_blank", rel: "noopener" }, "Try what was trained")),
    h(
      "dl",
      { class: "facts" },
      h(Fact, { name: "Step", value: `${whole.format(step)} of ${whole.format(steps)}` }),
      h(Fact, { name: "State", value: stateText(board) }),
      h(Fact, { name: "Phase", value: phase }),
      h(Fact, { name: "Loss", value: total === undefined ? "–" : total.toFixed(4) }),
      Object.entries(scores).map(([network, { name, title, text }]) =>
        h(Fact, { key: network, name: `${name}, ${title}`, value: text }),
      ),
      h(Fact, { name: "Workers", value: whole.format(workers) }),
      h(Fact, {
        name: "Samples a second",
        value: samplesPerSecond > 0 && !over ? whole.format(samplesPerSecond) : "–",
      }),
      h(Fact, { name: "Time left", value: etaSeconds === null || over ? "–" : durationText(etaSeconds) }),
      h(Fact, { name: "Samples", value: whole.format(samples) }),
      h(Fact, {
        name: "Last step, down and up",
        value: traffic === null ? "–" : `${bytesText(traffic.down)}, ${bytesText(traffic.up)}`,
      }),
      h(Fact, { name: "Coordinator late by", value: loopDelayMs === null ? "–" : `${Math.round(loopDelayMs.max)} ms` }),
    ),
    h("h3", null, "This pass"),
    h(Strip, { pass: board.pass, theme }),
    h("p", { class: "quiet" }, passText(board.pass)),
    h(
      "ul",
      { class: "states" },
      (["committed", "collected", "leased"] as const).map((each) =>
        h("li", { key: each }, h("span", { class: `dot ${each}` }), each === "leased" ? "out at workers" : each),
      ),
    ),
  );
}

function Dashboard() {
  const [board, setBoard] = useState<Board>();
  const [line, setLine] = useState<LineState>({ kind: "connecting" });
  const [operator, setOperator] = useState("");
  const [said, setSaid] = useState({ text: "" });
  const client = useMemo(() => new HistoryClient(base, token), []);
  const feed = useMemo(
    () =>
      new Line({
        base,
        token,
        onMessage: (message) => setBoard((before) => nextBoard(before, message)),
        onState: setLine,
      }),
    [],
  );
  useEffect(() => feed.open(), [feed]);
  const name = board?.status.name;
  useEffect(() => {
    document.title = name ? `${name} · dashboard · bitswarm` : "Dashboard · bitswarm";
    document.documentElement.dataset.line = line.kind;
  }, [name, line]);
  useEffect(() => {
    if (said.text === "") return undefined;
    const timer = setTimeout(() => setSaid({ text: "" }), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);
  const ask = async (asked: Command, shown: string) => {
    const answer = await feed.ask(asked, shown);
    setOperator((held) => heldToken(held, shown, answer));
    return answer;
  };
  const unlock = async (shown: string) => setSaid({ text: (await ask({ type: "may-i" }, shown)).message });
  const command = async (asked: Command) => setSaid({ text: (await ask(asked, operator)).message });
  const askAgain = async () => {
    const { code } = await ask({ type: "may-i" }, operator);
    if (code === "TOKEN_INVALID") setSaid({ text: "The run was resumed, and has another operator's token since." });
  };
  useEffect(() => {
    // What was said before the line was lost may have been said of a coordinator that is gone.
    if (line.kind === "down" || line.kind === "refused") setSaid({ text: "" });
    if (line.kind !== "up") return;
    if (operator !== "") void askAgain();
    else if (token.startsWith(OPERATOR)) void unlock(token);
  }, [line]);
  return h(
    "main",
    null,
    h(
      "header",
      null,
      h("p", { class: "brand" }, h("img", { src: icon, alt: "", width: 28, height: 28 }), "bitswarm"),
      h("h1", null, name ?? "Dashboard"),
      board && h("p", { class: "quiet" }, board.status.run),
      h("div", { role: "status" }, h(LineText, { state: line, board, onRetry: () => feed.retry() })),
    ),
    board && h(Overview, { board, answers: line.kind === "up" }),
    board &&
      h(ActionsPart, { board, unlocked: operator !== "", said: said.text, onUnlock: unlock, onCommand: command }),
    board && h(CurvesPart, { client, mark: board.history }),
    board &&
      h(WorkersPart, {
        board,
        onDrain:
          operator === "" || board.status.state === "done" ? undefined : (worker) => command({ type: "drain", worker }),
      }),
    board && h(EventsPart, { events: board.events }),
  );
}

const app = document.getElementById("app");
if (!app) throw new Error("the page has no element #app");
app.textContent = "";
render(h(Dashboard, null), app);
