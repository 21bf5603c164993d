// The volunteer page: wires buttons, the session in its Web Worker, and the view together.

import "../platform/browser/no-eval.ts";

import { BitswarmError } from "../../shared/base/errors.ts";
import { runStatusSchema } from "../../shared/wire/run-status.ts";
import { findAdapter, findGpu } from "../device.ts";
import { type SessionClient, startSession } from "../platform/browser/client.ts";
import { eventLines } from "../session/event-lines.ts";
import { readJoinLink } from "../session/join-link.ts";
import type { SessionEvent } from "../session/session-event.ts";
import { blocked, buttonsOf, initialPage, looked, nextPage, type PageState } from "./page-state.ts";
import { element, showPage } from "./view.ts";

/** How often the run's progress is asked for while no session brings it. */
const STATUS_MS = 5000;
const LINGER_MS = 1000;
/** How often the seconds to the next attempt are counted. */
const TICK_MS = 250;

const parameters = new URLSearchParams(location.search);
let page: PageState = initialPage;
let client: SessionClient | undefined;
let lingering: ReturnType<typeof setTimeout> | undefined;

function show(next: PageState): void {
  page = next;
  showPage(page, performance.now());
}

/**
 * Between two leases a worker waits for a moment: only a wait that lasts is shown, or the page and screen readers would
 * flicker.
 */
function receive(event: SessionEvent): void {
  if (event.type === "state") clearTimeout(lingering);
  const pausesForBreath = event.type === "state" && event.state.kind === "waiting" && page.session.kind === "computing";
  const shown = () => show(nextPage(page, event, performance.now()));
  if (pausesForBreath) lingering = setTimeout(shown, LINGER_MS);
  else shown();
}

/** A connection that is waited for is tried now, in place of when its time comes. */
function retry(): void {
  if (page.session.kind === "reconnecting") client?.retry();
}

function start(): void {
  const lineOf = eventLines();
  client = startSession({
    url: location.href,
    name: parameters.get("name") ?? "browser tab",
    tune: parameters.get("tune") !== "0",
    onEvent: (event) => {
      const line = lineOf(event);
      if (line !== undefined) console.info(line);
      receive(event);
    },
  });
}

/** Whether this page can take part at all; says so before anyone presses Start. */
async function checkUp(): Promise<void> {
  readJoinLink(location.href);
  await findAdapter(findGpu(globalThis));
}

/** The run's progress for a visitor who only looks. */
async function refreshStatus(): Promise<void> {
  if (document.hidden || !resting()) return;
  const token = parameters.get("token") ?? "";
  try {
    const response = await fetch(`${readJoinLink(location.href).base}/status?token=${encodeURIComponent(token)}`);
    if (response.status === 403) throw new BitswarmError("TOKEN_INVALID", "The run's owner can send you a new link.");
    const status = response.ok ? runStatusSchema.parse(await response.json()) : undefined;
    if (resting()) show(looked(page, status));
  } catch (error) {
    if (!resting()) return;
    // A coordinator that is away for a moment is no reason to alarm anyone who only looks.
    show(error instanceof BitswarmError ? blocked(page, error.code, error.message) : looked(page, undefined));
  }
}

/** No session is going on, and one may be begun. */
function resting(): boolean {
  return page.session.kind !== "reconnecting" && buttonsOf(page).start;
}

element("start").addEventListener("click", () => (page.session.kind === "reconnecting" ? retry() : start()));
element("pause").addEventListener("click", () => (page.paused ? client?.resume() : client?.pause()));
element("leave").addEventListener("click", () => client?.leave());
// The focus moves on with a press: a key that is held would press the next button too.
addEventListener("keydown", (event) => {
  if (event.repeat && event.target instanceof HTMLButtonElement) event.preventDefault();
});
addEventListener("online", retry);
addEventListener("offline", () => client?.unplugged());
setInterval(() => page.session.kind === "reconnecting" && show(page), TICK_MS);
// A tab that is left may be kept frozen for the way back, worker and socket included: the coordinator would wait for it
// in vain.
addEventListener("pagehide", () => {
  client?.abandon();
  if (client)
    show({ ...page, session: { kind: "ended", reason: "left", message: "The tab was left for another page." } });
  client = undefined;
});

try {
  await checkUp();
  show(page);
  if (parameters.get("autostart") === "1") start();
  else await refreshStatus();
  setInterval(refreshStatus, STATUS_MS);
} catch (error) {
  const known = error instanceof BitswarmError;
  show(blocked(page, known ? error.code : "WEBGPU_MISSING", known ? error.message : String(error)));
}
