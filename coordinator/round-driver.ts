// Gives the pure round what it lacks: the clock, the sum and the way to the workers. Everything that workers do enters here.

import { BitswarmError } from "../shared/errors.ts";
import { decodeFrame } from "../shared/frame.ts";
import { type LeaseId, leaseId, type WorkerId } from "../shared/ids.ts";
import type { Range } from "../shared/intervals.ts";
import type { ReturnReason } from "../shared/protocol.ts";
import { RoundSum } from "./aggregate.ts";
import type { Clock } from "./clock.ts";
import { type Contribution, readContribution } from "./contribution-check.ts";
import type { Speeds } from "./lease-sizing.ts";
import { type Decision, decide, openRound } from "./round.ts";
import type { RoundPlan } from "./round-plan.ts";
import { roundReason } from "./round-reason.ts";
import {
  beforeRounds,
  contributionVerdict,
  type Lease,
  type Refusal,
  type RequeueCause,
  type RoundEffect,
  type RoundEvent,
  type RoundState,
} from "./round-state.ts";

/** The way to the workers; sessions implement it. */
export interface Outbox {
  /** Hands over a lease, and before it the parameters where this worker has not been sent them. */
  lease(worker: WorkerId, lease: Lease, plan: RoundPlan): void;
  accepted(worker: WorkerId, lease: LeaseId, samples: number): void;
  rejected(worker: WorkerId, lease: LeaseId, refusal: Refusal): void;
  /** The worker no longer holds the lease. */
  expired(worker: WorkerId, lease: LeaseId): void;
}

export interface RoundDriverOptions {
  readonly outbox: Outbox;
  readonly microbatch: number;
  readonly maxMicrobatches: number;
  readonly timeoutMs: number;
  /** Bytes of the largest contribution frame of the run. */
  readonly contributionLimit: number;
  readonly clock: Clock;
  readonly onRequeue: (lease: Lease, cause: RequeueCause) => void;
}

/** A sealed round. */
export interface Collected {
  readonly sum: RoundSum;
  readonly ranges: readonly Range[];
  /** From its opening to its seal. */
  readonly elapsedMs: number;
}

/** Between looks at the clock for leases that expired. */
const TICK_MS = 200;
/** A stopping run waits this long for a worker that was just answered to go on with the step. */
const STOP_PATIENCE_MS = 2000;

interface OpenCollection {
  readonly plan: RoundPlan;
  readonly sum: RoundSum;
  readonly since: number;
  readonly resolve: (collected: Collected | "dropped") => void;
  readonly reject: (error: BitswarmError) => void;
}

export class RoundDriver {
  readonly #options: RoundDriverOptions;
  #state: RoundState = beforeRounds();
  #reason = roundReason(0, this.#state);
  #collection: OpenCollection | undefined;
  readonly #speeds = new Map<RoundPlan["terms"]["kind"], Speeds>();
  /** Events that came while effects of another were carried out. */
  readonly #queue: RoundEvent[] = [];
  #busy = false;
  #stopping = false;
  /** Since when nobody computes. */
  #idleSince: number | undefined;

  constructor(options: RoundDriverOptions) {
    this.#options = options;
  }

  /** What the round waits for, in words. */
  get reason(): string {
    return this.#reason;
  }

  get workers(): number {
    return this.#state.workers.size;
  }

  /** Samples collected in the round, and how many it wants. */
  get progress(): { readonly collected: number; readonly wanted: number } {
    const { collected, range } = this.#state;
    return { collected: collected.size, wanted: range.to - range.from };
  }

  join(worker: WorkerId): void {
    this.#dispatch({ type: "worker-joined", worker });
  }

  ready(worker: WorkerId): void {
    this.#dispatch({ type: "worker-ready", worker });
  }

  pause(worker: WorkerId): void {
    this.#dispatch({ type: "worker-paused", worker });
  }

  leave(worker: WorkerId): void {
    for (const [kind, speeds] of this.#speeds) {
      const rest = new Map(speeds);
      rest.delete(worker);
      this.#speeds.set(kind, rest);
    }
    this.#dispatch({ type: "worker-left", worker });
  }

  giveBack(worker: WorkerId, lease: LeaseId, reason: ReturnReason): void {
    this.#dispatch({ type: "lease-returned", worker, lease, notFinite: reason === "not-finite" });
  }

