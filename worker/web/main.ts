// The volunteer page: wires buttons, the session in its Web Worker, what the browser keeps, and the view together.

import "../platform/browser/no-eval.ts";

import { BitswarmError } from "../../shared/base/errors.ts";
import { shareIn } from "../../shared/base/gpu-share.ts";
import { nicknameIn } from "../../shared/base/nickname.ts";
import { runStatusSchema } from "../../shared/wire/run-status.ts";
import { findAdapter, findGpu } from "../device.ts";
import { type SessionClient, startSession } from "../platform/browser/client.ts";
import { openKeptContent } from "../platform/browser/content-store.ts";
import { eventLines } from "../session/event-lines.ts";
import { readJoinLink } from "../session/join-link.ts";
import type { HoldReason, SessionEvent } from "../session/session-event.ts";
import { fetchBoard } from "./board.ts";
import { givenIn, givenTo, withGiven } from "./given.ts";
import { localText } from "./local-text.ts";
import { blocked, initialPage, isOver, looked, nextPage, offer, type PageState, resting, seen } from "./page-state.ts";
import { countText, shareText } from "./page-text.ts";
import { watchPower } from "./power.ts";
import { ScreenLock } from "./screen-lock.ts";
import { holdOf, listedAs, type Settings, settingsIn } from "./settings.ts";
import { type Actions, showPage, startable } from "./view.ts";
import { browserOf, helpWith, type Lacking } from "./webgpu-help.ts";

/** How often the run's progress is asked for while no session brings it. */
const STATUS_MS = 5000;
const BOARD_MS = 15_000;
const LINGER_MS = 1000;
/** How often the seconds to the next attempt are counted. */
const TICK_MS = 250;

const parameters = new URLSearchParams(location.search);
const token = parameters.get("token") ?? "";
const keptSettings = localText("bitswarm.settings");
const keptGiven = localText("bitswarm.given");
const screenLock = new ScreenLock();
let page: PageState = {
  ...initialPage,
  settings: firstSettings(),
  surroundings: { onBattery: undefined, hidden: document.hidden, canStayAwake: ScreenLock.possible },
};
let client: SessionClient | undefined;
let lingering: ReturnType<typeof setTimeout> | undefined;
/** What the volunteer wants to compute through, until it is over. */
let ignored: HoldReason | undefined;

/** As they were kept; a link's throttle counts for this visit. */
function firstSettings(): Settings {
  const settings = settingsIn(keptSettings.read());
  return { ...settings, share: shareIn(parameters.get("throttle") ?? "") ?? settings.share };
}

function show(next: PageState): void {
  page = next;
  showPage(page, actions, performance.now());
  screenLock.want(page.settings.awake && !resting(page) && !page.paused && page.held === undefined);
}

/**
 * Between two leases a worker waits for a moment: only a wait that lasts is shown, or the page and screen readers would
 * flicker.
 */
function receive(event: SessionEvent): void {
  if (event.type === "state") clearTimeout(lingering);
  const pausesForBreath = event.type === "state" && event.state.kind === "waiting" && page.session.kind === "computing";
  const shown = () => show(withMemory(page, nextPage(page, event, performance.now())));
  if (pausesForBreath) lingering = setTimeout(shown, LINGER_MS);
  else shown();
}

/** Writes down what was given since, beside what was given before: other tabs of this browser may have given too. */
function withMemory(before: PageState, next: PageState): PageState {
  const { joined, account } = next;
  if (!joined || account === undefined) return next;
  const all = givenIn(keptGiven.read());
  const more = { samples: next.samples - before.samples, trained: next.trained - before.trained };
  if (more.samples === 0) {
    return next.given?.run === joined.run ? next : { ...next, given: givenTo(all, joined.run, account) };
  }
  const now = withGiven(all, { run: joined.run, account, ...more });
  keptGiven.write(JSON.stringify(now));
  return { ...next, given: givenTo(now, joined.run, account) };
}

/** What was given in earlier visits, before there is a session that says by whom. */
function withEarlier(next: PageState): PageState {
  const run = next.status?.run;
  if (next.given !== undefined || run === undefined) return next;
  const given = givenIn(keptGiven.read()).find((one) => one.run === run);
  return given ? { ...next, given } : next;
}

/** A connection that is waited for is tried now, in place of when its time comes. */
function retry(): void {
  if (page.session.kind === "reconnecting") client?.retry();
}

/** How much whoever opened this page wants kept, in MiB. */
function cacheWish(): number | undefined {
  const wish = parameters.get("cache") ?? "";
  return /^\d{1,9}$/.test(wish) ? Number(wish) : undefined;
}

function start(): void {
  const lineOf = eventLines();
  ignored = undefined;
  client = startSession({
    url: location.href,
    name: parameters.get("name") ?? "browser tab",
    tune: parameters.get("tune") !== "0",
    cacheMiB: cacheWish(),
    share: page.settings.share,
    onEvent: (event) => {
      const line = lineOf(event);
      if (line !== undefined) console.info(line);
      receive(event);
    },
  });
  const nickname = listedAs(page.settings);
  if (nickname !== undefined) client.list(nickname);
  holdAsSet();
}

/** Computes, or not, as the volunteer's settings want it in these surroundings. */
function holdAsSet(): void {
  const hold = holdOf(page.settings, page.surroundings);
  if (hold !== ignored) ignored = undefined;
  client?.hold(hold === ignored ? undefined : hold);
}

