// What the rounds ask of trust: is this contribution usual, is its range audited, and what do the answers say. Contributions of
// an account under audit are held back until the verdict or the seal; nothing ever has to be taken out of a sum.

import type { RoundKind } from "../../shared/contribution.ts";
import { BitswarmError } from "../../shared/errors.ts";
import type { LeaseId, WorkerId } from "../../shared/ids.ts";
import type { GradientCodec } from "../../shared/wire-layout.ts";
import type { Clock } from "../clock.ts";
import type { Contribution } from "../contribution-check.ts";
import type { CopyWanted, Lease } from "../round-state.ts";
import { type Answer, auditVerdict } from "./audit.ts";
import { type ClipMode, type ClipRule, clipRule, clipVerdict, LEAST_ACCOUNTS, noRule } from "./clip-rule.ts";
import { type Comparison, compareWork } from "./comparison.ts";
import { FeedbackDoubts } from "./feedback-doubts.ts";
import type { GroupNorms } from "./gradient-norms.ts";
import { type NormHistory, type ObservedNorms, usualNorms, withRound } from "./norm-history.ts";
import { type RobustResult, RobustRounds, type RobustTerms } from "./robust-round.ts";
import { auditProbability, confirmed, contradicted, doubted, newcomer, restMs, type Standing } from "./standing.ts";

/** Bytes of contributions that may be held back at a time; beyond them nothing more is audited. */
export const HELD_BYTES = 256 << 20;
/** Accounts of a round that may be kept from it for being unusual before the round itself is taken to be so. */
export const UNUSUAL_ACCOUNTS = 2;

/** A contribution that was checked and is in no sum yet. */
export interface HeldWork extends Contribution {
  readonly samples: number;
  /** Of its gradients; see clip-rule.ts. */
  readonly scale: number;
}

/** How a round's contributions are read. */
export interface RoundReader extends RobustTerms {
  readonly codec: GradientCodec;
  /** Integers of a contribution, each a multiple of its tensor's unit; the caller's to keep. */
  readonly unitsOf: (work: HeldWork) => Float64Array<ArrayBuffer>;
  /** Accounts that take part now. */
  readonly accounts: () => number;
}

export interface RoundTrustOptions {
  readonly clip: ClipMode;
  readonly clipFactor: number;
  readonly audits: "auto" | "off";
  readonly clock: Pick<Clock, "now">;
  /** In [0, 1), for each lease whether it is audited. */
  readonly draw: () => number;
  /** Kind of device of a worker: adapter and runtime. */
  readonly deviceClass: (worker: WorkerId) => string;
  readonly standings: Map<string, Standing>;
  /** An account whose work others contradicted rests from now on. */
  readonly onRest: (account: string, ms: number) => void;
  /** Standings changed. */
  readonly onVerdict: (verdict: TrustVerdict) => void;
}

/** An audit that is over. */
export interface TrustVerdict {
  readonly from: number;
  readonly to: number;
  readonly right: readonly string[];
  readonly wrong: readonly string[];
}

interface ComparedAnswer {
  readonly lease: LeaseId;
  readonly work: HeldWork;
  readonly deviceClass: string;
}

interface OpenAudit {
  readonly from: number;
  readonly to: number;
  answers: readonly Answer<ComparedAnswer>[];
  /** Whose answer is held for the sum. */
  summed: string | null;
}

interface HeldLease {
  readonly account: string;
  readonly from: number;
  readonly to: number;
  readonly work: HeldWork;
}

/** What becomes of the round. */
export interface TrustOutcome {
  readonly copies: readonly CopyWanted[];
  /** Held work that is dropped: these ranges are to be collected again. */
  readonly withdrawn: readonly { readonly account: string; readonly from: number; readonly to: number }[];
  /** Accounts that rest from now on. */
  readonly resting: readonly string[];
  /** Others have agreed already that this very contribution is wrong. */
  readonly disputed: boolean;
}

export const nothingFollows: TrustOutcome = { copies: [], withdrawn: [], resting: [], disputed: false };

function leaseIn(answers: OpenAudit["answers"], account: string): LeaseId {
  const answer = answers.find((one) => one.account === account);
  if (!answer) throw new RangeError(`an audit was decided on ${account}, which did not answer`);
  return answer.work.lease;
}

const bytesOf = ({ peaks, body }: Contribution) => peaks.byteLength + body.byteLength;

