// Why a session ends, and what a session asks of the house behind it.

import type { ErrorCode } from "../../shared/base/errors.ts";
import type { WorkerId } from "../../shared/base/ids.ts";
import type { WorkerMessage } from "../../shared/wire/protocol.ts";

/** Why a session is over: an error of ours, the volunteer's word, or the socket's end. */
export type LeaveCode = ErrorCode | "LEFT" | "GONE";

/** Losses of a connection after which the session waits for its worker to come back. */
export const resumableCodes: readonly LeaveCode[] = ["GONE", "HEARTBEAT_LOST", "TRANSFER_STALLED"];

/** What a session asks of the house. */
export interface SessionHouse {
  /** @throws CALIBRATION_FAILED, MESSAGE_INVALID */
  canaryAnswered(worker: WorkerId, answer: Extract<WorkerMessage, { type: "canary-answer" }>): void;
  ready(worker: WorkerId, message: Pick<Extract<WorkerMessage, { type: "ready" }>, "ahead" | "maxMicrobatches">): void;
  paused(worker: WorkerId): void;
  returned(worker: WorkerId, message: Extract<WorkerMessage, { type: "return" }>): void;
  /** Takes the bytes; resolves when they are checked. @throws BitswarmError for bytes that no lease can answer for */
  contribution(worker: WorkerId, bytes: Uint8Array): Promise<void>;
  /** Whether those who lost their connection are waited for. */
  patient(): boolean;
  /** Its connection was lost; it may come back. */
  suspended(worker: WorkerId, code: LeaveCode, message: string): void;
  resumed(worker: WorkerId): void;
  /** Called once for every session. */
  left(worker: WorkerId, code: LeaveCode, message: string): void;
}