function choose(change: Partial<Settings>): void {
  const before = page.settings;
  const nickname = nicknameIn(change.nickname ?? before.nickname);
  const settings: Settings = { ...before, ...change, nickname };
  const listed = listedAs(settings);
  const kept = { ...settings, wasListed: settings.wasListed || typeof listed === "string" };
  keptSettings.write(JSON.stringify(kept));
  show({ ...page, settings: kept });
  if (kept.share !== before.share) client?.throttle(kept.share);
  if (listed !== listedAs(before)) {
    client?.list(listed ?? null);
    setTimeout(refreshBoard, LINGER_MS);
  }
  holdAsSet();
}

/** What the Pause button says. */
function pause(): void {
  if (page.finishing || page.paused) client?.resume();
  else if (page.held) {
    ignored = page.held;
    client?.hold(undefined);
  } else client?.pause();
}

/** What this browser keeps for the run's address. */
async function tellKept(): Promise<void> {
  const kept = await openKeptContent(location.href);
  if (kept && startable(page)) show({ ...page, keptBytes: kept.bytes });
}

/** Removes it; while a session goes on, that does, which fetches anew what it needs. */
async function forget(): Promise<void> {
  if (client && !startable(page)) return client.forget();
  const kept = await openKeptContent(location.href);
  await kept?.clear();
  await tellKept();
}

/** Draws the card and gives it to the browser's downloads. */
async function keepCard(): Promise<void> {
  const { cardImage } = await import("./card.ts");
  const { given, settings, joined, status } = page;
  const image = await cardImage({
    run: joined?.name ?? status?.name ?? "bitswarm",
    nickname: settings.nickname,
    given: `${countText(given?.samples ?? 0)} examples`,
    share: `${shareText(page)} of the whole training so far`,
    date: new Date().toLocaleDateString("en", { dateStyle: "long" }),
  });
  const address = URL.createObjectURL(image);
  const link = Object.assign(document.createElement("a"), { href: address, download: "bitswarm-card.png" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), BOARD_MS);
}

const actions: Actions = {
  start: () => (page.session.kind === "reconnecting" ? retry() : start()),
  pause,
  finish: () => client?.finish(),
  leave: () => client?.leave(),
  forget: () => void forget(),
  choose,
  keepCard: () => void keepCard(),
};

/** What stands in the way here, of what WebGPU wants. */
function lacking(): Lacking {
  if (globalThis.isSecureContext === false) return "secure";
  return (navigator as { readonly gpu?: GPU }).gpu ? "adapter" : "webgpu";
}

/** Whether this page can take part at all; says so before anyone presses Start. */
async function checkUp(): Promise<void> {
  readJoinLink(location.href);
  await findAdapter(findGpu(globalThis));
}

/** The run's progress for a visitor who only looks, and what the run says of itself for everybody. */
async function refreshStatus(first = false): Promise<void> {
  if (!first && (document.hidden || !(startable(page) || isOver(page)))) return;
  try {
    const response = await fetch(`${readJoinLink(location.href).base}/status?token=${encodeURIComponent(token)}`);
    if (response.status === 403) throw new BitswarmError("TOKEN_INVALID", "The run's owner can send you a new link.");
    const status = response.ok ? runStatusSchema.parse(await response.json()) : undefined;
    if (page.session.kind === "idle" || startable(page) || (first && page.status === undefined))
      show(withEarlier(looked(page, status)));
    else if (page.status && status?.about)
      show({ ...page, ...offer(status), unanswered: false, status: { ...page.status, about: status.about } });
    else if (isOver(page) && !status) show(looked(page, undefined));
  } catch (error) {
    if (isOver(page)) show(looked(page, undefined));
    if (!startable(page)) return;
    // It may have ended with the run: whoever only looks is told that nobody answers, and asked to start nothing.
    show(error instanceof BitswarmError ? blocked(page, error.code, error.message) : looked(page, undefined));
  }
}

async function refreshBoard(): Promise<void> {
  if (document.hidden) return;
  const board = await fetchBoard(readJoinLink(location.href).base, token);
  if (board) show({ ...page, board });
}

// The focus moves on with a press: a key that is held would press the next button too.
addEventListener("keydown", (event) => {
  if (event.repeat && event.target instanceof HTMLButtonElement) event.preventDefault();
});
addEventListener("online", retry);
addEventListener("offline", () => client?.unplugged());
document.addEventListener("visibilitychange", () => {
  show(seen(page, document.hidden));
  holdAsSet();
});
void watchPower((onBattery) => {
  show({ ...page, surroundings: { ...page.surroundings, onBattery } });
  holdAsSet();
});
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
  tellKept();
  const autostart = parameters.get("autostart") === "1";
  if (autostart) start();
  await refreshStatus(true);
  setInterval(refreshStatus, STATUS_MS);
  if (!autostart) {
    await refreshBoard();
    setInterval(refreshBoard, BOARD_MS);
  }
} catch (error) {
  const known = error instanceof BitswarmError;
  const code = known ? error.code : "WEBGPU_MISSING";
  const steps =
    code === "WEBGPU_MISSING" ? helpWith(lacking(), browserOf(navigator.userAgent, navigator.maxTouchPoints)) : [];
  show(blocked(page, code, known ? error.message : String(error), steps));
  await refreshStatus(true);
}
