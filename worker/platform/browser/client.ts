// The page's side of the Web Worker: starts a session in it and hands out what happens there.

import { type HoldReason, type SessionEvent, sessionEventSchema } from "../../session/session-event.ts";
import type { Command } from "./messages.ts";

export interface SessionClient {
  pause(): void;
  /** Takes back `pause`, and `finish` as long as the session has not ended. */
  resume(): void;
  /** Answers the leases that it holds, takes no other, and then leaves. */
  finish(): void;
  /** Pauses for a reason of the machine's or the page's, in the place of the one before, until there is none. */
  hold(reason: HoldReason | undefined): void;
  /** How much of the time the GPU may compute, 0.1 to 1, from now on. */
  throttle(share: number): void;
  /** Wants to be on the run's board under this nickname, or not at all. */
  list(nickname: string | null): void;
  leave(): void;
  /** Tries at once to connect again, where it waits before it does. */
  retry(): void;
  /** The browser says that there is no network. */
  unplugged(): void;
  /** Removes what this browser keeps of the data; the work goes on, and fetches what it needs. */
  forget(): void;
  /** Ends the worker without a word: its socket closes with it. */
  abandon(): void;
}

export interface SessionClientOptions {
  /** The link of the run. */
  readonly url: string;
  readonly name: string;
  /** Measure kernels for this GPU. */
  readonly tune: boolean;
  /** The most to keep of what is fetched, in MiB. */
  readonly cacheMiB?: number | undefined;
  /** How much of the time the GPU may compute, 0.1 to 1, until `throttle` says otherwise. Default 1. */
  readonly share?: number | undefined;
  /** The last event is a state `ended` or `failed`. */
  readonly onEvent: (event: SessionEvent) => void;
}

/** Starts a session in a new Web Worker, which goes when the session is over. */
export function startSession({ url, name, tune, cacheMiB, share, onEvent }: SessionClientOptions): SessionClient {
  const worker = new Worker(new URL("./gpu-worker.ts", import.meta.url), { type: "module", name: "bitswarm" });
  const send = (command: Command) => worker.postMessage(command);
  const fail = (message: string) => {
    worker.terminate();
    onEvent({ type: "state", state: { kind: "failed", code: "COMPUTE_FAILED", message } });
  };
  worker.onerror = (event) => {
    event.preventDefault();
    fail(`The page's worker broke: ${event.message || "its script did not load"}. Reload the page.`);
  };
  worker.onmessage = ({ data }: MessageEvent<unknown>) => {
    const parsed = sessionEventSchema.safeParse(data);
    if (!parsed.success) return fail("The page and its worker are of different versions. Reload the page.");
    const event = parsed.data;
    if (event.type === "state" && (event.state.kind === "ended" || event.state.kind === "failed")) worker.terminate();
    onEvent(event);
  };
  send({ type: "start", url, name, tune, cacheMiB, share });
  return {
    pause: () => send({ type: "pause" }),
    resume: () => send({ type: "resume" }),
    finish: () => send({ type: "finish" }),
    hold: (reason) => send({ type: "hold", reason }),
    throttle: (share) => send({ type: "throttle", share }),
    list: (nickname) => send({ type: "list", nickname }),
    leave: () => send({ type: "leave" }),
    retry: () => send({ type: "retry" }),
    unplugged: () => send({ type: "unplugged" }),
    forget: () => send({ type: "forget" }),
    abandon: () => worker.terminate(),
  };
}
