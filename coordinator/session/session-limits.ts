// What a stranger may do before the coordinator closes the connection. SPEC.md names each; tests shorten them.

import type { Rate } from "../base/token-bucket.ts";
import { SLOWEST_BYTES_PER_SECOND } from "./transfer-patience.ts";

export interface SessionLimits {
  /** From the opening of the socket to a valid hello, and to the proof of its key. */
  readonly helloMs: number;
  /**
   * Of one control message; a worker's longest holds a few texts of 512 characters and the hashes of its parameters.
   */
  readonly messageBytes: number;
  /** From a canary to its answer: shaders are compiled for it. */
  readonly calibrationMs: number;
  /** Between two canaries of a worker whose work is audited. */
  readonly canaryMs: number;
  /**
   * Of one connection, in tokens: what each control message costs is in `messageCosts`. Frames are bounded by leases.
   */
  readonly messageRate: Rate;
  /** Times that a worker comes back to one session over a fresh connection. */
  readonly resumeRate: Rate;
  /** Heartbeats in a row without a byte from the worker. */
  readonly missedPings: number;
  /**
   * Leases in a row that came to nothing by the worker's fault: refused contributions, and leases given back with an
   * error.
   */
  readonly failures: number;
  /**
   * Bytes that may wait in the socket of a worker that does not read: a window of chunks, and as much again of what
   * else it is told.
   */
  readonly backlogBytes: number;
  /** From the close frame until the socket is cut. */
  readonly closeMs: number;
  /**
   * A session whose connection is lost waits this long for its worker; its lease and its half-received upload wait with
   * it.
   */
  readonly graceMs: number;
  /** A transfer, of either direction, without one chunk more. Looked at with each heartbeat. */
  readonly transferStallMs: number;
  /** What a transfer must make on average, after what it may stand still and be away. */
  readonly slowestBytesPerSecond: number;
  /** Half-received contributions of all workers together. */
  readonly uploadBytes: number;
}

export const sessionLimits: SessionLimits = {
  helloMs: 10_000,
  messageBytes: 16 << 10,
  calibrationMs: 120_000,
  canaryMs: 600_000,
  messageRate: { perSecond: 50, burst: 100 },
  resumeRate: { perSecond: 1, burst: 60 },
  missedPings: 3,
  failures: 3,
  backlogBytes: 4 << 20,
  closeMs: 2_000,
  graceMs: 30_000,
  transferStallMs: 30_000,
  slowestBytesPerSecond: SLOWEST_BYTES_PER_SECOND,
  uploadBytes: 1 << 30,
};
