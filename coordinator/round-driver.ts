// Gives the pure round what it lacks: the clock, the sum and the way to the workers. Everything that workers do enters here.

import type { RunConfig } from "../shared/config.ts";
import { BitswarmError } from "../shared/errors.ts";
import { decodeFrame } from "../shared/frame.ts";
import { type LeaseId, leaseId, type WorkerId } from "../shared/ids.ts";
import type { Range } from "../shared/intervals.ts";
import type { CancelReason, ReturnReason } from "../shared/protocol.ts";
import { RoundSum } from "./aggregate.ts";
import type { Clock } from "./clock.ts";
import { type Contribution, readContribution } from "./contribution-check.ts";
import { type Arrivals, deadlineMs, withArrivals } from "./deadline.ts";
import { Reduction } from "./reduction/reduction.ts";
import type { MemberFacts } from "./roster.ts";
import { type Decision, decide, openRound } from "./round.ts";
import type { RoundPlan } from "./round-plan.ts";
import { roundReason } from "./round-reason.ts";
import {
  beforeRounds,
  type CopyWanted,
  contributionVerdict,
  type Lease,
  type Refusal,
  type RequeueCause,
  type RoundEffect,
  type RoundEvent,
  type RoundOptions,
  type RoundState,
} from "./round-state.ts";
import type { RobustResult } from "./trust/robust-round.ts";
import type { RoundTrust } from "./trust/round-trust.ts";

/** The way to the workers; sessions implement it. */
export interface Outbox {
  /** Hands over a lease, and before it the parameters where this worker has not been sent them. */
  lease(worker: WorkerId, lease: Lease, plan: RoundPlan): void;
  accepted(worker: WorkerId, lease: LeaseId, samples: number): void;
  rejected(worker: WorkerId, lease: LeaseId, refusal: Refusal): void;
  /** The worker no longer holds the lease, and is told why. */
  cancelled(worker: WorkerId, lease: LeaseId, reason: CancelReason): void;
}

export interface RoundDriverOptions {
  readonly outbox: Outbox;
  readonly microbatch: number;
  readonly lease: Omit<RunConfig["lease"], "seal">;
  /** Share of a round's samples that one account may hold; 1 unless given. */
  readonly shareLimit?: number;
  /** Bytes of the largest contribution frame of the run. */
  readonly contributionLimit: number;
  readonly clock: Clock;
  readonly onRequeue: (lease: Lease, cause: RequeueCause) => void;
  /** A second worker computes what `of` has not answered. */
  readonly onBackup: (lease: Lease, of: WorkerId) => void;
  /** Judges contributions and audits them; without it all that is well formed is believed. */
  readonly trust?: RoundTrust;
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

/** Runs work that pauses, with a turn for everybody else in each pause. */
function inSlices<T>(work: Generator<void, T>, clock: Pick<Clock, "after">, done: (value: T) => void): void {
  const step = work.next();
  if (step.done) done(step.value);
  else clock.after(0, () => inSlices(work, clock, done));
}

function settled(collected: Collected, means: RobustResult | undefined): Collected {
  if (means) collected.sum.settle(means);
  return collected;
}

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
  #collection: OpenCollection | undefined;
  /** How the contributions of the last rounds of each kind arrived, and those of this round. */
  readonly #arrivals = new Map<RoundPlan["terms"]["kind"], Arrivals>();
  #offsets: number[] = [];
  /** Sums one round after another in the same memory. */
  readonly #reduction = new Reduction();
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
    return roundReason(this.#options.clock.now(), this.#state);
  }

