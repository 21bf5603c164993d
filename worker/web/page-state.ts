// What the volunteer page shows, as a pure function of the events so far: view.ts only writes it down.

import type { ErrorCode } from "../../shared/base/errors.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { SessionEvent, SessionState } from "../session/session-event.ts";

export interface PageState {
  /** `idle` before the first Start. Whether the line is up is known from here alone. */
  readonly session: SessionState | { readonly kind: "idle" };
  /** What the volunteer wants; the session follows as soon as it can. */
  readonly paused: boolean;
  /** When a lost connection is tried again, in ms of the caller's clock. */
  readonly retryAtMs: number;
  readonly adapter: { readonly description: string; readonly software: boolean } | undefined;
  readonly joined: { readonly name: string; readonly worker: string } | undefined;
  readonly samples: number;
  readonly leases: number;
  readonly samplesPerSecond: number | undefined;
  readonly status: RunStatus | undefined;
  /** The coordinator did not answer the last time that somebody asked. */
  readonly unanswered: boolean;
  readonly preparation: Preparation | undefined;
  /** Why the line is down, until it is up again. */
  readonly offline: Notice | undefined;
  /** What ended the session or stands in its way, or the last thing that went wrong in it. */
  readonly trouble: Notice | undefined;
}

/** What is done to this GPU's kernels before work goes on. */
export type Preparation =
  | { readonly kind: "compiling"; readonly done: number; readonly total: number }
  | { readonly kind: "measuring"; readonly done: number; readonly passes: number }
  | { readonly kind: "checking" };

export interface Notice {
  readonly code: ErrorCode;
  readonly title: string;
  readonly text: string;
  /** Starting is of no use while it stands. */
  readonly blocks: boolean;
}

export const initialPage: PageState = {
  session: { kind: "idle" },
  paused: false,
  retryAtMs: 0,
  adapter: undefined,
  joined: undefined,
  samples: 0,
  leases: 0,
  samplesPerSecond: undefined,
  status: undefined,
  unanswered: false,
  preparation: undefined,
  offline: undefined,
  trouble: undefined,
};

/** A failure that came before any session: no WebGPU, a wrong link. */
export function blocked(page: PageState, code: ErrorCode, message: string): PageState {
  return { ...page, trouble: { code, ...words(code, message), blocks: true } };
}

/** What a visitor who only looks was told; undefined where nobody answered. */
export function looked(page: PageState, status: RunStatus | undefined): PageState {
  return status ? { ...page, status, unanswered: false } : { ...page, unanswered: true };
}

