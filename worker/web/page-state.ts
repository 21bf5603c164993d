// What the volunteer page shows, as a pure function of the events so far: page-text.ts says it in words, view.ts draws
// it.

import type { ErrorCode } from "../../shared/base/errors.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { HoldReason, SessionEvent, SessionState } from "../session/session-event.ts";
import type { BoardPlace } from "./board.ts";
import type { Given } from "./given.ts";
import { sentence, troubleTitle, words } from "./notices.ts";
import { defaultSettings, type Settings, type Surroundings } from "./settings.ts";

export interface PageState {
  /** `idle` before the first Start. Whether the line is up is known from here alone. */
  readonly session: SessionState | { readonly kind: "idle" };
  /** What the volunteer wants; the session follows as soon as it can. */
  readonly paused: boolean;
  /** It ends once what it holds is answered. */
  readonly finishing: boolean;
  /** What of the volunteer's settings keeps it from computing. */
  readonly held: HoldReason | undefined;
  /** When a lost connection is tried again, in ms of the caller's clock. */
  readonly retryAtMs: number;
  readonly adapter: { readonly description: string; readonly software: boolean } | undefined;
  readonly joined: Joined | undefined;
  /** SHA-256 of this browser's key, once it was needed. */
  readonly account: string | undefined;
  /** In this visit. */
  readonly samples: number;
  /** Of the present session, or the one that ended last. */
  readonly sessionSamples: number;
  /** Of this visit's samples, what the run was trained with. */
  readonly trained: number;
  /** Over all visits, by this browser's key. */
  readonly given: Given | undefined;
  readonly leases: number;
  readonly samplesPerSecond: number | undefined;
  /** The newest speed while the page could be seen, and while it was in the background. */
  readonly speeds: { readonly visible?: number; readonly hidden?: number };
  /** Part of its time that the GPU is to compute, and does of late. */
  readonly duty: { readonly asked: number; readonly measured?: number | undefined } | undefined;
  /** Bytes of this tab's sockets and downloads in this visit. */
  readonly traffic: { readonly down: number; readonly up: number } | undefined;
  readonly settings: Settings;
  readonly surroundings: Surroundings;
  /** The volunteers who want to be seen; undefined before anybody asked. */
  readonly board: readonly BoardPlace[] | undefined;
  readonly status: RunStatus | undefined;
  /** What is trained so far can be tried. */
  readonly demo: boolean;
  /** The coordinator did not answer the last time that somebody asked. */
  readonly unanswered: boolean;
  readonly preparation: Preparation | undefined;
  readonly improvement: Improvement | undefined;
  /** Bytes of the run's data on this device; undefined where the browser keeps nothing for pages. */
  readonly keptBytes: number | undefined;
  /** Why the line is down, until it is up again. */
  readonly offline: Notice | undefined;
  /** What ended the session or stands in its way, or the last thing that went wrong in it. */
  readonly trouble: Notice | undefined;
}

/** What is done to this GPU's kernels before work goes on. */
export type Preparation =
  | { readonly kind: "compiling"; readonly done: number; readonly total: number }
  | { readonly kind: "checking" };

/** What is done to them beside the work. */
export type Improvement =
  | { readonly kind: "compiling"; readonly done: number; readonly total: number }
  | { readonly kind: "measuring"; readonly done: number; readonly passes: number };

export interface Joined {
  readonly run: string;
  readonly name: string;
  readonly worker: string;
}

export interface Notice {
  readonly code: ErrorCode;
  readonly title: string;
  readonly text: string;
  /** What the volunteer can do, one thing after the other. */
  readonly steps?: readonly string[];
  /** Starting is of no use while it stands. */
  readonly blocks: boolean;
}

export const initialPage: PageState = {
  session: { kind: "idle" },
  paused: false,
  finishing: false,
  held: undefined,
  retryAtMs: 0,
  adapter: undefined,
  joined: undefined,
  account: undefined,
  samples: 0,
  sessionSamples: 0,
  trained: 0,
  given: undefined,
  leases: 0,
  samplesPerSecond: undefined,
  speeds: {},
  duty: undefined,
  traffic: undefined,
  settings: defaultSettings,
  surroundings: { onBattery: undefined, hidden: false, canStayAwake: false },
  board: undefined,
  status: undefined,
  demo: false,
  unanswered: false,
  preparation: undefined,
  improvement: undefined,
  keptBytes: undefined,
  offline: undefined,
  trouble: undefined,
};

