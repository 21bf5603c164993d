// What follows the loss of a connection: try again when, or give up why. A pure function, so that every rule can be
// tested alone.

import { BitswarmError, type ErrorCode } from "../../shared/base/errors.ts";
import { backoffMs } from "../backoff.ts";
import type { Closing } from "./connection.ts";
import type { SessionLimits } from "./session-limits.ts";

/** What is remembered over the connections of a session. */
export interface ReconnectHistory {
  /** Connections in a row that came to nothing. */
  readonly attempts: number;
  /** Connections in a row that ended with bytes that could not be read. */
  readonly faulty: number;
  /** When the coordinator was last heard, or the session started, in ms. */
  readonly lastHeardMs: number;
  /** Whether it was ever heard. */
  readonly reached: boolean;
}

/** The connection that just ended. */
export interface EndedConnection {
  readonly closing: Extract<Closing, { kind: "fault" }>;
  readonly heard: boolean;
  /** A contribution was accepted over it. */
  readonly useful: boolean;
  readonly livedMs: number;
}

export type ReconnectDecision =
  | { readonly kind: "retry"; readonly delayMs: number; readonly history: ReconnectHistory }
  | { readonly kind: "run-over"; readonly message: string }
  | { readonly kind: "give-up"; readonly error: BitswarmError };

const faultCodes: readonly ErrorCode[] = ["MESSAGE_INVALID", "FRAME_TOO_LARGE", "FRAME_TRUNCATED", "FRAME_CORRUPT"];

/** @param random in [0, 1) */
export function decideReconnect(
  now: number,
  before: ReconnectHistory,
  ended: EndedConnection,
  limits: SessionLimits,
  random: number,
): ReconnectDecision {
  const { error, retry } = ended.closing;
  // Who is let go has nothing more to do here, and nothing went wrong.
  if (error.code === "RUN_ENDED" || error.code === "WORKER_DRAINED")
    return { kind: "run-over", message: error.message };
  // Whoever was there once may be behind a network that wants a word first.
  const untrusted = error.code === "CERTIFICATE_INVALID" && !before.reached;
  if (!retry || untrusted) return { kind: "give-up", error };
  const good = ended.useful || ended.livedMs >= limits.stableMs;
  const history: ReconnectHistory = {
    attempts: good ? 1 : before.attempts + 1,
    faulty: faultCodes.includes(error.code) ? (ended.useful ? 1 : before.faulty + 1) : 0,
    lastHeardMs: ended.heard ? now : before.lastHeardMs,
    reached: before.reached || ended.heard,
  };
  if (history.faulty >= limits.faultyConnections) {
    const message = `${history.faulty} connections in a row brought unreadable bytes, the last: ${error.message}; reload, or update the older side`;
    return { kind: "give-up", error: new BitswarmError(error.code, message, { cause: error }) };
  }
  if (!history.reached && history.attempts >= limits.unreachableAttempts) {
    const message = `no coordinator answered in ${history.attempts} attempts (${error.message}); check that it runs and that the link's host, port and path are right`;
    return { kind: "give-up", error: new BitswarmError("RUN_UNREACHABLE", message, { cause: error }) };
  }
  if (now - history.lastHeardMs >= limits.reconnectForMs) {
    const minutes = Math.round((now - history.lastHeardMs) / 60_000);
    const message = `the coordinator has been gone for ${minutes} minutes (${error.message}); start again when it is back`;
    return { kind: "give-up", error: new BitswarmError("RUN_UNREACHABLE", message, { cause: error }) };
  }
  return { kind: "retry", delayMs: backoffMs(limits.reconnect, history.attempts, random), history };
}
