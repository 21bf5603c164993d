// Gives the pure round what it lacks: the clock, the sum and the way to the workers. Everything that workers do enters
// here.

import type { Clock } from "../../../shared/base/clock.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { LeaseId, WorkerId } from "../../../shared/base/ids.ts";
import { emptyIntervals, type IntervalSet, type Range } from "../../../shared/base/intervals.ts";
import { frameLease } from "../../../shared/wire/frame.ts";
import type { ReturnReason } from "../../../shared/wire/protocol.ts";
import { type Arrivals, withArrivals } from "../../round/deadline.ts";
import { allLeasesOf, isClosing, notBegun, sumsDue } from "../../round/gateways.ts";
import { type CopyWanted, counts, type Lease } from "../../round/lease.ts";
import { roundReason } from "../../round/reason.ts";
import { type Member, type MemberFacts, speedOf, takesPart, totalSpeed, workforce } from "../../round/roster.ts";
import { type Decision, decide, openRound } from "../../round/round.ts";
import { plainSlots, type Slots } from "../../round/slots.ts";
import {
  beforeRounds,
  type RequeueCause,
  type RoundEffect,
  type RoundEvent,
  type RoundState,
} from "../../round/state.ts";
import type { PartialFacts } from "../../sum/partial.ts";
import type { ParameterVersion } from "../../training/parameter-version.ts";
import { leaseMessage, type RoundPlan } from "../../training/round-plan.ts";
import type { SealedSum, Training } from "../../training/training.ts";
import type { FarAnswer } from "../../trust/audits.ts";
import type { HeldChunks } from "../inbox.ts";
import type { Outbox } from "../outbox.ts";
import type { WorkerActivity, WorkerWatch } from "../run-watch.ts";
import type { Affinity } from "./affinity.ts";
import { ContributionIntake, type Intake, type IntakeOptions } from "./contribution-intake.ts";
import { piecesFor, type RoundLimits, roundOptions } from "./round-options.ts";
import { StopPatience } from "./stop-patience.ts";
import { startTicking } from "./ticker.ts";
import { WorkedTime } from "./worked-time.ts";

export interface RoundDriverOptions extends IntakeOptions, RoundLimits {
  readonly training: IntakeOptions["training"] & Pick<Training, "failure">;
  readonly outbox: Pick<Outbox, "lease" | "accepted" | "rejected" | "cancelled" | "dismissed">;
  readonly clock: Clock;
  /** Number of the first lease; 1 unless given. */
  readonly firstLease?: number;
  /** Who is asked first; without it whoever comes first is. */
  readonly affinity?: Affinity;
  readonly onRequeue: (lease: PlacedLease, cause: RequeueCause) => void;
  /** Sees each lease as it is granted. */
  readonly onGrant?: (lease: PlacedLease, plan: RoundPlan) => void;
  /** A second worker computes what `of` has not answered. */
  readonly onBackup: (lease: PlacedLease, of: WorkerId) => void;
  /** A round is about to open, before anything of it is leased; and it is open. */
  readonly onOpening?: (plan: RoundPlan) => void;
  readonly onOpened?: (plan: RoundPlan) => void;
  /** Something has changed in the rounds. */
  readonly onChange?: () => void;
  /** An audit is to be decided at another gateway; without it all are decided here. */
  readonly onAway?: (copy: CopyWanted) => void;
  /** A copy that was ordered for another gateway's audit is computed. */
  readonly onOrdered?: (answer: OrderedAnswer) => void;
  /** Nobody here can compute it. */
  readonly onDeclined?: (order: number) => void;
}

/** The answer to a copy that another gateway's audit waits for. */
export interface OrderedAnswer {
  readonly order: number;
  readonly account: string;
  /** The operator's. */
  readonly own: boolean;
  /** Kind of device. */
  readonly device: string;
  /** How often the account's error feedback was void. */
  readonly voids: number;
  /** Its frame. */
  readonly bytes: Uint8Array;
}