/** A failure that came before any session: no WebGPU, a wrong link. */
export function blocked(page: PageState, code: ErrorCode, message: string, steps: readonly string[] = []): PageState {
  return { ...page, trouble: { code, ...words(code, message), steps, blocks: true } };
}

/** What a visitor who only looks was told; undefined where nobody answered. */
export function looked(page: PageState, status: RunStatus | undefined): PageState {
  if (status === undefined) return { ...page, ...offer(undefined), unanswered: true };
  return { ...page, ...offer(status), status, unanswered: false };
}

/** Whether what is trained can be tried, as the coordinator says over HTTP; it cannot where nobody answers. */
export function offer(status: RunStatus | undefined): Pick<PageState, "demo"> {
  return { demo: status?.demo === true };
}

/** Nothing is left to compute, whether this tab had a part in it or comes after the end. */
export function isOver({ session, status }: Pick<PageState, "session" | "status">): boolean {
  if (session.kind === "ended" && session.reason === "run-over") return true;
  return (session.kind === "idle" || session.kind === "ended") && status?.state === "done";
}

/** A run that had so little left when it was last heard of may have ended before this tab asked again. */
const NEAR_END_SECONDS = 15;

/** Nobody answers who could say that the run is over, and it was near its end when somebody last did. */
export function probablyOver(page: PageState): boolean {
  const { status, unanswered } = page;
  if (!unanswered || !status || isOver(page)) return false;
  const { step, steps, etaSeconds } = status;
  return status.state === "done" || step >= steps - 1 || (etaSeconds !== null && etaSeconds <= NEAR_END_SECONDS);
}

/** What the run says of itself comes over HTTP alone, and stays. */
function withAbout(status: RunStatus, before: RunStatus | undefined): RunStatus {
  return before?.about === undefined ? status : { about: before.about, ...status };
}

/** The browser's tab is seen, or is not any more. */
export function seen(page: PageState, hidden: boolean): PageState {
  // What was measured in the background before is another time's.
  const speeds = hidden && page.speeds.visible !== undefined ? { visible: page.speeds.visible } : page.speeds;
  return { ...page, speeds, surroundings: { ...page.surroundings, hidden } };
}

/** @param nowMs when it came, on the clock by which the page is shown */
export function nextPage(page: PageState, event: SessionEvent, nowMs = 0): PageState {
  switch (event.type) {
    case "state":
      return inState(page, event.state, nowMs);
    case "wish":
      return { ...page, paused: event.paused, finishing: event.finishing, held: event.held };
    case "adapter": {
      const first = page.session.kind === "connecting" && page.session.attempt === 1;
      return { ...page, adapter: event, ...(page.adapter && !first ? { trouble: gpuIsBack(event) } : {}) };
    }
    case "identity":
      return { ...page, account: event.account };
    case "joined":
      return { ...page, joined: event, trouble: undefined };
    case "status":
      return { ...page, status: withAbout(event.status, page.status), unanswered: false };
    case "contributed":
      return contributed(page, event);
    case "kept":
      return { ...page, keptBytes: event.bytes };
    case "duty": {
      // Speeds under another throttle are no measure of what the browser does.
      const speeds = event.asked === (page.duty?.asked ?? 1) ? page.speeds : {};
      return { ...page, speeds, duty: event.asked === 1 ? undefined : event };
    }
    case "traffic":
      return { ...page, traffic: event };
    case "tuning":
      return prepared(page, event);
    case "trouble":
      return {
        ...page,
        trouble: { code: event.code, title: troubleTitle(event.code), text: event.message, blocks: false },
      };
    default:
      return event satisfies never;
  }
}

/** What a session wanted is over with it. */
const over = {
  paused: false,
  finishing: false,
  held: undefined,
  offline: undefined,
  improvement: undefined,
} as const;

