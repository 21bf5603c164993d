// What the rounds ask of trust: is this contribution usual, and is its range audited. Puts the judge of norms and peaks
// and the audits of a round together.

import type { LeaseId } from "../../shared/base/ids.ts";
import type { CopyWanted, Lease } from "../round/lease.ts";
import type { HeldWork } from "../sum/contribution.ts";
import type { GroupNorms } from "../sum/gradient-norms.ts";
import type { AuditedWork, OpenRound } from "../sum/open-round.ts";
import { Audits, type AuditsOptions, type FarAnswer, type HeldLease, type TrustOutcome } from "./audits.ts";
import { type ObservedSizes, SizeJudge, type SizeJudgeOptions } from "./size-judge.ts";
import type { Standing } from "./standing.ts";

export interface RoundTrustOptions extends AuditsOptions, SizeJudgeOptions {}

export class RoundTrust {
  readonly #options: RoundTrustOptions;
  readonly #sizes: SizeJudge;
  readonly #audits: Audits;

  constructor(options: RoundTrustOptions) {
    this.#options = options;
    this.#sizes = new SizeJudge(options);
    this.#audits = new Audits(options);
  }

  /** A round opens; what is usual in it is fixed now. */
  open(round: OpenRound): void {
    this.#sizes.open(round);
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
  judge(
    lease: Pick<Lease, "account"> & Partial<Pick<Lease, "from" | "to">>,
    samples: number,
    norms: GroupNorms,
    peaks: Uint32Array,
  ): number {
    return this.#sizes.judge(lease, samples, norms, peaks);
  }

  /**
   * Whether a contribution that counts is to be held back: its range is audited, or its account is, or there is nothing
   * yet to measure it by and the operator's own will send something.
   */
  holds(lease: Lease): boolean {
    return this.#audits.holds(lease) || (this.#sizes.awaitsOwn(lease.account) && this.#audits.hasRoom);
  }

  /** Takes a checked contribution that is held, or the answer to a copy; says what follows. */
  take(lease: Lease, work: HeldWork): TrustOutcome {
    return this.#audits.take(lease, work);
  }

  /** What an account sent may have lost the run's numbers: as if others had contradicted it. */
  suspect(account: string): void {
    this.#audits.suspect(account);
  }

  /** What the last contribution shows to be unlike the operator's own: held until now, to be collected again. */
  withdrawUnlike(): TrustOutcome["withdrawn"] {
    return this.#audits.withdraw(this.#sizes.takeUnlike());
  }

  /**
   * Answers that one to this lease will be compared with; where there are some, of which kind of device it is itself.
   */
  answersTo(lease: Lease): { readonly answers: readonly AuditedWork[]; readonly deviceClass: string } {
    return { answers: this.#audits.answersTo(lease), deviceClass: this.#options.deviceClass(lease.worker) };
  }

  /** See `Audits`. */
  home(copy: CopyWanted): CopyWanted | undefined {
    return this.#audits.home(copy);
  }

  /** See `Audits`. */
  lost(of: LeaseId): void {
    this.#audits.lost(of);
  }

  /** Answers that one of another gateway's account will be compared with. */
  answersFar(of: LeaseId, account: string): readonly AuditedWork[] {
    return this.#audits.answersFar(of, account);
  }

  /** Takes what another gateway's account has answered; says what follows. */
  takeFar(of: LeaseId, answer: FarAnswer, work: HeldWork): TrustOutcome {
    return this.#audits.takeFar(of, answer, work);
  }

  /** Accounts that audit only where nobody else can. */
  get distrusted(): ReadonlySet<string> {
    return this.#audits.distrusted;
  }

  /** What is known of an account by whoever keeps the standings of all gateways. */
  know(account: string, standing: Standing, feedbackResets: number): void {
    this.#audits.know(account, standing, feedbackResets);
  }

  /** See `Audits`. */
  feedbackResetsOf(account: string): number {
    return this.#audits.feedbackResetsOf(account);
  }

  /** What the round's contributions were: of a gateway, for its leader. */
  get observed(): ObservedSizes {
    return this.#sizes.observed;
  }

  /** What a gateway has judged is part of the round. */
  observe(sizes: ObservedSizes): void {
    this.#sizes.observe(sizes);
  }

  /** The round is sealed: what is held and nobody contradicted belongs to the sum. */
  seal(): readonly HeldLease[] {
    this.#sizes.seal();
    return this.#audits.seal();
  }
}