/** A lease, and the positions of the pass at its slots. */
export interface PlacedLease {
  readonly lease: Lease;
  readonly ranges: readonly Range[];
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

/** What the rounds know of a worker. */
export type MemberWatch = Pick<
  WorkerWatch,
  "worker" | "activity" | "overdue" | "samplesPerSecond" | "leases" | "held" | "samples"
>;

export interface RoundsWatch {
  readonly workers: readonly MemberWatch[];
  /** Positions of the pass that are collected in the round at hand, and those that are leased. */
  readonly collected: readonly Range[];
  readonly out: readonly Range[];
}

/** @param computing it holds a lease that it has not answered */
function activityOf({ suspended, leases, heard, resting }: Member, computing: boolean): WorkerActivity {
  if (suspended) return "away";
  if (computing) return "computing";
  if (leases.length > 0) return "checking";
  if (!heard) return "preparing";
  return resting ? "resting" : "waiting";
}

const sizeOf = (ranges: readonly Range[]) => ranges.reduce((sum, { from, to }) => sum + to - from, 0);
const isWithin = (part: Range, range: Range) => range.from <= part.from && part.to <= range.to;
const overlaps = (a: Range, b: Range) => a.from < b.to && b.from < a.to;

interface OpenCollection {
  readonly plan: RoundPlan;
  readonly resolve: (collected: Collected | Divergence | "dropped") => void;
  readonly reject: (error: unknown) => void;
}

export class RoundDriver {
  readonly #options: RoundDriverOptions;
  #state: RoundState;
  #collection: OpenCollection | undefined;
  /** Of the last round that was opened. */
  #slots: Slots = plainSlots([]);
  /** How the contributions of the last rounds of each phase arrived, and those of this round. */
  readonly #arrivals = new Map<string, Arrivals>();
  #offsets: number[] = [];
  readonly #intake: ContributionIntake;
  /** Events that came while effects of another were carried out. */
  readonly #queue: RoundEvent[] = [];
  #busy = false;
  #stopping = false;
  /** A round that nobody computes is dropped, to be opened again after what is to happen between two. */
  #interrupted = false;
  readonly #patience = new StopPatience();
  readonly #worked = new WorkedTime();
  /** How many ever joined. */
  #joined = 0;
  /** Who is let go when it has answered what it holds. */
  readonly #draining = new Set<WorkerId>();
  /** Samples that were accepted of those who are there. */
  readonly #accepted = new Map<WorkerId, number>();
  /** Accounts of the operator's own workers, of those that left too. */
  readonly #owns = new Set<string>();
  /** Accounts whose work came in gateways' sums in this round. */
  readonly #summed = new Set<string>();

