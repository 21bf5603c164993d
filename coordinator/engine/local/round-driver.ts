// Gives the pure round what it lacks: the clock, the sum and the way to the workers. Everything that workers do enters
// here.

import type { Clock } from "../../../shared/base/clock.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { LeaseId, WorkerId } from "../../../shared/base/ids.ts";
import type { Range } from "../../../shared/base/intervals.ts";
import { frameLease } from "../../../shared/wire/frame.ts";
import type { ReturnReason } from "../../../shared/wire/protocol.ts";
import { type Arrivals, withArrivals } from "../../round/deadline.ts";
import type { Lease } from "../../round/lease.ts";
import { roundReason } from "../../round/reason.ts";
import { type MemberFacts, takesPart, workforce } from "../../round/roster.ts";
import { type Decision, decide, openRound } from "../../round/round.ts";
import {
  beforeRounds,
  type RequeueCause,
  type RoundEffect,
  type RoundEvent,
  type RoundState,
} from "../../round/state.ts";
import { leaseMessage, type RoundPlan } from "../../training/round-plan.ts";
import type { SealedSum, Training } from "../../training/training.ts";
import type { Outbox } from "../outbox.ts";
import { ContributionIntake, type Intake, type IntakeOptions } from "./contribution-intake.ts";
import { type RoundLimits, roundOptions } from "./round-options.ts";
import { StopPatience } from "./stop-patience.ts";
import { startTicking } from "./ticker.ts";
import { WorkedTime } from "./worked-time.ts";

export interface RoundDriverOptions extends IntakeOptions, RoundLimits {
  readonly training: Training;
  readonly outbox: Pick<Outbox, "lease" | "accepted" | "rejected" | "cancelled">;
  readonly clock: Clock;
  /** Number of the first lease; 1 unless given. */
  readonly firstLease?: number;
  readonly onRequeue: (lease: Lease, cause: RequeueCause) => void;
  /** Sees each lease as it is granted. */
  readonly onGrant?: (lease: Lease, plan: RoundPlan) => void;
  /** A second worker computes what `of` has not answered. */
  readonly onBackup: (lease: Lease, of: WorkerId) => void;
}

/** Nobody can answer the round: the numbers before it are lost. */
export interface Divergence {
  readonly diverged: BitswarmError;
  /** The operator's own workers say so. */
  readonly own: boolean;
}

/** A sealed round. */
export interface Collected extends SealedSum {
  readonly ranges: readonly Range[];
  /** Accounts that are not the operator's and whose work is in it. */
  readonly strangers: readonly string[];
  /** The operator's own work is in it. */
  readonly own: boolean;
  /** The time from the round's opening to its seal in which somebody worked. */
  readonly workedMs: number;
}

interface OpenCollection {
  readonly plan: RoundPlan;
  readonly resolve: (collected: Collected | Divergence | "dropped") => void;
  readonly reject: (error: unknown) => void;
}

export class RoundDriver {
  readonly #options: RoundDriverOptions;
  #state: RoundState;
  #collection: OpenCollection | undefined;
  /** How the contributions of the last rounds of each phase arrived, and those of this round. */
  readonly #arrivals = new Map<string, Arrivals>();
  #offsets: number[] = [];
  readonly #intake: ContributionIntake;
  /** Events that came while effects of another were carried out. */
  readonly #queue: RoundEvent[] = [];
  #busy = false;
  #stopping = false;
  readonly #patience = new StopPatience();
  readonly #worked = new WorkedTime();
  /** How many ever joined. */
  #joined = 0;
  /** Accounts of the operator's own workers, of those that left too. */
  readonly #owns = new Set<string>();

