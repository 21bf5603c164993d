// Watches a simulated run from outside and knows better: which samples were committed, what their sum must be, who
// lied. It shares no code with ledger and rounds, so that what they get wrong together is still seen.

import { createHash } from "node:crypto";
import type { Range } from "../../shared/base/intervals.ts";
import { samplesOf } from "../../shared/wire/lease-ranges.ts";
import type { CommitRecord } from "../checkpoint/commit-log.ts";
import type { PlacedLease } from "../engine/local/round-driver.ts";
import type { RunEvent } from "../engine/run-event.ts";
import type { RoundSum } from "../sum/aggregate.ts";
import type { RoundPlan } from "../training/round-plan.ts";
import type { ClipMode } from "../trust/clip-rule.ts";
import { type Accepted, AcceptedWork } from "./accepted-work.ts";
import { type KnownSum, knownSum } from "./known-gradient.ts";
import type { Profile } from "./profile.ts";
import { type Loss, Recoveries } from "./recoveries.ts";
import { SumCheck, type Summed } from "./sum-check.ts";
import { Suspects } from "./suspects.ts";
import type { Timeline } from "./timeline.ts";

/** Refusals that an honest worker may meet: being late is no fault. */
const innocent: readonly string[] = ["CONTRIBUTION_STALE"];
/** And among several liars, to be outvoted, to be one of three that all differ, or to be larger than what is usual. */
const outvoted: readonly string[] = ["CONTRIBUTION_DISPUTED", "CONTRIBUTION_OUTLIER"];

const show = (ranges: readonly Range[]) => ranges.map(({ from, to }) => `[${from}, ${to})`).join(" ");

export interface RefereeOptions {
  readonly timeline: Timeline;
  readonly microbatch: number;
  /** Samples of each pass. */
  readonly passes: readonly number[];
  readonly clip: ClipMode;
  /** Messages get lost or damaged: honest work may look wrong, and must then be refused. */
  readonly evil: boolean;
}

/** Sums of a gateway that are remembered: it keeps no more, for a leader that makes steps again. */
const REMEMBERED_SUMS = 16;

/** A gateway's sum: of which positions it says it is, and what it accepted of them. */
interface GatewaySum {
  readonly ranges: readonly Range[];
  readonly of: readonly Accepted[];
}

interface Granted {
  /** Positions of the pass. */
  readonly ranges: readonly Range[];
  readonly account: string;
  /** Others are compared and not added. */
  readonly counts: boolean;
  readonly pass: number;
  readonly evaluates: boolean;
  readonly round: number;
  /** Who granted it: a gateway in one of its lives; nothing where there is one coordinator. */
  readonly by: string;
}

/** The round of a lease. */
interface GrantedIn {
  readonly plan: RoundPlan;
  /** Positions of which the lease must be; those of the plan unless given. */
  readonly within?: readonly Range[];
  readonly by?: string;
}

export class Referee {
  readonly recoveries: Recoveries;
  readonly suspects = new Suspects();
  readonly #options: RefereeOptions;
  readonly #check: SumCheck;
  readonly #trace = createHash("sha256");
  readonly #violations: string[] = [];
  readonly #granted = new Map<number, Granted>();
  /** What liars sent, by lease. */
  readonly #lies = new Map<number, KnownSum>();
  /** Of each who grants leases. */
  readonly #accepted = new Map<string, AcceptedWork>();
  /** The newest sums of each gateway, by their hashes. */
  readonly #sums = new Map<string, Map<string, GatewaySum>>();
  /** How often each microbatch of a pass was committed. */
  readonly #passes = new Map<number, Uint8Array>();
  readonly #records: Extract<CommitRecord, { type: "step" }>[] = [];
  readonly #refusals = new Map<string, number>();
  #poisoned = 0;
  #audited = 0;
  #doubled = 0;
  #lost = 0;
  #lastCommitAt = 0;
  #life = 0;

  constructor(options: RefereeOptions) {
    this.#options = options;
    this.recoveries = new Recoveries(options.timeline);
    this.#check = new SumCheck(options.clip);
  }

  get violations(): readonly string[] {
    return this.#violations;
  }

  /** Of training steps. */
  get lastCommitAt(): number {
    return this.#lastCommitAt;
  }

  /**
   * Samples of committed steps; `poisoned` are those in them whose contribution was a lie, `audited` those of answered
   * copies.
   */
  get counts() {
    const committed = this.#records.reduce((sum, { samples }) => sum + samples, 0);
    return {
      committed,
      poisoned: this.#poisoned,
      audited: this.#audited,
      doubled: this.#doubled,
      lost: this.#lost,
      steps: this.#records.length,
    };
  }

