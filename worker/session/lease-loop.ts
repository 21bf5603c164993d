// The working time of one session: asks for leases, computes them, hands in contributions, and gives back what it
// cannot finish.

import { BitswarmError, type ErrorCode } from "../../shared/base/errors.ts";
import type { Outline } from "../../shared/model/phases.ts";
import type { CoordinatorMessage, LeaseMessage, ReturnReason } from "../../shared/wire/protocol.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { SessionLine } from "../../shared/wire/transfer/session-line.ts";
import { backoffMs } from "../backoff.ts";
import { comingPhases } from "./coming-phases.ts";
import type { Condition } from "./condition.ts";
import { type HeldLease, LeaseQueue } from "./lease-queue.ts";
import { type ComputedLease, computeLease, contributionFrame, type RunResources, unlessLost } from "./lease-work.ts";
import type { LeaseSummary, PauseReason, SessionEvent, SessionState } from "./session-event.ts";
import type { SessionLimits } from "./session-limits.ts";
import type { SessionPorts } from "./session-ports.ts";
import type { Tally } from "./tally.ts";
import type { LivingTrainer, TrainerOwner } from "./trainer-owner.ts";

/** What the volunteer wants; `finish`: to answer what it holds, and then to leave. */
export type Wish = "work" | "pause" | "finish" | "leave";

export type LeaseLoopMessage = Extract<CoordinatorMessage, { type: "lease" | "cancel" | "accepted" | "rejected" }>;

export interface LeaseLoopOptions {
  readonly line: SessionLine;
  readonly run: RunResources;
  /** Names the run in frames: 16 bytes in hex. */
  readonly runTag: string;
  readonly owner: TrainerOwner;
  readonly changed: Condition;
  readonly wish: () => Wish;
  /** Why it is paused, while the wish is to pause. */
  readonly pausedFor: () => PauseReason;
  /** The run is over. */
  readonly over: () => boolean;
  /** How the run is doing, once the coordinator has said so. */
  readonly status: () => RunStatus | undefined;
  readonly tally: Tally;
  readonly limits: SessionLimits;
  readonly onEvent: (event: SessionEvent) => void;
  readonly ports: Pick<SessionPorts, "clock" | "random">;
}

/** For the status that follows a welcome. */
const STATUS_WAIT_MS = 500;

/**
 * What was sent does not fit together; only on a fresh connection does the coordinator hear which parameters this
 * worker holds.
 */
const missentCodes: readonly ErrorCode[] = ["MESSAGE_INVALID", "FRAME_CORRUPT", "CONTRIBUTION_STALE"];

/** Why a lease is given back that crossed the volunteer's word on the wire. */
const returnReasons: Readonly<Record<Wish, ReturnReason>> = {
  work: "error",
  pause: "pause",
  finish: "leave",
  leave: "leave",
};

export class LeaseLoop {
  readonly #options: LeaseLoopOptions;
  readonly #queue: LeaseQueue;
  #computing = false;
  #failures = 0;
  #state: SessionState = { kind: "waiting" };
  /** The trainer whose kernels are made ready. */
  #ready: LivingTrainer | undefined;

  constructor(options: LeaseLoopOptions) {
    this.#options = options;
    const { line, run } = options;
    this.#queue = new LeaseQueue({ line, run, wanted: () => options.wish() === "work" && !this.#stopped() });
  }

  /** Leases that are computed or wait for it, and those whose verdict has not come. */
  get leases(): readonly number[] {
    return this.#queue.leases;
  }

  get holdsLeases(): boolean {
    return !this.#queue.empty;
  }