  constructor(options: RoundDriverOptions) {
    this.#options = options;
    this.#state = beforeRounds(options.firstLease);
    this.#intake = new ContributionIntake(options);
    options.training.failure.then((error) => this.#collection && this.#drop(error));
  }

  /** What the round waits for, in words. */
  get reason(): string {
    return roundReason(this.#options.clock.now(), this.#state, this.#joined);
  }

  get workers(): number {
    return this.#state.roster.members.size;
  }

  /** Somebody computes, or is about to. */
  get working(): boolean {
    const { proven, unproven } = this.#state.roster;
    return proven.active.count + unproven.active.count > 0;
  }

  /** Samples collected in the round, and how many it wants. */
  get progress(): { readonly collected: number; readonly wanted: number } {
    const { collected, wanted } = this.#state;
    return { collected: collected.size, wanted };
  }

  /** The leases that a worker computes or is to compute, the oldest first. */
  leasesOf(worker: WorkerId): readonly Lease[] {
    const { roster, leases } = this.#state;
    return (roster.members.get(worker)?.leases ?? []).flatMap((lease) => leases.get(lease) ?? []);
  }

  join(worker: WorkerId, facts: MemberFacts = {}): void {
    this.#joined++;
    if (facts.own) this.#owns.add(facts.account ?? worker);
    this.#dispatch({ type: "worker-joined", worker, ...facts });
  }

  /** @param wish `ahead`: while it holds a lease; `maxMicrobatches`: what it has found out that it can hold */
  ready(worker: WorkerId, wish: { readonly ahead?: boolean; readonly maxMicrobatches?: number } = {}): void {
    this.#dispatch({ type: "worker-ready", worker, ...wish });
  }

  /** Its connection is lost and may come back: it keeps what it holds, and others may compute that too. */
  suspend(worker: WorkerId): void {
    this.#dispatch({ type: "worker-suspended", worker });
  }

  resume(worker: WorkerId): void {
    this.#dispatch({ type: "worker-resumed", worker });
  }

  /** Its account has rested: it may have the lease that it asked for before. */
  rested(worker: WorkerId): void {
    this.#dispatch({ type: "worker-rested", worker });
  }

  pause(worker: WorkerId): void {
    this.#dispatch({ type: "worker-paused", worker });
  }

  leave(worker: WorkerId): void {
    this.#dispatch({ type: "worker-left", worker });
  }

  giveBack(worker: WorkerId, lease: LeaseId, reason: ReturnReason): void {
    this.#dispatch({ type: "lease-returned", worker, lease, notFinite: reason === "not-finite" });
  }

  /**
   * Takes the bytes of a contribution frame, which are not the caller's any more. A bad one is answered by a rejection,
   * and its range is leased again. While one is checked its lease does not expire.
   * @throws FRAME_TOO_LARGE, FRAME_TRUNCATED, FRAME_CORRUPT, PROTOCOL_MISMATCH where the worker holds no lease that
   * could be named in a rejection
   */
  async contribute(worker: WorkerId, bytes: Uint8Array): Promise<void> {
    const { training } = this.#options;
    const leases = this.leasesOf(worker).map(({ lease }) => lease);
    const named = leases.find((lease) => lease === frameLease(bytes));
    // What a spare's answer is worth is known once it has come.
    const spare = named !== undefined && this.#state.leases.get(named)?.purpose === "spare";
    if (named !== undefined && (!training.inline || spare))
      this.#dispatch({ type: "contribution-received", worker, lease: named });
    // A damaged frame may name any lease: where none of them is its worker's, it answers the oldest that is.
    const held = named ?? leases[0];
    const done = (intake: Intake) => this.#taken(worker, intake);
    await this.#intake.take({ worker, bytes, held, state: () => this.#state, done }).catch((error) => {
      // The run ends with that, and not this worker's session.
      if (!(error instanceof BitswarmError && error.code === "THREAD_FAILED")) throw error;
    });
  }