  /** Of the last committed step. */
  get paramsHash(): string {
    return this.#records.at(-1)?.paramsHash ?? "";
  }

  /** Refused contributions, by code; those of liars and of the honest. */
  get refusals(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#refusals].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Hash over all that was seen, in order: the same for the same seed. */
  trace(): string {
    return this.#trace.copy().digest("hex");
  }

  note(...facts: readonly (string | number)[]): void {
    this.#trace.update(`${this.#options.timeline.now} ${facts.join(" ")}\n`);
  }

  violation(what: string): void {
    this.note("violation", what);
    this.#violations.push(`after ${(this.#options.timeline.now / 1000).toFixed(3)} s: ${what}`);
  }

  granted(
    worker: string,
    { lease: { lease, account, purpose }, ranges }: PlacedLease,
    { plan, within = plan.ranges, by = "" }: GrantedIn,
  ): void {
    const { terms } = plan;
    this.note("grant", worker, lease, show(ranges), purpose);
    const outside = ranges.find(({ from, to }) => {
      return from >= to || !within.some((range) => range.from <= from && to <= range.to);
    });
    if (outside || ranges.length === 0) {
      this.violation(`lease ${lease} of ${show(ranges)} is empty or outside of its round ${show(within)}`);
    }
    const counts = purpose === "work" || purpose === "backup";
    const { pass, split, round } = terms;
    this.#granted.set(lease, { account, ranges, counts, pass, evaluates: split === "test", round, by });
  }

  accepted(worker: string, lease: number): void {
    this.note("accept", worker, lease);
    const granted = this.#granted.get(lease);
    if (!granted) {
      this.violation(`lease ${lease} was accepted and had not been granted`);
      return;
    }
    if (!granted.counts) {
      this.#audited += samplesOf(granted.ranges);
      return;
    }
    const { ranges, account, round, by } = granted;
    this.#workOf(by).add(round, lease, { ranges, account, lie: this.#lies.get(lease) });
    this.recoveries.done(granted);
  }

  #workOf(by: string): AcceptedWork {
    const work = this.#accepted.get(by) ?? new AcceptedWork(this.#options.microbatch);
    this.#accepted.set(by, work);
    return work;
  }

  /** A gateway has made a sum of all that it accepted in its round at hand. */
  summed(by: string, sha256: string, ranges: readonly Range[]): void {
    this.note("summed", by, show(ranges));
    const sums = this.#sums.get(by) ?? new Map<string, GatewaySum>();
    this.#sums.set(by, sums.set(sha256, { ranges, of: this.#workOf(by).take(ranges) }));
    for (const oldest of sums.keys()) if (sums.size > REMEMBERED_SUMS) sums.delete(oldest);
  }