export class RoundTrust {
  readonly #options: RoundTrustOptions;
  readonly #histories = new Map<RoundKind, NormHistory>();
  #round: RoundReader | undefined;
  #rule: ClipRule = noRule;
  #observed: ObservedNorms[] = [];
  readonly #unusual = new Set<string>();
  readonly #audits = new Map<string, OpenAudit>();
  readonly #robust: RobustRounds | undefined;
  #held: HeldLease[] = [];
  #heldBytes = 0;
  readonly #feedback = new FeedbackDoubts();

  constructor(options: RoundTrustOptions) {
    this.#options = options;
    const { clip } = options;
    if (clip === "centered-clip" || clip === "trimmed-mean") this.#robust = new RobustRounds(clip);
  }

  /** A round opens; what is usual in it is fixed now. */
  open(round: RoundReader): void {
    const { clip, clipFactor } = this.#options;
    this.#round = round;
    const usual = usualNorms(this.#histories.get(round.kind) ?? []);
    this.#rule = clipRule({ mode: clip, codec: round.codec, factor: clipFactor, accounts: round.accounts(), usual });
    this.#observed = [];
    this.#unusual.clear();
    this.#robust?.open(round);
    this.#forget();
  }

  /** A lease was granted: perhaps another account is to compute it too. */
  granted(lease: Lease): readonly CopyWanted[] {
    const { audits, draw, standings } = this.#options;
    const round = this.#round;
    this.#feedback.granted(lease);
    if (lease.purpose !== "work" || audits === "off" || !round || round.accounts() < LEAST_ACCOUNTS) return [];
    if (this.#heldBytes >= HELD_BYTES) return [];
    const { account, from, to } = lease;
    if (draw() >= auditProbability(standings.get(account) ?? newcomer)) return [];
    this.#audits.set(`${from}-${to}`, { from, to, answers: [], summed: null });
    return [{ purpose: "audit", from, to, not: [account] }];
  }

  /**
   * The factor of a contribution's gradients, at most 1.
   * @throws CONTRIBUTION_OUTLIER for one that is no gradient of this run
   */
  judge({ account }: Pick<Lease, "account">, samples: number, norms: GroupNorms): number {
    const verdict = clipVerdict(this.#rule, norms, samples);
    if (verdict.kind === "refuse" && !this.#jumps(account)) {
      const { group, norm, limit } = verdict;
      throw new BitswarmError(
        "CONTRIBUTION_OUTLIER",
        `contribution: the norm of its ${group} is ${norm.toPrecision(3)} a sample, the limit in this round is ${limit.toPrecision(3)}; its range goes to another worker`,
      );
    }
    this.#observed.push({ account, samples, norms });
    if (verdict.kind === "refuse") return 1;
    return Math.min(1, verdict.scale.gradient ?? 1, verdict.scale.discriminator ?? 1);
  }

  /** Whether so many accounts agree that the training itself made a jump. */
  #jumps(account: string): boolean {
    this.#unusual.add(account);
    return this.#unusual.size > UNUSUAL_ACCOUNTS && 2 * this.#unusual.size > (this.#round?.accounts() ?? 0);
  }

  /** Whether a contribution that counts is to be held back: its range is audited, or its account is. */
  holds({ account, from, to }: Lease): boolean {
    if (this.#audits.has(`${from}-${to}`)) return true;
    const audited = [...this.#audits.values()].some(({ summed }) => summed === account);
    return audited && this.#heldBytes < HELD_BYTES;
  }

  /** Takes a checked contribution that is held, or the answer to a copy; says what follows. */
  take(lease: Lease, work: HeldWork): TrustOutcome {
    const { account, from, to, worker } = lease;
    const counts = lease.purpose === "work" || lease.purpose === "backup";
    const audit = this.#audits.get(`${from}-${to}`);
    if (audit) {
      const compared = { lease: lease.lease, work, deviceClass: this.#options.deviceClass(worker) };
      audit.answers = [...audit.answers, { account, work: compared }];
      if (counts) audit.summed = account;
    }
    if (counts) {
      this.#held.push({ account, from, to, work });
      this.#heldBytes += bytesOf(work);
    }
    // What its signs left out or said twice is nobody's debt: the sum has another's answer.
    if (!counts && this.#round?.codec === "sign") this.#feedback.void(account);
    if (!audit) return nothingFollows;
    const outcome = this.#settle(audit, counts);
    // It was never collected, so its range is not collected again but refused.
    const withdrawn = counts
      ? outcome.withdrawn.filter((range) => range.from !== from || range.to !== to)
      : outcome.withdrawn;
    return { ...outcome, withdrawn, disputed: withdrawn.length < outcome.withdrawn.length };
  }

  #settle(audit: OpenAudit, newest: boolean): TrustOutcome {
    const { from, to, answers, summed } = audit;
    const verdict = auditVerdict<ComparedAnswer>({ answers }, summed, (a, b) => this.#same(a, b));
    if (verdict.kind === "open") {
      // The first copy was asked for as the lease was granted.
      const due = answers.length > 1 ? [{ purpose: "audit", from, to, not: verdict.not } as const] : [];
      return { ...nothingFollows, copies: due };
    }
    // The answer that is to be summed is due even where two others have agreed before it.
    if (summed === null && !newest) return nothingFollows;
    this.#audits.delete(`${from}-${to}`);
    const { right, wrong, redo } = verdict;
    const { clock, standings, onRest, onVerdict } = this.#options;
    const now = clock.now();
    for (const account of right) {
      standings.set(account, confirmed(standings.get(account) ?? newcomer));
      this.#feedback.confirmed(account, leaseIn(answers, account));
    }
    const resting: string[] = [];
    const blamed: string[] = [];
    for (const account of wrong) {
      const unlike = this.#differs(answers, account, right[0]).kind === "unlike-signs";
      if (unlike && this.#feedback.excuses(account, leaseIn(answers, account))) {
        standings.set(account, doubted(standings.get(account) ?? newcomer));
        continue;
      }
      blamed.push(account);
      const before = standings.get(account) ?? newcomer;
      const fallen = contradicted(now, before);
      standings.set(account, fallen);
      if (fallen.strikes === before.strikes) continue;
      onRest(account, restMs(now, fallen));
      resting.push(account);
    }
    onVerdict({ from, to, right, wrong: blamed });
    const lost = this.#held.filter(
      (held) => blamed.includes(held.account) || (redo && held.from === from && held.to === to),
    );
    for (const { work } of lost) this.#heldBytes -= bytesOf(work);
    this.#held = this.#held.filter((held) => !lost.includes(held));
    return {
      ...nothingFollows,
      resting,
      withdrawn: lost.map(({ account, from: start, to: end }) => ({ account, from: start, to: end })),
    };
  }

  /** Beside the run's era, in leases of the account: with another number what its workers keep of error feedback is void. */
  voidsOf(account: string): number {
    return this.#feedback.voidsOf(account);
  }

  #same(a: ComparedAnswer, b: ComparedAnswer): boolean {
    return this.#compared(a, b).kind === "same";
  }

  #differs(answers: OpenAudit["answers"], one: string, other: string): Comparison {
    const of = (account: string) => answers.find((answer) => answer.account === account)?.work;
    const [a, b] = [of(one), of(other)];
    if (!a || !b) throw new RangeError(`an audit of ${one} and ${other} without an answer of both`);
    return this.#compared(a, b);
  }

  #compared(a: ComparedAnswer, b: ComparedAnswer): Comparison {
    const round = this.#round;
    if (!round) throw new RangeError("an audit is open outside of a round");
    const units = ({ work, deviceClass }: ComparedAnswer) => ({ units: round.unitsOf(work), deviceClass });
    return compareWork(units(a), units(b), round.spans);
  }

  /** A contribution was added to the round's sum. */
  added({ account, from }: Pick<Lease, "account" | "from">, work: HeldWork): void {
    const round = this.#round;
    if (!round) throw new RangeError("a contribution was added outside of a round");
    const { samples, peaks } = work;
    this.#robust?.add(() => ({ account, from, samples, peaks, units: round.unitsOf(work) }));
  }

  /** After seal(): what is to stand in place of the sum's means, where the run combines contributions robustly. */
  combined(): Generator<void, RobustResult | undefined> | undefined {
    return this.#robust?.combine();
  }

  /** The round is sealed: what is held and nobody contradicted belongs to the sum. */
  seal(): readonly HeldWork[] {
    const { kind } = this.#round ?? {};
    if (kind) this.#histories.set(kind, withRound(this.#histories.get(kind) ?? [], this.#observed));
    const held = this.#held.map(({ work }) => work);
    for (const one of this.#held) this.added(one, one.work);
    this.#forget();
    return held;
  }

  #forget(): void {
    this.#audits.clear();
    this.#held = [];
    this.#heldBytes = 0;
  }
}