  /**
   * Takes the bytes of a contribution frame. A bad one is answered by a rejection, and its range is leased again.
   * @throws FRAME_TOO_LARGE, FRAME_TRUNCATED, FRAME_CORRUPT, PROTOCOL_MISMATCH where the worker holds no lease that could be named in a rejection
   */
  contribute(worker: WorkerId, bytes: Uint8Array): void {
    let lease = [...this.#state.leases.values()].find((held) => held.worker === worker)?.lease;
    try {
      const frame = decodeFrame(bytes, this.#options.contributionLimit);
      const { samples } = frame.header;
      lease = leaseId(frame.header.lease);
      const live = contributionVerdict(this.#state, worker, lease, samples);
      if ("code" in live) throw new BitswarmError(live.code, live.message);
      const { plan, sum } = this.#collecting();
      const { peaks, body }: Contribution = readContribution(frame, plan);
      sum.add(samples, peaks, body);
      this.#dispatch({ type: "contribution", worker, lease, samples });
    } catch (error) {
      if (!(error instanceof BitswarmError) || lease === undefined) throw error;
      this.#dispatch({ type: "contribution-refused", worker, lease, code: error.code, message: error.message });
    }
  }

  /**
   * Opens a round and resolves when it is sealed; `dropped` when the run stops and nobody goes on with it.
   * @throws GRADIENT_NOT_FINITE where the training has diverged
   */
  async collect(plan: RoundPlan): Promise<Collected | "dropped"> {
    const { terms, layout, range } = plan;
    const { microbatch, maxMicrobatches, timeoutMs, clock } = this.#options;
    const sum = new RoundSum(layout, terms.exponents, terms.codec);
    const stopTicking = clock.every(TICK_MS, () => this.#dispatch({ type: "tick" }));
    try {
      return await new Promise((resolve, reject) => {
        this.#collection = { plan, sum, since: clock.now(), resolve, reject };
        this.#idleSince = undefined;
        const speeds = this.#speeds.get(terms.kind) ?? new Map();
        const options = { microbatch, maxMicrobatches, timeoutMs };
        this.#carryOut(openRound(clock.now(), { round: terms.round, range, options, speeds }, this.#state));
        this.#drain();
      });
    } finally {
      stopTicking();
      this.#speeds.set(terms.kind, this.#state.speeds);
    }
  }

  /** The sealed round is in the parameters. */
  applied(): void {
    this.#dispatch({ type: "applied" });
  }

  /** The sealed round is on the disk. */
  committed(): void {
    this.#dispatch({ type: "committed" });
  }

  /** Lets those who compute finish the round; drops it where nobody does, or where it is an evaluation. */
  stop(): void {
    this.#stopping = true;
    this.#dispatch({ type: "tick" });
  }

  #collecting(): OpenCollection {
    if (!this.#collection) throw new RangeError("a lease is live outside of a round");
    return this.#collection;
  }

  #dispatch(event: RoundEvent): void {
    this.#queue.push(event);
    this.#drain();
  }

  #drain(): void {
    if (this.#busy) return;
    for (let event = this.#queue.shift(); event; event = this.#queue.shift()) {
      this.#carryOut(decide(this.#options.clock.now(), this.#state, event));
    }
    if (this.#stopping && this.#collection && this.#stuck()) this.#drop("dropped");
  }

  #carryOut({ state, effects, reason }: Decision): void {
    this.#state = state;
    this.#reason = reason;
    this.#busy = true;
    try {
      for (const effect of effects) this.#perform(effect);
    } finally {
      this.#busy = false;
    }
  }

  #perform(effect: RoundEffect): void {
    const { outbox, clock, onRequeue } = this.#options;
    switch (effect.type) {
      case "grant":
        outbox.lease(effect.worker, effect, this.#collecting().plan);
        break;
      case "accept":
        outbox.accepted(effect.worker, effect.lease, effect.samples);
        break;
      case "reject":
        outbox.rejected(effect.worker, effect.lease, effect);
        break;
      case "requeue":
        onRequeue(effect, effect.cause);
        if (effect.cause === "expired") outbox.expired(effect.worker, effect.lease);
        break;
      case "seal": {
        const { sum, since, resolve } = this.#collecting();
        this.#collection = undefined;
        resolve({ sum, ranges: effect.ranges, elapsedMs: clock.now() - since });
        break;
      }
      case "diverged": {
        const { terms } = this.#collecting().plan;
        this.#drop(
          new BitswarmError(
            "GRADIENT_NOT_FINITE",
            `round ${terms.round} (${terms.kind}, after step ${terms.step}) is not finite on any worker, after ${effect.reports} attempts: the training has diverged. Start again with a lower optimizer.learningRate`,
          ),
        );
        break;
      }
      case "wait":
        break;
      default:
        effect satisfies never;
    }
  }

  /** Whether a stopping run waits for nobody: an evaluation is done again anyway, a step may be finished. */
  #stuck(): boolean {
    const { leases, workers } = this.#state;
    if (this.#collecting().plan.terms.kind === "evaluate") return true;
    if (leases.size > 0) {
      this.#idleSince = undefined;
      return false;
    }
    if (![...workers.values()].some((activity) => activity === "expected")) return true;
    const now = this.#options.clock.now();
    this.#idleSince ??= now;
    return now - this.#idleSince >= STOP_PATIENCE_MS;
  }

  #drop(outcome: "dropped" | BitswarmError): void {
    const { resolve, reject } = this.#collecting();
    this.#collection = undefined;
    if (outcome === "dropped") resolve(outcome);
    else reject(outcome);
    this.#dispatch({ type: "dropped" });
  }
}
