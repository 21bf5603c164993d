// Whether the sizes of a contribution are usual. The operator's own workers are believed, and what they send is the
// measure of everybody else's; where there are none, and three accounts or more, the median account is; and one or two
// strangers alone are held to what they sent before, which they can move but slowly.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Lease } from "../round/lease.ts";
import type { UsualPeak } from "../sum/contribution.ts";
import type { GroupNorms } from "../sum/gradient-norms.ts";
import type { OpenRound } from "../sum/open-round.ts";
import {
  type ClipMode,
  type ClipRule,
  clipRule,
  clipVerdict,
  LEAST_ACCOUNTS,
  noRule,
  OUTLIER_FACTOR,
  PEAK_FACTOR,
  unusualPeak,
  usualFor,
} from "./clip-rule.ts";
import {
  type Measure,
  measureOf,
  type NormHistories,
  normGroups,
  type ObservedNorms,
  type UsualNorm,
  usualNorms,
  withRound,
} from "./norm-history.ts";
import { boundedPeaks, LONE_GROWTH, nextPeaks, type PeakMedians, ReportedPeaks } from "./peak-medians.ts";

/** Accounts of a round that may be kept from it for being unusual before the round itself is taken to be so. */
export const UNUSUAL_ACCOUNTS = 2;
/** Of so many accounts more than half must agree that the round is unusual, however many more there are. */
export const JUMP_ACCOUNTS = 16;
/** As OUTLIER_FACTOR, where what is usual rests on few rounds: a training's first steps differ more than later ones. */
export const EARLY_FACTOR = 32;
/** The norm of a mean over samples that is believed before anything is known: beyond it is no start of a training. */
export const FIRST_NORM = 2 ** 20;
/** What is so many times as large as before is the word of a broken driver, even where it is the operator's own. */
export const ABSURD_FACTOR = 2 ** 20;
/**
 * One or two strangers alone must be able to follow a training that makes a jump, or it would never go on, and whoever
 * was there before them may have lied: each time that an account is refused in a round its limit is so many times as
 * large the next time.
 */
export const LONE_PATIENCE = 4;
/** Where a lease is inner steps, its differences, peaks above all, grow with it: so much room they have beside. */
export const REPLICA_ROOM = 2 ** 10;

/** Accounts at other gateways, of whom whoever leads knows. */
export interface Crowd {
  /** Accounts of the whole run, as far as is known. */
  readonly accounts: () => number;
  /** Whether the training made a jump, as all whose work was unusual show: `unusual` are those here. */
  readonly jumped: (unusual: readonly string[]) => boolean;
}

/** Whether the work of so many accounts is unusual that the training itself made a jump. */
export function isJump(unusual: number, accounts: number): boolean {
  return unusual > UNUSUAL_ACCOUNTS && 2 * unusual > Math.min(JUMP_ACCOUNTS, accounts);
}

export interface SizeJudgeOptions {
  readonly clip: ClipMode;
  readonly clipFactor: number;
  /** What the rounds before had, by phase; changed at each seal. */
  readonly histories: NormHistories;
  /** Of the last rounds of each phase; changed at each seal. */
  readonly peaks: PeakMedians;
  /** Others that take part elsewhere; without it all are here. */
  readonly crowd?: Crowd;
}

/** What was judged before there was anything to judge it by. */
interface Unproven {
  readonly account: string;
  readonly from: number;
  readonly to: number;
  readonly samples: number;
  readonly norms: GroupNorms;
  readonly peaks: Uint32Array;
}

/** What a round's contributions were, with the largest peaks of each account, bits of one f32 a tensor. */
export interface ObservedSizes {
  readonly contributions: readonly ObservedNorms[];
  readonly accountPeaks: ReadonlyMap<string, Uint32Array>;
}

interface Refused {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly of: string;
}

type JudgedLease = Pick<Lease, "account"> & Partial<Pick<Lease, "from" | "to">>;

const floatsOf = (peaks: Uint32Array) => new Float32Array(Uint32Array.from(peaks).buffer);

export class SizeJudge {
  readonly #options: SizeJudgeOptions;
  #round: OpenRound | undefined;
  #rule: ClipRule = noRule;
  #measure: Measure = { own: false, usual: {} };
  #known: readonly number[] = [];
  #observed: ObservedNorms[] = [];
  #usualPeaks: readonly UsualPeak[] = [];
  readonly #reported = new ReportedPeaks();
  /** Accounts whose work was unusual, and how often it was refused for that. */
  readonly #unusual = new Map<string, number>();
  /** The largest of the operator's own in this round: the best measure there is. */
  #ownNorms: Partial<Record<keyof GroupNorms, { readonly norm: number; readonly samples: number }>> = {};
  #ownPeaks: Float32Array | undefined;
  #unproven: Unproven[] = [];