function inState(page: PageState, state: SessionState, nowMs: number): PageState {
  const next: PageState = { ...page, session: state, preparation: undefined };
  switch (state.kind) {
    case "failed": {
      const blocks = state.code === "TOKEN_INVALID";
      const unanswered = state.code === "RUN_UNREACHABLE" || state.code === "HEARTBEAT_LOST";
      const trouble = { code: state.code, ...words(state.code, state.message), blocks };
      return { ...next, ...over, unanswered, trouble };
    }
    case "reconnecting": {
      const { code, delayMs } = state;
      const title = "The connection was lost";
      const why = sentence(state.message);
      const text = `${why === `${title}.` ? "" : `${why} `}This tab keeps trying.`;
      const offline = { code, title, text, blocks: false };
      return { ...next, retryAtMs: nowMs + delayMs, offline };
    }
    case "ended":
      return { ...next, ...over, trouble: undefined };
    case "connecting":
      // A new start forgives; a reconnect goes on showing why.
      return state.attempt === 1 ? { ...next, offline: undefined, trouble: undefined } : next;
    case "joining":
      return next;
    case "paused":
      return { ...next, offline: undefined, trouble: undefined, improvement: undefined };
    case "preparing":
    case "waiting":
    case "computing":
      return { ...next, offline: undefined };
    default:
      return state satisfies never;
  }
}

function prepared(page: PageState, event: Extract<SessionEvent, { type: "tuning" }>): PageState {
  switch (event.stage) {
    case "compiling": {
      const { done, total } = event;
      return { ...page, preparation: done < total ? { kind: "compiling", done, total } : undefined };
    }
    case "measuring":
      return { ...page, improvement: { kind: "measuring", done: event.done, passes: event.passes } };
    case "improving": {
      const { done, total } = event;
      return { ...page, improvement: done < total ? { kind: "compiling", done, total } : undefined };
    }
    case "checking":
      return { ...page, preparation: { kind: "checking" } };
    case "measured":
      return { ...page, improvement: undefined };
    case "checked":
      return { ...page, preparation: undefined };
    case "unkept":
      return page;
    default:
      return event satisfies never;
  }
}

function gpuIsBack({ description }: { readonly description: string }): Notice {
  const text = `It is ${description || "there again"}. What it was computing goes to whoever is free.`;
  return { code: "DEVICE_LOST", title: "The GPU was lost and is back", text, blocks: false };
}

function contributed(page: PageState, event: Extract<SessionEvent, { type: "contributed" }>): PageState {
  const { lease, samples, leases, samplesPerSecond } = event;
  // A session counts from its own beginning.
  const more = leases === 1 ? samples : samples - page.sessionSamples;
  const speed = page.surroundings.hidden ? { hidden: samplesPerSecond } : { visible: samplesPerSecond };
  return {
    ...page,
    sessionSamples: samples,
    samples: page.samples + more,
    trained: page.trained + (lease.evaluate ? 0 : more),
    leases: page.leases + 1,
    samplesPerSecond,
    speeds: { ...page.speeds, ...speed },
    trouble: undefined,
  };
}

/** A tab in the background is slowed down where it computes at less than this part of its speed in sight. */
const SLOWED = 0.5;

/** At which part of its speed a browser lets this tab compute in the background; undefined where in full. */
export function slowed({ speeds: { visible, hidden } }: PageState): number | undefined {
  if (visible === undefined || hidden === undefined || visible <= 0) return undefined;
  return hidden < SLOWED * visible ? hidden / visible : undefined;
}

/** This tab's part, over all visits, of what the run was trained with so far; undefined before it is known. */
export function shareOf({ given, status }: PageState): number | undefined {
  if (!given || !status || status.samples === 0) return undefined;
  return Math.min(1, given.trained / status.samples);
}

/** No session goes on. */
export function resting({ session }: PageState): boolean {
  return session.kind === "idle" || session.kind === "failed" || session.kind === "ended";
}

export interface Buttons {
  readonly start: boolean;
  readonly pause: boolean;
  readonly finish: boolean;
  readonly leave: boolean;
  readonly startLabel: string;
  readonly pauseLabel: string;
}

/** Which buttons there are, and what is on them. While a lost connection is waited for, Start tries it at once. */
export function buttonsOf(page: PageState): Buttons {
  const { session, paused, finishing, held, trouble } = page;
  const rests = resting(page);
  const runOver = isOver(page);
  const waits = session.kind === "reconnecting";
  const again = rests && session.kind !== "idle" && !runOver;
  return {
    start: waits || (rests && !runOver && !trouble?.blocks),
    pause: !rests,
    finish: !rests && !finishing,
    leave: !rests,
    startLabel: waits ? "Try now" : again ? "Start again" : page.unanswered ? "Try again" : "Start",
    pauseLabel: finishing ? "Stay" : paused ? "Resume" : held ? "Go on anyway" : "Pause",
  };
}
