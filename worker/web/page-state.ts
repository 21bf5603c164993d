// What the volunteer page shows, as a pure function of the events so far: view.ts only writes it down.

import type { ErrorCode } from "../../shared/base/errors.ts";
import type { RunStatus } from "../../shared/wire/protocol.ts";
import type { SessionEvent, SessionState } from "../session/session-event.ts";

export interface PageState {
  /** `idle` before the first Start. */
  readonly session: SessionState | { readonly kind: "idle" };
  readonly adapter: { readonly description: string; readonly software: boolean } | undefined;
  readonly joined: { readonly name: string; readonly worker: string } | undefined;
  readonly samples: number;
  readonly leases: number;
  readonly samplesPerSecond: number | undefined;
  readonly status: RunStatus | undefined;
  /** Kernels are measured or checked for this GPU before the lease goes on. */
  readonly tuning: boolean;
  /** What stands in the way, or the last thing that went wrong. */
  readonly notice: Notice | undefined;
}

export interface Notice {
  readonly code: ErrorCode;
  readonly title: string;
  readonly text: string;
  /** Starting is of no use while it stands. */
  readonly blocks: boolean;
}

export const initialPage: PageState = {
  session: { kind: "idle" },
  adapter: undefined,
  joined: undefined,
  samples: 0,
  leases: 0,
  samplesPerSecond: undefined,
  status: undefined,
  tuning: false,
  notice: undefined,
};

/** A failure that came before any session: no WebGPU, a wrong link. */
export function blocked(page: PageState, code: ErrorCode, message: string): PageState {
  return { ...page, notice: { code, title: titleOf(code), text: message, blocks: true } };
}

export function nextPage(page: PageState, event: SessionEvent): PageState {
  switch (event.type) {
    case "state":
      return { ...page, session: event.state, tuning: false, notice: noticeOf(page, event.state) };
    case "adapter":
      return { ...page, adapter: event };
    case "joined":
      return { ...page, joined: event, notice: undefined };
    case "status":
      return { ...page, status: event.status };
    case "contributed": {
      const { samples, leases, samplesPerSecond } = event;
      return { ...page, samples, leases, samplesPerSecond, notice: undefined };
    }
    case "tuning":
      return { ...page, tuning: event.stage === "measuring" || event.stage === "checking" };
    case "trouble":
      return {
        ...page,
        notice: { code: event.code, title: "A lease did not count", text: event.message, blocks: false },
      };
    default:
      return event satisfies never;
  }
}

function noticeOf(page: PageState, state: SessionState): Notice | undefined {
  switch (state.kind) {
    case "failed":
      return {
        code: state.code,
        title: titleOf(state.code),
        text: state.message,
        blocks: state.code === "TOKEN_INVALID",
      };
    case "reconnecting":
      return {
        code: state.code,
        title: "The connection was lost",
        text: `${state.message}. This tab keeps trying.`,
        blocks: false,
      };
    case "ended":
    case "paused":
      return undefined;
    case "connecting":
      // A new start forgives; a reconnect goes on showing why.
      return state.attempt === 1 ? undefined : page.notice;
    case "joining":
    case "waiting":
    case "computing":
      return page.notice;
    default:
      return state satisfies never;
  }
}

function titleOf(code: ErrorCode): string {
  switch (code) {
    case "WEBGPU_MISSING":
      return "WebGPU is missing here";
    case "TOKEN_INVALID":
      return "This link is not for the run that is going on";
    case "PROTOCOL_MISMATCH":
      return "This page is of another version than the coordinator";
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

/** Where the session stands, in one sentence. */
export function stateText({ session, joined, tuning }: PageState): string {
  switch (session.kind) {
    case "idle":
      return "Ready when you are";
    case "connecting":
      return session.attempt === 1 ? "Connecting…" : `Connecting, attempt ${session.attempt}…`;
    case "joining":
      return "Joining and compiling for this GPU…";
    case "waiting":
      return `Joined as ${joined?.worker ?? "a worker"}, waiting for work`;
    case "computing":
      return tuning ? "Tuning kernels for this GPU…" : `Computing as ${joined?.worker ?? "a worker"}`;
    case "paused":
      return "Paused: this GPU is free";
    case "reconnecting":
      return `Connection lost, trying again in ${Math.max(1, Math.round(session.delayMs / 1000))} s`;
    case "ended":
      return session.reason === "left" ? "You left; what you gave stays" : "The run is over. Thank you!";
    case "failed":
      return "Stopped";
    default:
      return session satisfies never;
  }
}

/** What is computed now. */
export function doingText({ session }: PageState): string {
  if (session.kind === "ended") return session.message;
  if (session.kind !== "computing") return "";
  const { lease } = session;
  const { doing } = lease;
  const capital = `${doing[0].toUpperCase()}${doing.slice(1)}`;
  const range = `samples ${lease.from} to ${lease.to}`;
  return lease.evaluate
    ? `${capital}: ${range}`
    : `${capital}: epoch ${lease.epoch + 1}, step ${lease.step + 1}, ${range}`;
}

export interface Buttons {
  readonly start: boolean;
  readonly pause: boolean;
  readonly leave: boolean;
  readonly startLabel: string;
  readonly pauseLabel: string;
}

/** Which buttons can be pressed, and what is on them. */
export function buttonsOf({ session, notice }: PageState): Buttons {
  const resting = session.kind === "idle" || session.kind === "failed" || session.kind === "ended";
  const runOver = session.kind === "ended" && session.reason === "run-over";
  return {
    start: resting && !runOver && !notice?.blocks,
    pause: !resting,
    leave: !resting,
    startLabel: resting && session.kind !== "idle" ? "Start again" : "Start",
    pauseLabel: session.kind === "paused" ? "Resume" : "Pause",
  };
}
