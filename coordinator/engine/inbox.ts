// What the workers do, as an engine is told it: every argument is data, and what one worker does comes in the order in
// which it does it.

import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";
import type { HelloMessage, WorkerMessage } from "../../shared/wire/protocol.ts";
import type { MemberFacts } from "../round/roster.ts";
import type { LeaveCode } from "./leave-code.ts";

/** What is known of a worker that joins. */
export interface Joining extends MemberFacts, Pick<HelloMessage, "name" | "runtime" | "adapter"> {
  /** SHA-256 of its public key. */
  readonly account: string;
}

/**
 * What a worker asks for with `ready`: `ahead`, while it holds a lease; `maxMicrobatches`, what it has found out that
 * it can hold.
 */
export type Wish = Pick<Extract<WorkerMessage, { type: "ready" }>, "ahead" | "maxMicrobatches">;

/** Which chunks of the training split a worker holds, from number `from` on, as bits. */
export type HeldChunks = Pick<Extract<WorkerMessage, { type: "chunks" }>, "from" | "bits">;

/** Why a lease is given back. */
export type ReturnedLease = Pick<Extract<WorkerMessage, { type: "return" }>, "reason" | "detail">;

/** Why a connection or a session is over. */
export interface Parting {
  readonly code: LeaveCode;
  readonly message: string;
}

export interface Inbox {
  /** A worker takes part, under a name that nobody has had. */
  join(worker: WorkerId, joining: Joining): void;
  /** It would compute a lease, and waits for one from now on. */
  ready(worker: WorkerId, wish: Wish): void;
  /** It says what it holds of a stretch of the training split's chunks, in place of what it said of it before. */
  holds(worker: WorkerId, held: HeldChunks): void;
  /** It gives back what it holds, and wants nothing until it is ready again. */
  pause(worker: WorkerId): void;
  /** Its connection is lost and may come back: it keeps what it holds, and others may compute that too. */
  suspend(worker: WorkerId, parting: Parting): void;
  /** It is back from a lost connection. */
  resume(worker: WorkerId): void;
  /** It takes part no more. */
  leave(worker: WorkerId, parting: Parting): void;
  giveBack(worker: WorkerId, lease: LeaseId, returned: ReturnedLease): void;
  /**
   * Takes the bytes of a contribution frame, which are not the caller's any more; resolves when they are checked. A bad
   * one is answered by a rejection, and its range is leased again.
   * @throws FRAME_TOO_LARGE, FRAME_TRUNCATED, FRAME_CORRUPT, PROTOCOL_MISMATCH where the worker holds no lease that a
   * rejection could name
   */
  contribute(worker: WorkerId, bytes: Uint8Array): Promise<void>;
}
