// Watches a simulated run from outside and knows better: which samples were committed, what their sum must be, who
// lied. It shares no code with ledger and rounds, so that what they get wrong together is still seen.

import { createHash } from "node:crypto";
import type { Range } from "../../shared/base/intervals.ts";
import type { CommitRecord } from "../checkpoint/commit-log.ts";
import type { Lease } from "../round/lease.ts";
import type { RoundSum } from "../sum/aggregate.ts";
import type { RoundPlan } from "../training/round-plan.ts";
import type { TrustVerdict } from "../trust/audits.ts";
import type { ClipMode } from "../trust/clip-rule.ts";
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

export interface RefereeOptions {
  readonly timeline: Timeline;
  readonly microbatch: number;
  /** Samples of each pass. */
  readonly passes: readonly number[];
  readonly clip: ClipMode;
  /** Messages get lost or damaged: honest work may look wrong, and must then be refused. */
  readonly evil: boolean;
}

interface Granted extends Range {
  readonly account: string;
  /** Others are compared and not added. */
  readonly counts: boolean;
  readonly pass: number;
  readonly evaluates: boolean;
  readonly round: number;
}

export class Referee {
  readonly recoveries: Recoveries;
  readonly suspects = new Suspects();
  readonly #options: RefereeOptions;
  readonly #sums: SumCheck;
  readonly #trace = createHash("sha256");
  readonly #violations: string[] = [];
  readonly #granted = new Map<number, Granted>();
  /** What liars sent, by lease. */
  readonly #lies = new Map<number, KnownSum>();
  /** Leases whose answer the round accepted. */
  #accepted = new Map<number, Granted>();
  /** The newest of them, by the start of each of its microbatches. */
  readonly #acceptedAt = new Map<number, number>();
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
    this.#sums = new SumCheck(options.clip);
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

  granted(worker: string, { lease, account, from, to, purpose }: Lease, { terms, ranges }: RoundPlan): void {
    this.note("grant", worker, lease, from, to, purpose);
    if (!ranges.some((range) => range.from <= from && from < to && to <= range.to)) {
      const round = ranges.map((range) => `[${range.from}, ${range.to})`).join(" ");
      this.violation(`lease ${lease} of [${from}, ${to}) is empty or outside of its round ${round}`);
    }
    const counts = purpose === "work" || purpose === "backup";
    const { pass, split, round } = terms;
    this.#granted.set(lease, { account, from, to, counts, pass, evaluates: split === "test", round });
  }

  accepted(worker: string, lease: number): void {
    this.note("accept", worker, lease);
    const granted = this.#granted.get(lease);
    if (!granted) {
      this.violation(`lease ${lease} was accepted and had not been granted`);
      return;
    }
    if (!granted.counts) {
      this.#audited += granted.to - granted.from;
      return;
    }
    // What was accepted of this range before has been withdrawn since, or the sum will show that it has not.
    for (let at = granted.from; at < granted.to; at += this.#options.microbatch) {
      const before = this.#acceptedAt.get(at);
      if (before !== undefined) this.#accepted.delete(before);
      this.#acceptedAt.set(at, lease);
    }
    this.#accepted.set(lease, granted);
    this.recoveries.done(granted);
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
  audited({ from, to, right, wrong }: TrustVerdict): void {
    this.note("audited", from, to, right.length, wrong.length);
    for (const account of this.suspects.audited(wrong)) {
      if (this.suspects.plot) continue;
      this.violation(`an audit of [${from}, ${to}) went against the honest account ${account.slice(0, 8)}`);
    }
  }

  /** Whoever held the lease does not go on with it for now. */
  taken(lease: number, cause: Loss["cause"]): void {
    const granted = this.#granted.get(lease);
    if (granted?.counts && !granted.evaluates) this.recoveries.lost(granted, cause);
  }

  /** Checks a round's sum, element by element, before it is applied. */
  sealed(plan: RoundPlan, sum: RoundSum, ranges: readonly Range[]): void {
    const { terms, layout } = plan;
    this.note("seal", terms.round, ranges.map(({ from, to }) => `${from}-${to}`).join(","));
    const samples = ranges.reduce((total, { from, to }) => total + to - from, 0);
    if (sum.samples !== samples) {
      this.violation(`round ${terms.round} sums ${sum.samples} samples and names ranges of ${samples}`);
    }
    const summed: Summed[] = [];
    for (const [lease, { account, from, to }] of this.#accepted) {
      // Withdrawn, and not collected again before the seal.
      if (!ranges.some((range) => range.from <= from && to <= range.to)) continue;
      const lie = this.#lies.get(lease);
      if (lie && terms.split !== "test") this.#poisoned += to - from;
      const { units } = lie ?? knownSum(terms, layout, [{ from, to }], this.#options.microbatch);
      summed.push({ account, samples: to - from, honest: lie === undefined, units });
    }
    for (const problem of this.#sums.problems(plan, sum, summed)) this.violation(`round ${terms.round}: ${problem}`);
    this.#accepted = new Map();
    this.#acceptedAt.clear();
  }

  /** A step is in the commit log. */
  committed(record: CommitRecord): void {
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
    for (let last = this.#records.at(-1); last && last.step > step; last = this.#records.at(-1)) {
      this.#records.pop();
      for (const [from, to] of last.ranges) this.#count(last.pass, from, to, -1);
    }
    // A new life numbers its leases from the beginning again.
    this.#granted.clear();
    this.#lies.clear();
    this.#accepted = new Map();
    this.#acceptedAt.clear();
    this.recoveries.forget();
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
