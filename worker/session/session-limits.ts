// Every bound of a session in one place: how long it waits, how often it tries again, and when it gives up.

import type { BackoffRange } from "../backoff.ts";

export interface SessionLimits {
  /** For the socket to open, and again for the welcome. */
  readonly handshakeMs: number;
  readonly reconnect: BackoffRange;
  /** Attempts at a coordinator that has never answered. */
  readonly unreachableAttempts: number;
  /** How long a session looks for a coordinator that it once had: a restart and a resume fit. */
  readonly reconnectForMs: number;
  /** A connection that lived this long was a good one: the next loss starts from the shortest wait. */
  readonly stableMs: number;
  /** Faulty messages or frames in a row, each of which ends a connection, before the session fails. */
  readonly faultyConnections: number;
  /** Leases in a row that could not be computed before the session fails. */
  readonly failedLeases: number;
  /** Devices asked for anew within the window before the session fails. */
  readonly deviceRecoveries: number;
  readonly deviceWindowMs: number;
  readonly deviceBackoff: BackoffRange;
}

export const sessionLimits: SessionLimits = {
  handshakeMs: 15_000,
  reconnect: { baseMs: 500, capMs: 30_000 },
  unreachableAttempts: 5,
  reconnectForMs: 30 * 60_000,
  stableMs: 30_000,
  faultyConnections: 3,
  failedLeases: 3,
  deviceRecoveries: 3,
  deviceWindowMs: 10 * 60_000,
  deviceBackoff: { baseMs: 250, capMs: 5_000 },
};