  rejected({ misdeed, index }: Profile, code: string, message: string): void {
    this.note("reject", index, code);
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
    if (misdeed !== undefined || this.#options.evil || innocent.includes(code)) return;
    if (outvoted.includes(code) && (this.suspects.several || this.suspects.plot)) return;
    this.violation(`the honest work of volunteer ${index} was refused: ${code}: ${message}`);
  }

  /** Counts the coordinator's lives that went on from a checkpoint. */
  get life(): number {
    return this.#life;
  }

  /** A liar is about to send this for a lease, which a coordinator gave it in its life `life`. */
  lie(lease: number, sum: KnownSum, life: number): void {
    if (life === this.#life) this.#lies.set(lease, sum);
  }

  /** An audit came to a verdict. */
  audited({ ranges, right, wrong }: Pick<Extract<RunEvent, { type: "audited" }>, "ranges" | "right" | "wrong">): void {
    this.note("audited", show(ranges), right.length, wrong.length);
    for (const account of this.suspects.audited(wrong)) {
      if (this.suspects.plot) continue;
      this.violation(`an audit of ${show(ranges)} went against the honest account ${account.slice(0, 8)}`);
    }
  }

  /** Whoever held the lease does not go on with it for now. */
  taken(lease: number, cause: Loss["cause"]): void {
    const granted = this.#granted.get(lease);
    if (granted?.counts && !granted.evaluates) this.recoveries.lost(granted, cause);
  }

  /**
   * Checks a round's sum, element by element, before it is applied.
   * @param parts hashes of the gateways' sums that it was made of; unless given it is of all that was accepted
   */
  sealed(plan: RoundPlan, sum: RoundSum, ranges: readonly Range[], parts?: readonly string[]): void {
    const { terms, layout } = plan;
    this.note("seal", terms.round, show(ranges));
    const wanted = samplesOf(ranges);
    if (sum.samples !== wanted) {
      this.violation(`round ${terms.round} sums ${sum.samples} samples and names ranges of ${wanted}`);
    }
    const accepted = parts ? this.#partsOf(terms.round, parts, ranges) : this.#workOf("").take(ranges);
    const summed = accepted.map(({ account, ranges: own, lie }): Summed => {
      const samples = samplesOf(own);
      if (lie && terms.split !== "test") this.#poisoned += samples;
      const { units } = lie ?? knownSum(terms, layout, own, this.#options.microbatch);
      return { account, samples, honest: lie === undefined, units };
    });
    for (const problem of this.#check.problems(plan, sum, summed)) this.violation(`round ${terms.round}: ${problem}`);
  }

  /** What gateways accepted for these sums, which are to be of the round's positions, and of none twice. */
  #partsOf(round: number, parts: readonly string[], ranges: readonly Range[]): readonly Accepted[] {
    const sums = parts.flatMap((part) => [...this.#sums.values()].flatMap((own) => own.get(part) ?? []));
    const places = sums.flatMap((sum) => sum.ranges).sort((a, b) => a.from - b.from);
    const twice = places.find(({ from }, i) => i > 0 && from < places[i - 1].to);
    const strange = places.find(({ from, to }) => !ranges.some((range) => range.from <= from && to <= range.to));
    if (sums.length < parts.length || twice || strange || samplesOf(places) !== samplesOf(ranges)) {
      this.violation(
        `round ${round}: ${parts.length} sums of gateways, ${sums.length} of them known, are of ${show(places)}; it is of ${show(ranges)}`,
      );
    }
    return sums.flatMap(({ of }) => of);
  }

  /** A step is in the commit log. */
  committed(record: CommitRecord): void {
    if (record.type === "resume") {
      // Another leads whose numbers are of an older step: it makes the later ones again, of what gateways have kept.
      this.note("undone", record.fromStep);
      this.#forget(record.fromStep);
    }
    if (record.type !== "step") return;
    const { step, pass, ranges, samples, paramsHash } = record;
    this.note("commit", step, paramsHash);
    this.#lastCommitAt = this.#options.timeline.now;
    const before = this.#records.at(-1)?.step ?? 0;
    if (step !== before + 1) this.violation(`step ${step} was committed after step ${before}`);
    this.#records.push(record);
    let size = 0;
    for (const [from, to] of ranges) {
      size += to - from;
      this.#count(pass, from, to, 1);
    }
    if (size !== samples) this.violation(`step ${step} names ${samples} samples and ranges of ${size}`);
    this.#granted.clear();
    this.#lies.clear();
  }

  /** The coordinator came back with what it had at `step`: later steps are undone. */
  resumed(step: number): void {
    this.note("resume", step);
    this.#life++;
    this.#forget(step);
    // A new life numbers its leases from the beginning again.
    this.#granted.clear();
    this.#lies.clear();
    this.#accepted.clear();
    this.recoveries.forget();
  }

  /** Steps after this one count no more. */
  #forget(step: number): void {
    for (let last = this.#records.at(-1); last && last.step > step; last = this.#records.at(-1)) {
      this.#records.pop();
      for (const [from, to] of last.ranges) this.#count(last.pass, from, to, -1);
    }
  }

  /** At the end of the run: every sample of its passes was committed once. */
  finish(): void {
    const { microbatch, passes } = this.#options;
    passes.forEach((samples, pass) => {
      this.#counts(pass).forEach((times, index) => {
        if (times === 0) this.#lost += Math.min(microbatch, samples - index * microbatch);
      });
    });
    if (this.#lost > 0) this.violation(`${this.#lost} samples of ${passes.length} passes were never committed`);
  }

  #counts(pass: number): Uint8Array {
    const known = this.#passes.get(pass);
    if (known) return known;
    const fresh = new Uint8Array(Math.ceil(this.#options.passes[pass] / this.#options.microbatch));
    this.#passes.set(pass, fresh);
    return fresh;
  }

  #count(pass: number, from: number, to: number, change: 1 | -1): void {
    const { microbatch, passes } = this.#options;
    const passSamples = passes[pass];
    if (from % microbatch !== 0 || (to % microbatch !== 0 && to !== passSamples) || to > passSamples) {
      this.violation(`[${from}, ${to}) of pass ${pass} was committed: no whole microbatches of [0, ${passSamples})`);
      return;
    }
    const counts = this.#counts(pass);
    for (let at = from; at < to; at += microbatch) {
      counts[at / microbatch] += change;
      const times = counts[at / microbatch];
      if (times <= 1) continue;
      const samples = Math.min(microbatch, passSamples - at);
      this.#doubled += samples;
      this.violation(`[${at}, ${at + samples}) of pass ${pass} was committed ${times} times`);
    }
  }
}