  constructor(options: RoundDriverOptions) {
    this.#options = options;
    this.#state = beforeRounds(options.firstLease);
    this.#intake = new ContributionIntake({ ...options, positionsOf: (slots) => this.positionsOf(slots) });
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

  /** Versions that the round names; none between rounds. */
  get parameters(): readonly ParameterVersion[] {
    return this.#collection?.plan.parameters ?? [];
  }

  /** What each worker does, and which positions of the pass at hand are collected or out. */
  watch(): RoundsWatch {
    const { roster, leases, collected, phase } = this.#state;
    const workers: MemberWatch[] = [];
    roster.members.forEach((member, worker) => {
      let [held, late, computing] = [0, false, false];
      for (const id of member.leases) {
        const lease = leases.get(id);
        if (!lease) continue;
        held += lease.to - lease.from;
        if (lease.receivedAt !== null) continue;
        computing = true;
        late ||= lease.overdue;
      }
      workers.push({
        worker,
        activity: activityOf(member, computing),
        overdue: late,
        samplesPerSecond: speedOf(member, roster.phase) ?? null,
        leases: member.leases.length,
        held,
        samples: this.#accepted.get(worker) ?? 0,
      });
    });
    const out: Range[] = [];
    leases.forEach((lease) => {
      if (counts(lease)) out.push(...this.positionsOf(lease));
    });
    const open = this.#collection !== undefined || phase === "sealed" || phase === "applied";
    return { workers, out, collected: open ? collected.ranges.flatMap((range) => this.positionsOf(range)) : [] };
  }

  /** Positions of the pass at slots of the round that were leased. */
  positionsOf(slots: Range): readonly Range[] {
    return this.#slots.positionsOf(slots);
  }

  #placed(lease: Lease): PlacedLease {
    return { lease, ranges: this.positionsOf(lease) };
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

  /** It gets nothing more, and is let go when it holds nothing. */
  drain(worker: WorkerId): void {
    this.#draining.add(worker);
    this.#dispatch({ type: "worker-drained", worker });
  }

  /** It says which chunks it holds, from number `from` on. */
  holds(worker: WorkerId, { from, bits }: HeldChunks): void {
    this.#options.affinity?.told(worker, from, bits);
  }

  leave(worker: WorkerId): void {
    this.#draining.delete(worker);
    this.#accepted.delete(worker);
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
    const lease = named === undefined ? undefined : this.#state.leases.get(named);
    // A contribution that waits for the check of its samples keeps nobody else's waiting.
    const checking = lease && this.#options.sampleChecks?.pending(lease);
    if (lease && (!training.inline || lease.purpose === "spare" || checking))
      this.#dispatch({ type: "contribution-received", worker, lease: lease.lease });
    await checking;
    // A damaged frame may name any lease: where none of them is its worker's, it answers the oldest that is.
    const held = named ?? leases[0];
    const done = (intake: Intake) => this.#taken(worker, intake, bytes);
    await this.#intake.take({ worker, bytes, held, state: () => this.#state, done }).catch((error) => {
      // The run ends with that, and not this worker's session.
      if (!(error instanceof BitswarmError && error.code === "THREAD_FAILED")) throw error;
    });
  }