  /**
   * The session goes on over a fresh connection: says again what the lost one may not have carried.
   * @param leases those that are this worker's
   * @param waiting its last ready still stands
   */
  resumed(leases: readonly number[], waiting: boolean): void {
    const { line, onEvent, wish } = this.#options;
    // A lease that this worker does not know of is on its way.
    const coming = leases.some((lease) => !this.leases.includes(lease));
    if (wish() === "pause") line.send({ type: "paused" });
    else if (!coming && !waiting) this.#queue.askAgain();
    onEvent({ type: "state", state: this.#state });
  }

  /** Takes a message of the coordinator. */
  receive(message: LeaseLoopMessage): void {
    const { changed, line, onEvent, wish } = this.#options;
    if (message.type === "lease") {
      if (!this.#queue.take(message)) {
        // Crossed on the wire with the volunteer's word.
        line.send({
          type: "return",
          lease: message.lease,
          reason: returnReasons[wish()],
          detail: "not asked for a lease now",
        });
      }
    } else {
      const held = this.#queue.held(message.lease);
      if (held?.phase === "sent") held.verdict = message;
      else {
        if (message.type === "rejected") onEvent({ type: "trouble", code: message.code, message: message.message });
        // Taken away, or over while this worker was away.
        if (held && message.type !== "accepted") this.#close(held);
      }
    }
    changed.notify();
  }

  /** Gives back all leases whose contributions are not on the way. */
  giveBack(reason: ReturnReason, detail: string): void {
    this.#queue.giveBack(reason, detail);
  }

  /**
   * Works until the session is over, the run is over, or the volunteer leaves.
   * @throws what makes this worker useless: DEVICE_LOST too often, leases that cannot be computed, kernels that do not
   * compile
   */
  async work(): Promise<void> {
    const { line, wish } = this.#options;
    try {
      while (!this.#stopped()) {
        if (wish() === "pause") {
          line.send({ type: "paused" });
          this.#queue.unasked();
          // A GPU that is to be free compiles nothing either.
          this.#ready = undefined;
          await this.#rest();
          continue;
        }
        // Before asking, or almost: a lease's clock is not to run while kernels compile.
        await this.#prepare();
        if (this.#interrupted() || this.#lost) continue;
        const held = await this.#next();
        if (held) await this.#answer(held);
      }
    } catch (error) {
      const reason = errorOf(error);
      this.giveBack(returnReasonOf(reason), reason.message);
      throw reason;
    }
  }

  /** Until the pause is over, whose reason may change meanwhile. */
  async #rest(): Promise<void> {
    const { changed, pausedFor, wish } = this.#options;
    const over = () => wish() !== "pause" || this.#stopped();
    while (!over()) {
      const why = pausedFor();
      this.#become({ kind: "paused", why });
      await changed.until(() => over() || pausedFor() !== why);
    }
  }

  /** Has the trainer make ready for what the run comes to, once each trainer. */
  async #prepare(): Promise<void> {
    const { changed, owner, run, status } = this.#options;
    if (owner.living !== undefined && owner.living === this.#ready) return;
    this.#become({ kind: "preparing" });
    const living = await changed.unless(() => this.#stopped(), owner.trainer());
    if (!living || this.#interrupted()) return;
    this.#ready = living;
    if (!living.trainer.prepare) return;
    // Without it the beginning of the program is what is made ready.
    await changed.until(() => status() !== undefined || this.#interrupted(), STATUS_WAIT_MS);
    // Its data are fetched while the last kernels compile.
    const soon = () => this.#queue.ask();
    const preparing = living.trainer.prepare(comingPhases(run, status()), () => this.#interrupted(), soon);
    // What cannot be compiled says so when a lease needs it, and a device that is lost is asked for anew.
    const settled = unlessLost(preparing, living.lost).catch(() => undefined);
    await changed.unless(() => this.#interrupted(), settled);
    if (living.lost.aborted) this.giveBack("device-lost", lossOf(living.lost).message);
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

  /** There is no device with kernels for the run. */
  get #lost(): boolean {
    return this.#ready === undefined || this.#ready.lost.aborted;
  }

  #close(held: HeldLease): void {
    this.#queue.close(held);
    // There is room for another while the GPU is busy.
    if (this.#computing) this.#queue.ask();
  }

  /** The lease to compute now; nothing where the volunteer or the run does not want any. */
  async #next(): Promise<HeldLease | undefined> {
    // Asks as soon as there is room: a verdict on one of two that were sent makes some.
    const due = () => {
      if (this.#lost) return true;
      this.#queue.ask();
      return this.#queue.queued !== undefined || this.#interrupted();
    };
    if (!due()) {
      // Who only finishes wants none.
      if (this.#options.wish() === "work") this.#become({ kind: "waiting" });
      await this.#options.changed.until(due);
    }
    return this.#interrupted() || this.#lost ? undefined : this.#queue.queued;
  }

  async #answer(held: HeldLease): Promise<void> {
    const { changed, ports, over, owner, run, wish } = this.#options;
    const { lease, prepared } = held;
    const aborted = () => held.phase === "over" || this.#stopped();
    held.phase = "computing";
    this.#become({ kind: "computing", lease: summaryOf(lease, run.program) });
    const since = ports.clock.now();
    const living = await changed.unless(() => this.#stopped(), owner.trainer());
    if (!living || aborted()) return;
    this.#computing = true;
    try {
      this.#queue.ask();
      const computing = computeLease(lease, prepared, run, living, aborted);
      // The end of the session is no reason to walk away from it: the trainer outlives the session, and computes one
      // lease at a time.
      const result = await changed.unless(() => over() || wish() === "leave", computing);
      if (result === undefined || result === "aborted") return;
      if (aborted()) result.discard?.();
      else await this.#handIn(held, result, (ports.clock.now() - since) / 1000);
    } catch (error) {
      if (!aborted()) await this.#failed(held, living.lost.aborted ? lossOf(living.lost) : errorOf(error));
    } finally {
      this.#computing = false;
    }
  }

  /** Sends a contribution; where the next lease may be computed meanwhile, without waiting for its verdict. */
  async #handIn(held: HeldLease, result: ComputedLease, seconds: number): Promise<void> {
    const { line, run, runTag } = this.#options;
    held.phase = "sent";
    line.upload(held.lease.lease, contributionFrame(held.lease, runTag, result));
    const judged = this.#judged(held, result, seconds);
    if (!run.config.lease.ahead) await judged;
  }

  /** Waits for the verdict on a contribution, and counts it. */
  async #judged(held: HeldLease, { discard }: ComputedLease, seconds: number): Promise<void> {
    const { changed, line, onEvent, run, tally } = this.#options;
    const { lease, timeoutMs } = held.lease;
    const answered = await changed.until(() => held.verdict !== undefined || this.#stopped(), timeoutMs);
    line.settled(lease);
    if (!answered)
      line.fail(new BitswarmError("RUN_UNREACHABLE", `no verdict on lease ${lease} within ${timeoutMs} ms`));
    switch (held.verdict?.type) {
      case "accepted":
        this.#failures = 0;
        onEvent({
          type: "contributed",
          lease: summaryOf(held.lease, run.program),
          ...tally.add(held.verdict.samples, seconds),
        });
        break;
      case "rejected":
        discard?.();
        onEvent({ type: "trouble", code: held.verdict.code, message: held.verdict.message });
        break;
      // Somebody else was first, or the round is over.
      case "cancel":
        discard?.();
        break;
      case undefined:
        break;
      default:
        held.verdict satisfies never;
    }
    this.#close(held);
    changed.notify();
  }

  /** Gives the lease back and waits a little before the next; after too many in a row this worker is of no use. */
  async #failed(held: HeldLease, error: BitswarmError): Promise<void> {
    const { changed, line, limits, onEvent, ports } = this.#options;
    const { code, message } = error;
    // On a lost device nothing can be computed for a while.
    if (code === "DEVICE_LOST") this.giveBack("device-lost", message);
    else this.#queue.giveBack(returnReasonOf(error), message, [held]);
    onEvent({ type: "trouble", code, message });
    if (missentCodes.includes(code)) return line.fail(error);
    // The trainer's owner bounds these.
    if (code === "DEVICE_LOST") return;
    this.#failures++;
    if (this.#failures >= limits.failedLeases || code === "PLAN_TOO_LARGE" || code === "TOKEN_INVALID") throw error;
    await changed.until(() => this.#interrupted(), backoffMs(limits.reconnect, this.#failures, ports.random()));
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

function summaryOf(
  { lease, phase, network, split, step, epoch, ranges }: LeaseMessage,
  { phases }: Outline,
): LeaseSummary {
  // One that is not the program's is refused when it is prepared.
  const doing = phases.find(({ name }) => name === phase)?.doing ?? phase;
  return { lease, phase, network, doing, evaluate: split === "test", step, epoch, ranges };
}