/** @param nowMs when it came, on the clock by which the page is shown */
export function nextPage(page: PageState, event: SessionEvent, nowMs = 0): PageState {
  switch (event.type) {
    case "state":
      return inState(page, event.state, nowMs);
    case "wish":
      return { ...page, paused: event.paused };
    case "adapter": {
      const first = page.session.kind === "connecting" && page.session.attempt === 1;
      return { ...page, adapter: event, ...(page.adapter && !first ? { trouble: gpuIsBack(event) } : {}) };
    }
    case "joined":
      return { ...page, joined: event, trouble: undefined };
    case "status":
      return { ...page, status: event.status, unanswered: false };
    case "contributed": {
      const { samples, leases, samplesPerSecond } = event;
      return { ...page, samples, leases, samplesPerSecond, trouble: undefined };
    }
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

function inState(page: PageState, state: SessionState, nowMs: number): PageState {
  const next: PageState = { ...page, session: state, preparation: undefined };
  switch (state.kind) {
    case "failed": {
      const blocks = state.code === "TOKEN_INVALID";
      const unanswered = state.code === "RUN_UNREACHABLE" || state.code === "HEARTBEAT_LOST";
      const trouble = { code: state.code, ...words(state.code, state.message), blocks };
      return { ...next, paused: false, offline: undefined, unanswered, trouble };
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
      return { ...next, paused: false, offline: undefined, trouble: undefined };
    case "connecting":
      // A new start forgives; a reconnect goes on showing why.
      return state.attempt === 1 ? { ...next, offline: undefined, trouble: undefined } : next;
    case "joining":
      return next;
    case "paused":
      return { ...next, offline: undefined, trouble: undefined };
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
      return { ...page, preparation: { kind: "measuring", done: event.done, passes: event.passes } };
    case "checking":
      return { ...page, preparation: { kind: "checking" } };
    case "measured":
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

/** The notice that is shown: a line that is down comes first. */
export function shownNotice({ offline, trouble }: PageState): Notice | undefined {
  return offline ?? trouble;
}

function sentence(text: string): string {
  const capital = `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

/** Title and text of what ended a session or stands in its way. Of what WebGPU lacks the first sentence says it. */
function words(code: ErrorCode, message: string): Pick<Notice, "title" | "text"> {
  if (code !== "WEBGPU_MISSING") return { title: titleOf(code), text: sentence(message) };
  const end = message.indexOf(". ");
  if (end < 0) return { title: "WebGPU cannot be used here", text: sentence(message) };
  return { title: message.slice(0, end), text: message.slice(end + 2) };
}

function titleOf(code: ErrorCode): string {
  switch (code) {
    case "TOKEN_INVALID":
      return "This link is not for the run that is going on";
    case "PROTOCOL_MISMATCH":
      return "This page is of another version than the coordinator";
    case "ORIGIN_REFUSED":
      return "The coordinator does not know this page's address";
    case "DEVICE_LOST":
      return "The GPU keeps being lost";
    case "RUN_UNREACHABLE":
    case "HEARTBEAT_LOST":
      return "The coordinator cannot be reached";
    case "TOO_MANY_WORKERS":
      return "The run has all the workers that it takes";
    default:
      return `Something went wrong (${code})`;
  }
}

function troubleTitle(code: ErrorCode): string {
  switch (code) {
    case "DEVICE_LOST":
      return "The GPU was lost: this tab asks for it again";
    case "CONTRIBUTION_DISPUTED":
      return "Other workers got other results";
    default:
      return "A lease did not count";
  }
}

/** Where the session stands, in a few words. They change when it does, and not with every second or shader. */
export function stateText({ session, joined, preparation, trouble }: PageState): string {
  const name = joined?.worker ?? "a worker";
  switch (session.kind) {
    case "idle":
      return trouble?.blocks ? "This tab cannot help yet" : "Ready when you are";
    case "connecting":
      return session.attempt === 1 ? "Connecting…" : `Connecting again, attempt ${session.attempt}…`;
    case "joining":
      return "Joining…";
    case "preparing":
      return `Joined as ${name}, preparing this GPU…`;
    case "waiting":
      return preparation ? `Joined as ${name}, preparing this GPU…` : `Joined as ${name}, waiting for work`;
    case "computing":
      return preparation ? `Joined as ${name}, preparing this GPU…` : `Computing as ${name}`;
    case "paused":
      return "Paused: this GPU is free";
    case "reconnecting":
      return "Not connected";
    case "ended":
      return session.reason === "left" ? "You left" : "The run is over. Thank you!";
    case "failed":
      return "Stopped";
    default:
      return session satisfies never;
  }
}

/** What is done now, or comes next. */
export function doingText({ session, preparation, retryAtMs }: PageState, nowMs = 0): string {
  switch (session.kind) {
    case "reconnecting": {
      const seconds = Math.ceil((retryAtMs - nowMs) / 1000);
      return seconds > 0 ? `Trying again in ${seconds} s` : "Trying again…";
    }
    case "ended":
      return session.reason === "left"
        ? "What you gave stays. Start again whenever you like."
        : sentence(session.message);
    case "preparing":
      return preparation ? preparationText(preparation) : "Getting ready";
    case "waiting":
      return preparation ? preparationText(preparation) : "";
    case "computing": {
      if (preparation) return preparationText(preparation);
      const { lease } = session;
      const what = `${lease.doing[0].toUpperCase()}${lease.doing.slice(1)}`;
      const range = `samples ${lease.from} to ${lease.to}`;
      return lease.evaluate
        ? `${what}: ${range}`
        : `${what}: epoch ${lease.epoch + 1}, step ${lease.step + 1}, ${range}`;
    }
    case "idle":
    case "connecting":
    case "joining":
    case "paused":
    case "failed":
      return "";
    default:
      return session satisfies never;
  }
}

function preparationText(preparation: Preparation): string {
  switch (preparation.kind) {
    case "compiling":
      return `Compiling: ${preparation.done} of ${preparation.total} shaders`;
    case "measuring":
      return `Measuring which kernels are fastest here: ${preparation.done} of ${preparation.passes} convolutions`;
    case "checking":
      return "Checking kernels against plain ones";
    default:
      return preparation satisfies never;
  }
}

/** What the run waits for; of a run that nobody hears from, how old that is. */
export function reasonText({ status, offline, unanswered }: PageState): string {
  const away = offline !== undefined || unanswered;
  if (!status) return away ? "The coordinator does not answer" : "";
  return away && status.state !== "done" ? "As it was when the coordinator was last heard" : status.reason;
}

export interface Buttons {
  readonly start: boolean;
  readonly pause: boolean;
  readonly leave: boolean;
  readonly startLabel: string;
  readonly pauseLabel: string;
}

/** Which buttons can be pressed, and what is on them. While a lost connection is waited for, Start tries it at once. */
export function buttonsOf({ session, paused, trouble }: PageState): Buttons {
  const resting = session.kind === "idle" || session.kind === "failed" || session.kind === "ended";
  const runOver = session.kind === "ended" && session.reason === "run-over";
  const waits = session.kind === "reconnecting";
  const again = resting && session.kind !== "idle" && !runOver;
  return {
    start: waits || (resting && !runOver && !trouble?.blocks),
    pause: !resting,
    leave: !resting,
    startLabel: waits ? "Try now" : again ? "Start again" : "Start",
    pauseLabel: paused ? "Resume" : "Pause",
  };
}
