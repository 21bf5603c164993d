// What the rounds ask of trust: is this contribution usual, and is its range audited. Puts the judge of norms and peaks
// and the audits of a round together.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { CopyWanted, Lease } from "../round/lease.ts";
import type { HeldWork, UsualPeak } from "../sum/contribution.ts";
import type { GroupNorms } from "../sum/gradient-norms.ts";
import type { AuditedWork, OpenRound } from "../sum/open-round.ts";
import { Audits, type AuditsOptions, type HeldLease, type TrustOutcome } from "./audits.ts";
import { type ClipMode, type ClipRule, clipRule, clipVerdict, noRule, unusualPeak } from "./clip-rule.ts";
import { type NormHistories, type ObservedNorms, usualNorms, withRound } from "./norm-history.ts";
import { boundedPeaks, type PeakMedians, ReportedPeaks } from "./peak-medians.ts";

/** Accounts of a round that may be kept from it for being unusual before the round itself is taken to be so. */
export const UNUSUAL_ACCOUNTS = 2;
/** Of so many accounts more than half must agree that the round is unusual, however many more there are. */
export const JUMP_ACCOUNTS = 16;

export interface RoundTrustOptions extends AuditsOptions {
  readonly clip: ClipMode;
  readonly clipFactor: number;
  /** What the rounds before had, by phase; changed at each seal. */
  readonly histories: NormHistories;
  /** Of the last round of each phase; changed at each seal. */
  readonly peaks: PeakMedians;
}

export class RoundTrust {
  readonly #options: RoundTrustOptions;
  #round: OpenRound | undefined;
  #rule: ClipRule = noRule;
  #observed: ObservedNorms[] = [];
  #usualPeaks: readonly UsualPeak[] = [];
  readonly #reported = new ReportedPeaks();
  readonly #unusual = new Set<string>();
  readonly #audits: Audits;

  constructor(options: RoundTrustOptions) {
    this.#options = options;
    this.#audits = new Audits(options);
  }

  /** A round opens; what is usual in it is fixed now. */
  open(round: OpenRound): void {
    const { clip, clipFactor, histories, peaks } = this.#options;
    this.#round = round;
    const usual = usualNorms(histories.get(round.phase) ?? []);
    this.#rule = clipRule({ mode: clip, codec: round.codec, factor: clipFactor, accounts: round.accounts(), usual });
    this.#observed = [];
    this.#usualPeaks = boundedPeaks(round.peaks, peaks.get(round.phase));
    this.#reported.clear();
    this.#unusual.clear();
    this.#audits.open(round);
  }

  /** A lease was granted: perhaps another account is to compute it too. */
  granted(lease: Lease): readonly CopyWanted[] {
    return this.#audits.granted(lease);
  }

  /**
   * The factor of a contribution's gradients, at most 1.
   * @param peaks bits of one f32 a tensor of the layout, each finite
   * @throws CONTRIBUTION_OUTLIER for one that is no gradient of this run
   */
  judge({ account }: Pick<Lease, "account">, samples: number, norms: GroupNorms, peaks: Uint32Array): number {
    const verdict = clipVerdict(this.#rule, norms, samples);
    const peak = unusualPeak(this.#rule, this.#usualPeaks, peaks);
    const refused =
      verdict.kind === "refuse"
        ? { what: `the norm of its ${verdict.group}`, value: verdict.norm, limit: verdict.limit, of: " a sample" }
        : peak && { what: `the peak of ${peak.name}`, value: peak.value, limit: peak.limit, of: "" };
    if (refused && !this.#jumps(account)) {
      const { what, value, limit, of } = refused;
      throw new BitswarmError(
        "CONTRIBUTION_OUTLIER",
        `contribution: ${what} is ${value.toPrecision(3)}${of}, the limit in this round is ${limit.toPrecision(3)}; its range goes to another worker`,
      );
    }
    this.#observed.push({ account, samples, norms });
    this.#reported.add(account, peaks);
    if (verdict.kind === "refuse") return 1;
    return Math.min(1, verdict.scale.gradient ?? 1, verdict.scale.critic ?? 1);
  }

  /** Whether so many accounts agree that the training itself made a jump. */
  #jumps(account: string): boolean {
    this.#unusual.add(account);
    const accounts = Math.min(JUMP_ACCOUNTS, this.#round?.accounts() ?? 0);
    return this.#unusual.size > UNUSUAL_ACCOUNTS && 2 * this.#unusual.size > accounts;
  }

  /** Whether a contribution that counts is to be held back: its range is audited, or its account is. */
  holds(lease: Lease): boolean {
    return this.#audits.holds(lease);
  }

  /** Takes a checked contribution that is held, or the answer to a copy; says what follows. */
  take(lease: Lease, work: HeldWork): TrustOutcome {
    return this.#audits.take(lease, work);
  }

  /**
   * Answers that one to this lease will be compared with; where there are some, of which kind of device it is itself.
   */
  answersTo(lease: Lease): { readonly answers: readonly AuditedWork[]; readonly deviceClass: string } {
    return { answers: this.#audits.answersTo(lease), deviceClass: this.#options.deviceClass(lease.worker) };
  }

  /** See `Audits`. */
  feedbackResetsOf(account: string): number {
    return this.#audits.feedbackResetsOf(account);
  }

  /** The round is sealed: what is held and nobody contradicted belongs to the sum. */
  seal(): readonly HeldLease[] {
    const { histories, peaks } = this.#options;
    const { phase } = this.#round ?? {};
    if (phase) histories.set(phase, withRound(histories.get(phase) ?? [], this.#observed));
    const medians = this.#reported.medians();
    if (phase && medians) peaks.set(phase, medians);
    return this.#audits.seal();
  }
}
