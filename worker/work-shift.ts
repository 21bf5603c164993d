// The working time of one session: asks for leases, computes them, hands in contributions, and gives back what it cannot finish.

import { BitswarmError, type ErrorCode } from "../shared/errors.ts";
import { encodeFrame } from "../shared/frame.ts";
import { type CoordinatorMessage, type LeaseMessage, MAX_TEXT, type ReturnReason } from "../shared/protocol.ts";
import { backoffMs } from "./backoff.ts";
import type { Condition } from "./condition.ts";
import { computeLease, type RunResources } from "./lease-work.ts";
import type { LeaseSummary, SessionEvent, SessionState } from "./session-event.ts";
import type { SessionLimits } from "./session-limits.ts";
import type { SessionLine } from "./session-line.ts";
import type { Tally } from "./tally.ts";
import type { LeaseResult } from "./trainer-contract.ts";
import type { TrainerOwner } from "./trainer-owner.ts";

/** What the volunteer wants. */
export type Wish = "work" | "pause" | "leave";

export type ShiftMessage = Extract<CoordinatorMessage, { type: "lease" | "cancel" | "accepted" | "rejected" }>;

export interface WorkShiftOptions {
  readonly line: SessionLine;
  readonly run: RunResources;
  /** Names the run in frames: 16 bytes in hex. */
  readonly runTag: string;
  readonly owner: TrainerOwner;
  readonly changed: Condition;
  readonly wish: () => Wish;
  /** The run is over. */
  readonly over: () => boolean;
  readonly tally: Tally;
  readonly limits: SessionLimits;
  readonly onEvent: (event: SessionEvent) => void;
  readonly now: () => number;
}

/** A lease that this worker holds. `computing`: may be given back. `sent`: its verdict is awaited. `returned`: nothing more is due. */
interface HeldLease {
  readonly lease: LeaseMessage;
  phase: "computing" | "sent" | "returned";
  verdict?: Extract<ShiftMessage, { type: "cancel" | "accepted" | "rejected" }>;
}

/** What was sent does not fit together; only on a fresh connection does the coordinator hear which parameters this worker holds. */
const missentCodes: readonly ErrorCode[] = ["MESSAGE_INVALID", "FRAME_CORRUPT", "CONTRIBUTION_STALE"];

export class WorkShift {
  readonly #options: WorkShiftOptions;
  #expecting = false;
  #offered: LeaseMessage | undefined;
  #held: HeldLease | undefined;
  #failures = 0;
  #state: SessionState = { kind: "waiting" };

  constructor(options: WorkShiftOptions) {
    this.#options = options;
  }

