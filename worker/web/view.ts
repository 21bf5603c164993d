// Writes a page state into the document: text, button states, and the attributes that launchers watch.

import type { RunStatus } from "../../shared/wire/run-status.ts";
import { buttonsOf, doingText, type PageState, reasonText, shownNotice, stateText } from "./page-state.ts";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** The element with this id, which index.html must have. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found as T;
}

/** Unchanged text is left alone, or a screen reader would read it again. */
function write(id: string, text: string): void {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}

function press(id: string, enabled: boolean, label?: string): void {
  const button = element<HTMLButtonElement>(id);
  button.disabled = !enabled;
  if (label !== undefined) write(id, label);
}

/**
 * Moves the focus from a button that cannot be pressed any more to what comes next: a browser would let it fall to the
 * page's beginning.
 */
function keepFocus(focused: Element | null): void {
  if (!(focused instanceof HTMLButtonElement) || !focused.disabled) return;
  const next = ["pause", "start", "leave"]
    .map((id) => element<HTMLButtonElement>(id))
    .find(({ disabled }) => !disabled);
  (next ?? element("state")).focus();
}

/** Seconds as "1 h 05 min", "3 min 20 s" or "12 s". */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  if (s >= 3600) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  return s >= 60 ? `${Math.floor(s / 60)} min ${two(s % 60)} s` : `${s} s`;
}

/** A fact of its own for each network that was tested. */
function showScore(network: string, label: string, text: string): void {
  const id = `score-${network}`;
  if (!document.getElementById(id)) {
    const fact = document.createElement("div");
    fact.append(document.createElement("dt"), Object.assign(document.createElement("dd"), { id }));
    element("facts").append(fact);
  }
  const value = element(id);
  if (value.previousElementSibling) value.previousElementSibling.textContent = label;
  write(id, text);
}

/** @param nowMs on the clock by which events came */
export function showPage(page: PageState, nowMs: number): void {
  const { session, adapter, status, joined, trouble } = page;
  const notice = shownNotice(page);
  const name = joined?.name ?? status?.name;
  const root = document.documentElement;
  root.dataset.state = session.kind === "idle" && trouble?.blocks ? "failed" : session.kind;
  if (joined) root.dataset.worker = joined.worker;
  if (notice) {
    root.dataset.code = notice.code;
    root.dataset.message = notice.text;
  } else {
    delete root.dataset.code;
    delete root.dataset.message;
  }
  if (name) write("run-name", name);
  document.title = name ? `${name} · bitswarm` : "bitswarm";

  write("state", stateText(page));
  write("doing", doingText(page, nowMs));
  const buttons = buttonsOf(page);
  const focused = document.activeElement;
  press("start", buttons.start, buttons.startLabel);
  press("pause", buttons.pause, buttons.pauseLabel);
  press("leave", buttons.leave);
  keepFocus(focused);

  element("notice").hidden = notice === undefined;
  write("notice-title", notice?.title ?? "");
  write("notice-text", notice?.text ?? "");

  write("samples", whole.format(page.samples));
  write("leases", whole.format(page.leases));
  write("speed", page.samplesPerSecond === undefined ? "–" : short.format(page.samplesPerSecond));
  if (adapter) {
    const slow = adapter.software ? " (in software, without a GPU: slow, but it counts)" : "";
    write("adapter", `${adapter.description || "unnamed"}${slow}`);
  }
  if (status) showRun(status);
  write("reason", reasonText(page));
}

function showRun(status: RunStatus): void {
  const { step, steps, loss } = status;
  const total = loss.total ?? loss.task;
  const progress = element<HTMLProgressElement>("progress");
  progress.max = Math.max(1, steps);
  progress.value = step;
  write("step", `${whole.format(step)} of ${whole.format(steps)}`);
  write("phase", status.phase);
  write("loss", total === undefined ? "–" : total.toFixed(3));
  write("workers", whole.format(status.workers));
  const over = status.state === "done";
  write("run-speed", status.samplesPerSecond > 0 && !over ? whole.format(status.samplesPerSecond) : "–");
  write("eta", status.etaSeconds === null || over ? "–" : duration(status.etaSeconds));
  for (const [network, { name, title, text }] of Object.entries(status.scores))
    showScore(network, `${name}, ${title}`, text);
}
