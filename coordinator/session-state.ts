// The states of one worker's connection, and what a connection asks of the house behind it.

import type { ErrorCode } from "../shared/errors.ts";
import type { LeaseId, WorkerId } from "../shared/ids.ts";
import type { ChallengeMessage, HelloMessage, WelcomeMessage, WorkerMessage } from "../shared/protocol.ts";

/** What a joined worker does. */
export type Activity =
  | { readonly kind: "idle" }
  | { readonly kind: "waiting" }
  /** One or two; `waiting`: it has asked for one more. */
  | { readonly kind: "leased"; readonly leases: readonly LeaseId[]; readonly waiting: boolean }
  | { readonly kind: "paused" };

/** Why a session is over: an error of ours, the volunteer's word, or the socket's end. */
export type LeaveCode = ErrorCode | "LEFT" | "GONE";

export interface Joined {
  readonly kind: "joined";
  readonly worker: WorkerId;
  readonly activity: Activity;
  /** Leases in a row that came to nothing by its fault. */
  readonly failures: number;
}

export type SessionState =
  | { readonly kind: "awaiting-hello" }
  /** Has named its key and not shown yet that it holds it. */
  | { readonly kind: "awaiting-proof"; readonly hello: HelloMessage; readonly challenge: ChallengeMessage }
  | Joined
  | { readonly kind: "closed"; readonly code: LeaveCode; readonly message: string };

/** What a session asks of the house. Each call is about a worker that is joined. */
export interface SessionHouse {
  /** What a hello is to sign. @throws RATE_LIMITED, TOKEN_INVALID, RUN_ENDED */
  challenge(hello: HelloMessage): ChallengeMessage;
  /** Lets in whoever holds the hello's key. @throws IDENTITY_INVALID, TOO_MANY_WORKERS, RUN_ENDED */
  admit(hello: HelloMessage, challenge: ChallengeMessage, signature: string): WelcomeMessage;
  joined(worker: WorkerId, hello: HelloMessage): void;
  /** @throws CALIBRATION_FAILED, MESSAGE_INVALID */
  canaryAnswered(worker: WorkerId, answer: Extract<WorkerMessage, { type: "canary-answer" }>): void;
  ready(worker: WorkerId, message: Extract<WorkerMessage, { type: "ready" }>): void;
  paused(worker: WorkerId): void;
  returned(worker: WorkerId, message: Extract<WorkerMessage, { type: "return" }>): void;
  /** @throws BitswarmError for bytes that no lease can answer for */
  contribution(worker: WorkerId, bytes: Uint8Array): void;
  /** Called once for every session; `worker` is null for one that never joined. */
  left(worker: WorkerId | null, code: LeaveCode, message: string): void;
}