  /** Leases that are computed, or whose verdict is awaited. */
  get leases(): readonly number[] {
    const held = this.#held && this.#held.phase !== "returned" && !this.#held.verdict ? [this.#held.lease] : [];
    return [...held, ...(this.#offered ? [this.#offered] : [])].map(({ lease }) => lease);
  }

  /** The session goes on over a fresh connection: says again what the lost one may not have carried. @param leases those that are this worker's @param waiting its last ready still stands */
  resumed(leases: readonly number[], waiting: boolean): void {
    const { line, onEvent, wish } = this.#options;
    // A lease that this worker does not know of is on its way.
    const coming = leases.some((lease) => !this.leases.includes(lease));
    if (wish() === "pause") line.send({ type: "paused" });
    else if (this.#expecting && !this.#offered && !coming && !waiting) line.send({ type: "ready" });
    onEvent({ type: "state", state: this.#state });
  }

  /** Takes a message of the coordinator. */
  receive(message: ShiftMessage): void {
    const { line, changed, onEvent, wish } = this.#options;
    if (message.type === "lease") {
      if (this.#expecting && !this.#offered) this.#offered = message;
      else {
        // Crossed on the wire with a pause.
        const reason = wish() === "pause" ? "pause" : "error";
        line.send({ type: "return", lease: message.lease, reason, detail: "not asked for a lease now" });
      }
    } else if (this.#held?.phase === "sent" && this.#held.lease.lease === message.lease) {
      this.#held.verdict = message;
    } else if (message.type === "cancel") {
      if (this.#offered?.lease === message.lease) this.#offered = undefined;
      if (this.#held?.lease.lease === message.lease) this.#held.phase = "returned";
    } else if (message.type === "rejected") {
      // Over while this worker was away, or while it was being computed.
      if (this.#offered?.lease === message.lease) this.#offered = undefined;
      if (this.#held?.lease.lease === message.lease) this.#held.phase = "returned";
      onEvent({ type: "trouble", code: message.code, message: message.message });
    }
    changed.notify();
  }

  /** Gives the lease back, unless there is none or its contribution is on the way. */
  giveBack(reason: ReturnReason, detail: string): void {
    if (this.#held?.phase !== "computing") return;
    this.#held.phase = "returned";
    const { lease } = this.#held.lease;
    this.#options.line.send({ type: "return", lease, reason, detail: detail.slice(0, MAX_TEXT) });
  }

  /**
   * Works until the session is over, the run is over, or the volunteer leaves.
   * @throws what makes this worker useless: DEVICE_LOST too often, leases that cannot be computed, kernels that do not compile
   */
  async work(): Promise<void> {
    const { changed, line, owner, wish } = this.#options;
    try {
      while (!this.#stopped()) {
        if (wish() === "pause") {
          line.send({ type: "paused" });
          this.#become({ kind: "paused" });
          await changed.until(() => wish() !== "pause" || this.#stopped());
          continue;
        }
        // Before asking, so that a lease's clock does not run while kernels compile.
        await changed.unless(() => this.#stopped(), owner.trainer());
        if (this.#interrupted()) continue;
        await this.#obtain();
        if (this.#held?.phase === "computing") await this.#answer(this.#held);
        this.#held = undefined;
      }
    } catch (error) {
      const reason = errorOf(error);
      this.giveBack(returnReasonOf(reason), reason.message);
      throw reason;
    }
  }

  #become(state: SessionState): void {
    this.#state = state;
    this.#options.onEvent({ type: "state", state });
  }

  #stopped(): boolean {
    const { line, over, wish } = this.#options;
    return line.over || over() || wish() === "leave";
  }

  #interrupted(): boolean {
    return this.#stopped() || this.#options.wish() === "pause";
  }

  /** Asks for a lease and waits for it; one that comes too late is given back. */
  async #obtain(): Promise<void> {
    const { changed, line, wish } = this.#options;
    this.#expecting = true;
    line.send({ type: "ready" });
    this.#become({ kind: "waiting" });
    await changed.until(() => this.#offered !== undefined || this.#interrupted());
    this.#expecting = false;
    const lease = this.#offered;
    this.#offered = undefined;
    if (!lease) return;
    this.#held = { lease, phase: "computing" };
    if (this.#interrupted())
      this.giveBack(wish() === "leave" ? "leave" : "pause", "it came after the volunteer's word");
  }

  async #answer(held: HeldLease): Promise<void> {
    const { changed, now, over, owner, run, wish } = this.#options;
    const { lease } = held;
    const aborted = () => held.phase === "returned" || this.#stopped();
    this.#become({ kind: "computing", lease: summaryOf(lease) });
    const since = now();
    const living = await changed.unless(() => this.#stopped(), owner.trainer());
    if (!living || aborted()) return;
    try {
      const computing = computeLease(lease, run, living, aborted);
      // The end of the session is no reason to walk away from it: the trainer outlives the session, and computes one lease at a time.
      const result = await changed.unless(() => over() || wish() === "leave", computing);
      if (result === undefined || result === "aborted" || aborted()) return;
      await this.#handIn(held, result, since);
    } catch (error) {
      if (!aborted()) await this.#failed(living.lost.aborted ? lossOf(living.lost) : errorOf(error));
    }
  }

  async #handIn(held: HeldLease, result: LeaseResult, since: number): Promise<void> {
    const { changed, line, now, onEvent, runTag, tally } = this.#options;
    const { lease, round, codec, parametersHash, timeoutMs } = held.lease;
    const { samples, peaks, body } = result;
    held.phase = "sent";
    const seconds = (now() - since) / 1000;
    const header = {
      kind: "contribution",
      codec,
      round,
      lease,
      samples,
      tensors: peaks.length,
      run: runTag,
      parametersHash,
    } as const;
    line.upload(lease, encodeFrame(header, new Uint8Array(peaks.buffer, peaks.byteOffset, peaks.byteLength), body));
    const answered = await changed.until(() => held.verdict !== undefined || this.#stopped(), timeoutMs);
    line.settled(lease);
    if (!answered)
      line.fail(new BitswarmError("RUN_UNREACHABLE", `no verdict on lease ${lease} within ${timeoutMs} ms`));
    switch (held.verdict?.type) {
      case "accepted":
        this.#failures = 0;
        onEvent({ type: "contributed", lease: summaryOf(held.lease), ...tally.add(held.verdict.samples, seconds) });
        return;
      case "rejected":
        result.discard?.();
        onEvent({ type: "trouble", code: held.verdict.code, message: held.verdict.message });
        return;
      // Somebody else was first, or the round is over.
      case "cancel":
      case undefined:
        return;
      default:
        held.verdict satisfies never;
    }
  }

  /** Gives the lease back and waits a little before the next; after too many in a row this worker is of no use. */
  async #failed(error: BitswarmError): Promise<void> {
    const { changed, line, limits, onEvent } = this.#options;
    const { code, message } = error;
    this.giveBack(returnReasonOf(error), message);
    onEvent({ type: "trouble", code, message });
    if (missentCodes.includes(code)) return line.fail(error);
    // The trainer's owner bounds these.
    if (code === "DEVICE_LOST") return;
    this.#failures++;
    if (this.#failures >= limits.failedLeases || code === "PLAN_TOO_LARGE" || code === "TOKEN_INVALID") throw error;
    await changed.until(() => this.#interrupted(), backoffMs(limits.reconnect, this.#failures, Math.random()));
  }
}

function errorOf(error: unknown): BitswarmError {
  if (error instanceof BitswarmError) return error;
  return new BitswarmError("COMPUTE_FAILED", `the lease could not be computed: ${String(error)}`, { cause: error });
}

function lossOf(lost: AbortSignal): BitswarmError {
  return new BitswarmError("DEVICE_LOST", `the GPU's device was lost: ${lost.reason}`);
}

function returnReasonOf({ code }: BitswarmError): ReturnReason {
  if (code === "DEVICE_LOST") return "device-lost";
  return code === "GRADIENT_NOT_FINITE" ? "not-finite" : "error";
}

function summaryOf({ lease, kind, network, step, epoch, from, to }: LeaseMessage): LeaseSummary {
  return { lease, kind, network, step, epoch, from, to };
}
