// What a stranger may do before the coordinator closes the connection. SPEC.md names each; tests shorten them.

import type { Rate } from "./trust/token-bucket.ts";

export interface SessionLimits {
  /** From the opening of the socket to a valid hello, and to the proof of its key. */
  readonly helloMs: number;
  /** Of one control message; a worker's longest holds a few texts of 512 characters. */
  readonly messageBytes: number;
  /** From a canary to its answer: shaders are compiled for it. */
  readonly calibrationMs: number;
  /** Control messages of one session; frames are bounded by leases. */
  readonly messageRate: Rate;
  /** Heartbeats in a row without a byte from the worker. */
  readonly missedPings: number;
  /** Leases in a row that came to nothing by the worker's fault: refused contributions, and leases given back with an error. */
  readonly failures: number;
  /** Bytes that may wait in the socket of a worker that does not read, beyond two sets of parameters. */
  readonly backlogBytes: number;
  /** From the close frame until the socket is cut. */
  readonly closeMs: number;
}

export const sessionLimits: SessionLimits = {
  helloMs: 10_000,
  messageBytes: 16 << 10,
  calibrationMs: 120_000,
  messageRate: { perSecond: 1000, burst: 4000 },
  missedPings: 3,
  failures: 3,
  backlogBytes: 8 << 20,
  closeMs: 2_000,
};