  get workers(): number {
    return this.#state.roster.members.size;
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

  /** Wants a range of this round computed once more, to be compared. */
  compare(copy: CopyWanted): void {
    this.#dispatch({ type: "copy-wanted", copy });
  }

  /** Collects a range of this round again; its contribution must be out of the sum already. */
  withdraw(account: string, { from, to }: Range): void {
    this.#dispatch({ type: "contribution-withdrawn", account, from, to });
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
   * Takes the bytes of a contribution frame. A bad one is answered by a rejection, and its range is leased again.
   * @throws FRAME_TOO_LARGE, FRAME_TRUNCATED, FRAME_CORRUPT, PROTOCOL_MISMATCH where the worker holds no lease that could be named in a rejection
   */
  contribute(worker: WorkerId, bytes: Uint8Array): void {
    let lease = this.leasesOf(worker)[0]?.lease;
    try {
      const frame = decodeFrame(bytes, this.#options.contributionLimit);
      const { samples } = frame.header;
      lease = leaseId(frame.header.lease);
      const live = contributionVerdict(this.#state, worker, lease, samples);
      if ("code" in live) throw new BitswarmError(live.code, live.message);
      const { plan, sum } = this.#collecting();
      const contribution = readContribution(frame, plan);
      this.#admit(sum, live, samples, contribution);
      this.#dispatch({ type: "contribution", worker, lease, samples });
    } catch (error) {
      if (!(error instanceof BitswarmError) || lease === undefined) throw error;
      this.#dispatch({ type: "contribution-refused", worker, lease, code: error.code, message: error.message });
    }
  }

  /** Adds a contribution to the sum, or leaves it to an audit. @throws what the sum or trust refuses it for */
  #admit(sum: RoundSum, lease: Lease, samples: number, contribution: Contribution): void {
    const { trust } = this.#options;
    const { peaks, body } = contribution;
    const counts = lease.purpose === "work" || lease.purpose === "backup";
    const checked = sum.check(samples, peaks, body);
    const scale = counts && trust ? trust.judge(lease, samples, checked.norms) : 1;
    if (counts && !trust?.holds(lease)) {
      checked.commit(scale);
      trust?.added(lease, { samples, scale, peaks, body });
      return;
    }
    if (!trust) return;
    // The bytes are the socket's.
    const { copies, withdrawn } = trust.take(lease, { samples, scale, peaks, body: Uint8Array.from(body) });
    for (const copy of copies) this.compare(copy);
    for (const { account, ...range } of withdrawn) this.withdraw(account, range);
  }

  /**
   * Opens a round and resolves when it is sealed; `dropped` when the run stops and nobody goes on with it.
   * @throws GRADIENT_NOT_FINITE where the training has diverged
   */
  async collect(plan: RoundPlan): Promise<Collected | "dropped"> {
    const { terms, layout, ranges } = plan;
    const { kind, round } = terms;
    const { microbatch, lease, shareLimit = 1, clock } = this.#options;
    const arrivals = this.#arrivals.get(kind) ?? [];
    const sum = new RoundSum(layout, terms.exponents, terms.codec, this.#reduction);
    const stopTicking = clock.every(TICK_MS, () => this.#dispatch({ type: "tick" }));
    try {
      return await new Promise((resolve, reject) => {
        this.#collection = { plan, sum, since: clock.now(), resolve, reject };
        this.#idleSince = undefined;
        this.#offsets = [];
        const { maxMicrobatches, timeoutMs, ahead, minDeadlineMs, pieces, first } = lease;
        const options: RoundOptions = {
          microbatch,
          maxMicrobatches,
          timeoutMs,
          deadlineMs: deadlineMs(arrivals, { minMs: minDeadlineMs, maxMs: timeoutMs }),
          seal: plan.mayLeave ? "deadline" : "complete",
          ahead: ahead && !plan.local,
          oneLease: plan.local,
          shareLimit,
          // Where a share is one lease, it is whole.
          pieces: plan.local ? 1 : pieces,
          first: plan.local ? Number.POSITIVE_INFINITY : first,
        };
        this.#options.trust?.open({
          kind,
          codec: terms.codec,
          era: terms.era,
          spans: sum.spans,
          unitsOf: ({ samples, peaks, body }) => sum.read(samples, peaks, body),
          accounts: () => this.#state.roster.accounts.size,
        });
        this.#carryOut(openRound(clock.now(), { round, kind, ranges, options }, this.#state));
        this.#drain();
      });
    } finally {
      stopTicking();
      this.#arrivals.set(kind, withArrivals(arrivals, this.#offsets));
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

  #carryOut({ state, effects }: Decision): void {
    this.#state = state;
    this.#busy = true;
    try {
      for (const effect of effects) this.#perform(effect);
    } finally {
      this.#busy = false;
    }
  }

  #perform(effect: RoundEffect): void {
    const { outbox, clock, onRequeue, onBackup, trust } = this.#options;
    switch (effect.type) {
      case "grant": {
        const { lease } = effect;
        const twin = "twin" in lease && lease.twin !== null ? this.#state.leases.get(lease.twin) : undefined;
        if (twin) onBackup(lease, twin.worker);
        outbox.lease(lease.worker, lease, this.#collecting().plan);
        for (const copy of trust?.granted(lease) ?? []) this.compare(copy);
        break;
      }
      case "accept":
        this.#offsets.push(effect.offsetMs);
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
        const { sum, since, resolve } = this.#collecting();
        this.#collection = undefined;
        for (const { samples, peaks, body, scale } of trust?.seal() ?? []) sum.add(samples, peaks, body, scale);
        const collected = { sum, ranges: effect.ranges, elapsedMs: clock.now() - since };
        const combining = trust?.combined();
        if (combining) inSlices(combining, clock, (means) => resolve(settled(collected, means)));
        else resolve(collected);
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
    const { leases, roster } = this.#state;
    if (this.#collecting().plan.terms.kind === "evaluate") return true;
    if (leases.size > 0) {
      this.#idleSince = undefined;
      return false;
    }
    if (![...roster.members.values()].some(({ expected }) => expected !== null)) return true;
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