  #taken(worker: WorkerId, intake: Intake): void {
    const { lease, follows } = intake;
    // All of it is one change: the round must not end in the middle, with a sum that is not that of its ranges.
    if (follows.copies.length + follows.withdrawn.length > 0)
      this.#dispatch({ type: "contribution-received", worker, lease });
    for (const copy of follows.copies) this.#dispatch({ type: "copy-wanted", copy });
    for (const range of follows.withdrawn) this.#dispatch({ type: "contribution-withdrawn", ...range });
    if (intake.kind === "refused") {
      const { code, message } = intake;
      this.#dispatch({ type: "contribution-refused", worker, lease, code, message });
    } else this.#dispatch({ type: "contribution", worker, lease, samples: intake.samples });
    for (const account of follows.resting) this.#dispatch({ type: "account-rests", account });
  }

  /**
   * Opens a round and resolves when it is sealed, or has diverged; `dropped` when the run stops and nobody goes on with
   * it.
   * @param suspects steps before hold strangers' work, and may be undone
   */
  async collect(plan: RoundPlan, suspects = false): Promise<Collected | Divergence | "dropped"> {
    const { terms, ranges } = plan;
    const { phase, round } = terms;
    const { clock } = this.#options;
    const arrivals = this.#arrivals.get(phase) ?? [];
    const allLeased = () => this.#state.unleased.length === 0;
    const stopTicking = startTicking(clock, allLeased, () => this.#dispatch({ type: "tick" }));
    try {
      return await new Promise((resolve, reject) => {
        this.#collection = { plan, resolve, reject };
        this.#worked.take(clock.now());
        this.#patience.begin();
        this.#offsets = [];
        const options = { ...roundOptions(plan, this.#options, arrivals, this.#state.roster), suspects };
        this.#intake.open(plan, {
          accounts: () => workforce(this.#state.roster).accounts.size,
          own: (account) => this.#owns.has(account),
          ownTakesPart: () => [...this.#owns].some((account) => takesPart(this.#state.roster, account)),
        });
        this.#carryOut(openRound(clock.now(), { round, phase, ranges, options }, this.#state));
        this.#drain();
      });
    } finally {
      stopTicking();
      this.#arrivals.set(phase, withArrivals(arrivals, this.#offsets));
    }
  }

  /** What was sealed is no step: all begins anew from what was before. */
  giveUp(): void {
    this.#dispatch({ type: "dropped" });
  }

  /** An account's workers are leased nothing until it has rested; what they hold goes to others. */
  rest(account: string): void {
    this.#dispatch({ type: "account-rests", account });
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
    if (!this.#stopping || !this.#collection) return;
    const { split } = this.#collection.plan.terms;
    if (this.#patience.isOver(this.#options.clock.now(), split === "test", this.#state)) this.#drop("dropped");
  }

  #carryOut({ state, effects }: Decision): void {
    this.#state = state;
    this.#worked.note(this.#options.clock.now(), this.working);
    this.#busy = true;
    try {
      for (const effect of effects) this.#perform(effect);
    } finally {
      this.#busy = false;
    }
  }

  #perform(effect: RoundEffect): void {
    const { outbox, clock, onGrant, onRequeue, onBackup, trust } = this.#options;
    switch (effect.type) {
      case "grant": {
        const { lease } = effect;
        const twin = "twin" in lease && lease.twin !== null ? this.#state.leases.get(lease.twin) : undefined;
        if (twin) onBackup(lease, twin.worker);
        const { plan } = this.#collecting();
        onGrant?.(lease, plan);
        outbox.lease(lease.worker, leaseMessage(plan, lease, trust?.feedbackResetsOf(lease.account)), plan.parameters);
        for (const copy of trust?.granted(lease) ?? []) this.#dispatch({ type: "copy-wanted", copy });
        break;
      }
      case "claim": {
        const { lease } = effect;
        onGrant?.(lease, this.#collecting().plan);
        for (const copy of trust?.granted(lease) ?? []) this.#dispatch({ type: "copy-wanted", copy });
        break;
      }
      case "accept":
        if (effect.lease.purpose !== "spare") this.#offsets.push(effect.offsetMs);
        outbox.accepted(effect.lease.worker, effect.lease.lease, effect.samples);
        break;
      case "reject":
        outbox.rejected(effect.worker, effect.lease, effect);
        break;
      case "lapse":
        if (effect.again) onRequeue(effect.lease, effect.cause);
        break;
      case "cancel":
        outbox.cancelled(effect.lease.worker, effect.lease.lease, effect.reason);
        break;
      case "seal": {
        const { resolve, reject } = this.#collecting();
        this.#collection = undefined;
        const workedMs = this.#worked.take(clock.now());
        const { ranges } = effect;
        const counted = [...this.#state.samplesByAccount].flatMap(([account, samples]) =>
          samples > 0 ? [account] : [],
        );
        const strangers = counted.filter((account) => !this.#owns.has(account));
        const own = strangers.length < counted.length;
        this.#intake.seal().then((sum) => resolve({ ...sum, ranges, strangers, own, workedMs }), reject);
        break;
      }
      case "diverged": {
        const { terms } = this.#collecting().plan;
        const { own, reports } = effect;
        const diverged = new BitswarmError(
          "GRADIENT_NOT_FINITE",
          `round ${terms.round} (${terms.phase}, after step ${terms.step}) is not finite on any worker, after ${reports} attempts: the training has diverged. Start again with a lower optimizer.learningRate`,
        );
        this.#drop({ diverged, own });
        break;
      }
      case "more":
        clock.after(0, () => this.#dispatch({ type: "go-on" }));
        break;
      case "wait":
        break;
      default:
        effect satisfies never;
    }
  }

  #drop(outcome: "dropped" | Divergence | Error): void {
    const { resolve, reject } = this.#collecting();
    this.#collection = undefined;
    this.#intake.drop();
    if (outcome instanceof Error) reject(outcome);
    else resolve(outcome);
    this.#dispatch({ type: "dropped" });
  }
}
