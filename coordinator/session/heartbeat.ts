// Whether a worker lives, judged at each heartbeat by what has come from it since the one before (SPEC.md, S10, T14).

import { BitswarmError } from "../../shared/base/errors.ts";

/** What has come from a worker so far. */
export interface Pulse {
  readonly receivedBytes: number;
  /** When its last message was here, whole. */
  readonly messageAt: number;
}

/** What one heartbeat leaves to the next. */
export interface Beat {
  readonly at: number;
  readonly receivedBytes: number;
  /** Heartbeats in a row without a byte. */
  readonly missed: number;
}

export interface HeartbeatLimits {
  readonly heartbeatMs: number;
  readonly missedPings: number;
  readonly transferStallMs: number;
}

/** The first beat, to which no answer was due. */
export function firstBeat(now: number, { receivedBytes }: Pulse): Beat {
  return { at: now, receivedBytes, missed: 0 };
}

/**
 * The next beat. Bytes are a sign of life, so that a long message on a slow line is waited for; but not for ever:
 * behind a chunk at most there is a pong.
 * @throws HEARTBEAT_LOST, TRANSFER_STALLED
 */
export function nextBeat(now: number, last: Beat, pulse: Pulse, limits: HeartbeatLimits): Beat {
  const { receivedBytes, messageAt } = pulse;
  const { heartbeatMs, missedPings, transferStallMs } = limits;
  const silent = receivedBytes === last.receivedBytes;
  const missed = silent ? last.missed + 1 : 0;
  if (missed >= missedPings) {
    const what = `not a byte came in answer to ${missed} pings, one every ${heartbeatMs} ms`;
    throw new BitswarmError("HEARTBEAT_LOST", what);
  }
  const openMs = now - messageAt;
  if (!silent && messageAt < last.at && openMs >= transferStallMs) {
    const what = `no message has come to its end for ${Math.round(openMs)} ms, the limit is ${transferStallMs}`;
    throw new BitswarmError("TRANSFER_STALLED", `${what}; connect again to go on`);
  }
  return { at: now, receivedBytes, missed };
}