  constructor(options: SizeJudgeOptions) {
    this.#options = options;
  }

  /** A round opens; what is usual in it is fixed now, but for what the operator's own workers send. */
  open(round: OpenRound): void {
    const { clip, clipFactor, histories, peaks } = this.#options;
    const history = histories.get(round.phase) ?? [];
    this.#round = round;
    this.#measure = measureOf(history);
    this.#known = peaks.get(round.phase) ?? [];
    const accounts = this.#accounts;
    this.#rule = clipRule({
      mode: clip,
      codec: round.codec,
      factor: clipFactor,
      // Where the operator's own are the measure, there is somebody to compare with.
      accounts: this.#measure.own ? Math.max(accounts, LEAST_ACCOUNTS) : accounts,
      usual: usualNorms(history),
    });
    this.#usualPeaks = boundedPeaks(round.peaks, this.#known);
    this.#observed = [];
    this.#reported.clear();
    this.#unusual.clear();
    this.#ownNorms = {};
    this.#ownPeaks = undefined;
    this.#unproven = [];
  }

  /**
   * The share of its gradients with which a checked contribution counts.
   * @param norms of the mean over its samples
   * @param peaks bits of one f32 a tensor
   * @throws CONTRIBUTION_OUTLIER where it is far beyond what is usual
   */
  judge(lease: JudgedLease, samples: number, norms: GroupNorms, peaks: Uint32Array): number {
    const { account } = lease;
    const own = this.#isOwn(account);
    if (this.#options.clip !== "none") {
      const refused = own
        ? this.#absurd(samples, norms, peaks)
        : this.#byOwn
          ? this.#unlikeOwn(samples, norms, peaks)
          : this.#unlikeOthers(samples, norms, peaks);
      // While the operator's own take part, nobody else says that the training made a jump.
      const decided = own || (this.#byOwn && this.#round?.ownTakesPart() === true);
      if (refused && (decided || !this.#jumps(account, refused))) {
        this.#unusual.set(account, (this.#unusual.get(account) ?? 0) + 1);
        throw outlier(refused);
      }
    }
    if (own) this.#learn(samples, norms, peaks);
    else if (!this.#proven && lease.from !== undefined && lease.to !== undefined) {
      this.#unproven.push({ account, from: lease.from, to: lease.to, samples, norms, peaks: Uint32Array.from(peaks) });
    }
    this.#observed.push({ account, samples, norms, ...(own ? { own } : {}) });
    this.#reported.add(account, peaks, own);
    return this.#scale(own, samples, norms);
  }

  /** What the round's contributions were, for whoever judges the rounds of all gateways. */
  get observed(): ObservedSizes {
    return { contributions: [...this.#observed], accountPeaks: this.#reported.accountPeaks };
  }

  /** Takes what a gateway has judged: it is part of the round, and of what is usual after it. */
  observe({ contributions, accountPeaks }: ObservedSizes): void {
    const owns = new Set(contributions.flatMap(({ account, own }) => (own ? [account] : [])));
    this.#observed.push(...contributions);
    for (const [account, peaks] of accountPeaks) this.#reported.add(account, peaks, owns.has(account));
    if (owns.size > 0) this.#ownPeaks ??= new Float32Array();
  }

  /** Whether nothing is known yet by which a stranger's contribution could be judged, and soon will be. */
  awaitsOwn(account: string): boolean {
    return !this.#isOwn(account) && !this.#proven && (this.#round?.ownTakesPart() ?? false);
  }

  /** What was let pass before the operator's own workers had sent anything, and is not like theirs: once each. */
  takeUnlike(): readonly { readonly account: string; readonly from: number; readonly to: number }[] {
    if (!this.#byOwn || this.#unproven.length === 0) return [];
    const waiting = this.#unproven;
    this.#unproven = [];
    return waiting.filter(({ account, samples, norms, peaks }) => {
      if (!this.#unlikeOwn(samples, norms, peaks)) return false;
      this.#observed = this.#observed.filter((one) => one.account !== account || one.norms !== norms);
      return true;
    });
  }

  /** The round is sealed: what was in it is part of what is usual. */
  seal(): void {
    const { histories, peaks } = this.#options;
    const { phase } = this.#round ?? {};
    if (!phase) return;
    // Strangers alone move what is usual, but slowly.
    const lone = !this.#byOwn && new Set(this.#observed.map(({ account }) => account)).size < LEAST_ACCOUNTS;
    const observed = lone ? this.#observed.map((one) => ({ ...one, norms: this.#slowed(one) })) : this.#observed;
    histories.set(phase, withRound(histories.get(phase) ?? [], observed));
    const medians = this.#reported.medians();
    if (!medians) return;
    const slow = this.#reported.accounts < LEAST_ACCOUNTS && !this.#reported.own;
    peaks.set(phase, nextPeaks(this.#known, medians, slow));
  }

  /** Accounts that take part now, here and elsewhere. */
  get #accounts(): number {
    return Math.max(this.#round?.accounts() ?? 0, this.#options.crowd?.accounts() ?? 0);
  }

  #isOwn(account: string): boolean {
    return this.#round?.own(account) ?? false;
  }

  /** Whether what the operator's own workers sent is the measure. */
  get #byOwn(): boolean {
    return this.#measure.own || this.#ownPeaks !== undefined;
  }

  get #proven(): boolean {
    return this.#byOwn || Object.keys(this.#measure.usual).length > 0;
  }

  #scale(own: boolean, samples: number, norms: GroupNorms): number {
    // Alone, or nearly, the operator's own workers are the measure, and are not measured.
    if (own && this.#accounts < LEAST_ACCOUNTS) return 1;
    const verdict = clipVerdict({ ...this.#rule, outlier: null }, norms, samples);
    if (verdict.kind === "refuse") return 1;
    return Math.min(1, verdict.scale.gradient ?? 1, verdict.scale.critic ?? 1);
  }

  #learn(samples: number, norms: GroupNorms, peaks: Uint32Array): void {
    for (const group of normGroups) {
      const norm = norms[group];
      if (norm === undefined) continue;
      const known = this.#ownNorms[group];
      if (!known || norm > known.norm) this.#ownNorms[group] = { norm, samples };
    }
    const values = floatsOf(peaks);
    this.#ownPeaks = this.#ownPeaks?.map((peak, i) => Math.max(peak, values[i])) ?? values;
  }

  /** What even the operator's own cannot have measured. */
  #absurd(samples: number, norms: GroupNorms, peaks: Uint32Array): Refused | undefined {
    // What strangers alone sent before is no measure of it.
    const { own, usual } = this.#measure;
    const unlike = normBeyond(norms, (group) => {
      const before = own ? usual[group] : undefined;
      return before && before.norm > 0 ? ABSURD_FACTOR * this.#expected(group, before, samples) : FIRST_NORM;
    });
    if (unlike) return unlike;
    const largest = own ? Math.max(0, ...this.#known) : 0;
    return this.#peakBeyond(floatsOf(peaks), () => ABSURD_FACTOR * largest || Number.POSITIVE_INFINITY);
  }

  /** How large a mean over so many samples is expected to be. */
  #expected(group: keyof GroupNorms, usual: UsualNorm, samples: number): number {
    const grows = this.#round?.replicas && (group === "gradient" || group === "critic");
    return usualFor(usual, samples) * (grows ? Math.max(1, samples / usual.samples) : 1);
  }

  /** By what the operator's own workers sent, in this round or those before. */
  #unlikeOwn(samples: number, norms: GroupNorms, peaks: Uint32Array): Refused | undefined {
    const { own, usual } = this.#measure;
    const limitOf = (group: keyof GroupNorms): number => {
      const [before, now] = [own ? usual[group] : undefined, this.#ownNorms[group]];
      const factor = before && before.entries < MATURE_ENTRIES ? EARLY_FACTOR : OUTLIER_FACTOR;
      return Math.max(
        before ? factor * this.#expected(group, before, samples) : 0,
        now ? OUTLIER_FACTOR * this.#expected(group, now, samples) : 0,
      );
    };
    const unlike = normBeyond(norms, (group) => {
      // What is not trained yet, as discriminators in the warm-up, is no larger than what is.
      return limitOf(group) || (group === "critic" ? limitOf("gradient") : 0) || FIRST_NORM;
    });
    if (unlike) return unlike;
    const values = floatsOf(peaks);
    // Of the rounds before only where they were the operator's own: a stranger's reports are no measure.
    const known = values.map((_, i) => Math.max((own && this.#known[i]) || 0, this.#ownPeaks?.[i] ?? 0));
    const largest = Math.max(...known);
    const room = this.#round?.replicas ? REPLICA_ROOM : 1;
    return this.#peakBeyond(values, (i) => {
      return room * PEAK_MARGIN * PEAK_FACTOR * (known[i] || largest) || Number.POSITIVE_INFINITY;
    });
  }

  /** By what is usual of all accounts: of the median's, or of one's or two's own before. */
  #unlikeOthers(samples: number, norms: GroupNorms, peaks: Uint32Array): Refused | undefined {
    const verdict = clipVerdict(this.#rule, norms, samples);
    if (verdict.kind === "refuse") return normOf(verdict.group, verdict.norm, verdict.limit);
    const unlike = normBeyond(norms, (group) => {
      const usual = this.#measure.usual[group];
      const factor = usual && usual.entries >= MATURE_ENTRIES ? OUTLIER_FACTOR : EARLY_FACTOR;
      return usual && usual.norm > 0 ? factor * this.#expected(group, usual, samples) : FIRST_NORM;
    });
    if (unlike) return unlike;
    const lone = this.#accounts < LEAST_ACCOUNTS;
    if (!lone) return peakOf(unusualPeak(this.#rule, this.#usualPeaks, peaks));
    const room = this.#round?.replicas ? REPLICA_ROOM : 1;
    return this.#peakBeyond(floatsOf(peaks), (i) => {
      const { largest } = this.#usualPeaks[i];
      const known = this.#known[i];
      return room * PEAK_FACTOR * (known > 0 ? Math.min(largest, PEAK_MARGIN * known) : largest);
    });
  }

  /** The first peak beyond its limit; of a codec's means there is none. */
  #peakBeyond(values: Float32Array, limitOf: (tensor: number) => number): Refused | undefined {
    for (let i = 0; i < this.#usualPeaks.length; i++) {
      const { name, magnitude } = this.#usualPeaks[i];
      if (!magnitude) continue;
      const limit = limitOf(i);
      if (values[i] > limit) return peakOf({ name, value: values[i], limit });
    }
    return undefined;
  }

  /** Whether so many accounts agree that the training itself made a jump. */
  #jumps(account: string, { value, limit }: Refused): boolean {
    if (this.#accounts < LEAST_ACCOUNTS) {
      return value <= Math.min(LONE_PATIENCE ** (this.#unusual.get(account) ?? 0) * limit, FIRST_NORM);
    }
    if (!this.#unusual.has(account)) this.#unusual.set(account, 0);
    const { crowd } = this.#options;
    const here = this.#round?.accounts() ?? 0;
    // Fewer could all be one's, which has chosen this gateway.
    if (crowd && here < JUMP_ACCOUNTS) return crowd.jumped([...this.#unusual.keys()]);
    return isJump(this.#unusual.size, here);
  }

  #slowed({ norms }: ObservedNorms): GroupNorms {
    const slow: Partial<Record<keyof GroupNorms, number>> = {};
    for (const group of normGroups) {
      const [norm, usual] = [norms[group], this.#measure.usual[group]];
      if (norm === undefined) continue;
      slow[group] = usual && usual.norm > 0 ? Math.min(norm, LONE_GROWTH * usual.norm) : norm;
    }
    return slow;
  }
}

/** Entries from which on OUTLIER_FACTOR is for a stranger. */
const MATURE_ENTRIES = 8;
/** Units are powers of two, and so the largest peak that they were chosen for is up to twice the one that was seen. */
const PEAK_MARGIN = 2;

type Group = keyof GroupNorms;

function normOf(group: Group, value: number, limit: number): Refused {
  return { what: `the norm of its ${group}`, value, limit, of: " a sample" };
}

/** The first norm beyond its limit. */
function normBeyond(norms: GroupNorms, limitOf: (group: Group) => number): Refused | undefined {
  for (const group of normGroups) {
    const norm = norms[group];
    if (norm === undefined) continue;
    const limit = limitOf(group);
    if (norm > limit) return normOf(group, norm, limit);
  }
  return undefined;
}

function peakOf(peak: ReturnType<typeof unusualPeak>): Refused | undefined {
  return peak && { what: `the peak of ${peak.name}`, value: peak.value, limit: peak.limit, of: "" };
}

function outlier({ what, value, limit, of }: Refused): BitswarmError {
  return new BitswarmError(
    "CONTRIBUTION_OUTLIER",
    `contribution: ${what} is ${value.toPrecision(3)}${of}, the limit in this round is ${limit.toPrecision(3)}; its range goes to another worker`,
  );
}