  #taken(worker: WorkerId, intake: Intake, bytes: Uint8Array): void {
    const { lease, follows } = intake;
    if (intake.kind === "taken") this.#ordered(lease, bytes);
    // All of it is one change: the round must not end in the middle, with a sum that is not that of its ranges.
    if (follows.copies.length + follows.withdrawn.length + follows.resting.length > 0)
      this.#dispatch({ type: "contribution-received", worker, lease });
    for (const copy of follows.copies) this.want(copy);
    for (const range of follows.withdrawn) this.#dispatch({ type: "contribution-withdrawn", ...range });
    // Before anything is leased for what came: who was told to rest has asked for more already.
    for (const account of follows.resting) this.#dispatch({ type: "account-rests", account });
    if (intake.kind === "refused") {
      const { code, message } = intake;
      this.#dispatch({ type: "contribution-refused", worker, lease, code, message });
    } else this.#dispatch({ type: "contribution", worker, lease, samples: intake.samples });
  }

  /** What was computed for another gateway's audit goes to it. */
  #ordered(id: LeaseId, bytes: Uint8Array): void {
    const { trust, onOrdered } = this.#options;
    const lease = this.#state.leases.get(id);
    if (!lease || !("copy" in lease) || !trust) return;
    const { account, copy } = lease;
    const { order } = copy;
    if (order === undefined) return;
    const { deviceClass: device } = trust.answersTo(lease);
    const voids = trust.feedbackResetsOf(account);
    // What others share is theirs again.
    const own = bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice();
    onOrdered?.({ order, account, own: this.#owns.has(account), device, voids, bytes: own });
  }

  /** A copy is to be computed: at another gateway, or by whoever here is drawn. */
  want(copy: CopyWanted): void {
    const { onAway } = this.#options;
    const away = copy.away === true && onAway !== undefined;
    this.#dispatch({ type: away ? "copy-away" : "copy-wanted", copy });
    if (away) onAway(copy);
  }

  /** Nobody at another gateway can compute a copy: somebody here does, where that says anything. */
  awayHome(copy: CopyWanted): void {
    const here = this.#collection && this.#options.trust?.home(copy);
    if (here) this.want(here);
    this.#dispatch({ type: "copy-over", copy });
  }

  /** The answer to a copy of another gateway's is not waited for any more. */
  awayOver(copy: CopyWanted): void {
    this.#options.trust?.lost(copy.of);
    this.#dispatch({ type: "copy-over", copy });
  }

  /** Another gateway's account has answered a copy. What is no answer to it counts as none. */
  async awayAnswer(copy: CopyWanted, answer: FarAnswer, bytes: Uint8Array): Promise<void> {
    try {
      const follows = await this.#intake.takeFar(copy.of, answer, bytes, { from: copy.from, to: copy.to });
      // In a row, and what is not believed any more first: the round must not end with it.
      for (const range of follows.withdrawn) this.#dispatch({ type: "contribution-withdrawn", ...range, quiet: true });
      for (const more of follows.copies) this.want(more);
      for (const account of follows.resting) this.#dispatch({ type: "account-rests", account });
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
    } finally {
      this.#dispatch({ type: "copy-over", copy });
      this.#dispatch({ type: "tick" });
    }
  }

  /** Accounts that take part here, whoever's gateways do. */
  get accounts(): number {
    const { roster } = this.#state;
    const { accounts } = workforce(roster);
    const isHere = (worker: WorkerId) => accounts.get(roster.members.get(worker)?.account ?? "") !== undefined;
    return accounts.size - roster.gateways.filter(isHere).length;
  }

  /** One of the operator's own takes part here. */
  get ownTakesPart(): boolean {
    return [...this.#owns].some((account) => takesPart(this.#state.roster, account));
  }

  /** Whether an account is the operator's own, here or at a gateway whose sum has said so. */
  isOwn(account: string): boolean {
    return this.#owns.has(account);
  }

  /** What is collected of the round at hand; nothing between rounds. */
  get collected(): IntervalSet {
    return this.#collection ? this.#state.collected : emptyIntervals;
  }

  /** Parts of these ranges that nobody has begun. */
  notBegun(ranges: readonly Range[]): readonly Range[] {
    return this.#collection ? notBegun(this.#state, ranges) : [];
  }

  /** The round wants these too. */
  extend(ranges: readonly Range[]): void {
    const plan = this.#collection?.plan;
    // What began with a small part would be cut as if that were all.
    const samples = this.#state.wanted + sizeOf(ranges);
    const pieces = plan && { pieces: piecesFor(plan, this.#options, this.#state.roster, samples) };
    this.#dispatch({ type: "extended", ranges, ...pieces });
  }

  /** The round wants no more of these than what is begun; nothing else is begun meanwhile. */
  narrow(ranges: readonly Range[]): void {
    if (ranges.length > 0) this.#dispatch({ type: "narrowed", ranges });
  }

  /** No more is to come: the round is sealed once all of it is there. */
  close(): void {
    this.#dispatch({ type: "closed" });
  }

  /** The round is given up, if one is open. */
  abandon(): void {
    if (this.#collection) this.#drop("dropped");
  }

  /** Speed of all who work or are about to, in samples a second; undefined where nobody was measured. */
  get speed(): number | undefined {
    const { active } = workforce(this.#state.roster);
    return active.known === 0 ? undefined : totalSpeed(active).total;
  }

  /** An account is at so many gateways, of which this is one. */
  spread(account: string, gateways: number): void {
    this.#dispatch({ type: "account-spread", account, gateways });
  }

  /** A gateway says how many leases it has room for, how fast its volunteers are together, and what they have left. */
  stated(worker: WorkerId, said: Omit<Extract<RoundEvent, { type: "stated" }>, "type" | "worker">): void {
    this.#dispatch({ type: "stated", worker, ...said });
  }

  /** A gateway holds these ranges from a leader before. Returns whether all of them are its own now. */
  adopt(worker: WorkerId, ranges: readonly Range[]): boolean {
    if (!this.#collection || ranges.length === 0) return false;
    const before = this.#state.leases.size;
    this.#dispatch({ type: "adopted", worker, ranges });
    return this.#state.leases.size > before;
  }

  /** All of a gateway's leases, those that it has covered too. */
  allLeasesOf(worker: WorkerId): readonly Lease[] {
    return this.#collection ? allLeasesOf(this.#state, worker) : [];
  }

  /** A lease that is out; nothing where it is over. */
  leaseOut(lease: LeaseId): Lease | undefined {
    return this.#collection && this.#state.leases.get(lease);
  }

  /** A gateway has summed all of a lease. */
  covered(worker: WorkerId, lease: LeaseId): void {
    this.#dispatch({ type: "contribution-received", worker, lease });
  }

  /** A gateway gives back a part of a lease that it has not begun. */
  trimmed(worker: WorkerId, lease: LeaseId, { from, to }: Range): void {
    this.#dispatch({ type: "lease-trimmed", worker, lease, from, to });
  }

  /** A gateway has a sum of these ranges: no lease of its is half in it. */
  split(worker: WorkerId, ranges: readonly Range[]): void {
    const halved = this.allLeasesOf(worker).some((lease) => {
      return ranges.some((range) => overlaps(lease, range)) && !ranges.some((range) => isWithin(lease, range));
    });
    if (halved) this.#dispatch({ type: "lease-split", worker, ranges });
  }

  /** Nothing more of the round is leased: it is late. */
  get closing(): boolean {
    return this.#collection !== undefined && isClosing(this.#options.clock.now(), this.#state);
  }

  /** Nobody holds something of the round at hand. */
  get unleased(): boolean {
    return this.#collection !== undefined && this.#state.unleased.length > 0;
  }

  /** Gateways whose sums are due. */
  get sumsDue(): readonly WorkerId[] {
    return this.#collection ? sumsDue(this.#options.clock.now(), this.#state) : [];
  }

  /**
   * Takes the sum of what a gateway has covered, where all of that, and nothing else, is in it; resolves with whether
   * it counts. @throws FRAME_CORRUPT and the like, CONTRIBUTION_MISMATCH
   */
  async partial(worker: WorkerId, key: string, bytes: Uint8Array): Promise<boolean> {
    let leases: readonly Lease[] = [];
    const due = ({ ranges, contributions }: PartialFacts) => {
      leases = this.allLeasesOf(worker).filter((lease) => ranges.some((range) => isWithin(lease, range)));
      const whole = leases.every(({ receivedAt }) => receivedAt !== null);
      if (!whole || sizeOf(leases) !== sizeOf(ranges)) return false;
      for (const { account, own } of contributions) {
        if (own) this.#owns.add(account);
        this.#summed.add(account);
      }
      return true;
    };
    if (!(await this.#intake.takePartial(key, bytes, due))) return false;
    // What is checked is waited for, so that none but the last of them can seal the round.
    for (const { lease, from, to } of leases) {
      this.#dispatch({ type: "contribution", worker, lease, samples: to - from });
    }
    return true;
  }

  /**
   * Opens a round and resolves when it is sealed, or has diverged; `dropped` when the run stops or is interrupted and
   * nobody goes on with it.
   * @param suspects steps before hold strangers' work, and may be undone
   */
  async collect(plan: RoundPlan, suspects = false): Promise<Collected | Divergence | "dropped"> {
    const { terms, ranges } = plan;
    const { phase, round } = terms;
    const { clock, affinity } = this.#options;
    const arrivals = this.#arrivals.get(phase) ?? [];
    const allLeased = () => this.#state.unleased.length === 0;
    const stopTicking = startTicking(clock, allLeased, () => this.#dispatch({ type: "tick" }));
    try {
      return await new Promise((resolve, reject) => {
        this.#options.onOpening?.(plan);
        this.#collection = { plan, resolve, reject };
        const slots = affinity?.open(plan) ?? plainSlots(ranges);
        this.#slots = slots;
        this.#worked.take(clock.now());
        this.#patience.begin();
        this.#offsets = [];
        const options = { ...roundOptions(plan, this.#options, arrivals, this.#state.roster), suspects };
        this.#intake.open(plan, {
          accounts: () => this.accounts,
          own: (account) => this.#owns.has(account),
          ownTakesPart: () => this.ownTakesPart,
        });
        this.#summed.clear();
        this.#carryOut(openRound(clock.now(), { round, phase, ranges: slots.ranges, options }, this.#state));
        this.#drain();
        this.#options.onOpened?.(plan);
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

  /** Something is to happen between two rounds: one that nobody is about to finish is dropped for it. */
  interrupt(wanted: boolean): void {
    this.#interrupted = wanted;
    if (wanted) this.#dispatch({ type: "tick" });
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
      // Not before: it may have been leased something by what came before its leaving.
      if (event.type === "worker-left") this.#options.affinity?.left(event.worker);
    }
    this.#dismiss();
    this.#options.onChange?.();
    if (!(this.#stopping || this.#interrupted) || !this.#collection) return;
    const again = this.#stopping && this.#collection.plan.terms.split === "test";
    if (this.#patience.isOver(this.#options.clock.now(), again, this.#state)) this.#drop("dropped");
  }

  /** Lets go of those who were to finish what they held. */
  #dismiss(): void {
    for (const worker of this.#draining) {
      if ((this.#state.roster.members.get(worker)?.leases.length ?? 0) > 0) continue;
      this.#draining.delete(worker);
      this.#options.outbox.dismissed(worker);
    }
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
    const { outbox, clock, onGrant, onRequeue, onBackup, onDeclined, trust, affinity, sampleChecks } = this.#options;
    switch (effect.type) {
      case "grant": {
        const { lease } = effect;
        const twin = "twin" in lease && lease.twin !== null ? this.#state.leases.get(lease.twin) : undefined;
        const { plan } = this.#collecting();
        this.#slots.settle(lease.worker, lease);
        const ranges = this.positionsOf(lease);
        affinity?.leased(lease.worker, ranges);
        if (twin) onBackup({ lease, ranges }, twin.worker);
        onGrant?.({ lease, ranges }, plan);
        const message = leaseMessage(plan, lease, ranges, trust?.feedbackResetsOf(lease.account));
        outbox.lease(lease.worker, message, plan.parameters);
        // A gateway audits and checks what its volunteers answer.
        if (lease.gateway) break;
        const copies = trust?.granted(lease) ?? [];
        sampleChecks?.granted(lease, message, copies.length > 0 || lease.purpose === "audit");
        for (const copy of copies) this.want(copy);
        break;
      }
      case "claim": {
        const { lease } = effect;
        onGrant?.(this.#placed(lease), this.#collecting().plan);
        for (const copy of trust?.granted(lease) ?? []) this.want(copy);
        break;
      }
      case "accept":
        if (effect.lease.purpose !== "spare") this.#offsets.push(effect.offsetMs);
        sampleChecks?.over(effect.lease.lease);
        this.#accepted.set(effect.lease.worker, (this.#accepted.get(effect.lease.worker) ?? 0) + effect.samples);
        outbox.accepted(effect.lease.worker, effect.lease.lease, effect.samples);
        break;
      case "reject":
        sampleChecks?.over(effect.lease);
        outbox.rejected(effect.worker, effect.lease, effect);
        break;
      case "decline":
        onDeclined?.(effect.order);
        break;
      case "lapse":
        sampleChecks?.over(effect.lease.lease);
        if (effect.again) onRequeue(this.#placed(effect.lease), effect.cause);
        break;
      case "cancel":
        sampleChecks?.over(effect.lease.lease);
        outbox.cancelled(effect.lease.worker, effect.lease.lease, effect.reason);
        break;
      case "seal": {
        const { resolve, reject } = this.#collecting();
        this.#collection = undefined;
        const ranges = this.#slots.positionsOf(effect.ranges);
        const workedMs = this.#worked.take(clock.now());
        const counted = [...this.#state.samplesByAccount].flatMap(([account, samples]) =>
          samples > 0 ? [account] : [],
        );
        // Of gateways those whose work they have summed.
        const { roster } = this.#state;
        const gateways = new Set(roster.gateways.map((worker) => roster.members.get(worker)?.account));
        const accounts = [...counted.filter((account) => !gateways.has(account)), ...this.#summed];
        const strangers = [...new Set(accounts)].filter((account) => !this.#owns.has(account));
        const own = accounts.some((account) => this.#owns.has(account));
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
