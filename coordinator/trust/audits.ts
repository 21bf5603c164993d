// The audits of a round: which leases are computed by a second account too, what is held back meanwhile, and what the
// answers say of those who gave them. Contributions of an account under audit are held until the verdict or the seal;
// nothing ever has to be taken out of a sum.

import type { Clock } from "../../shared/base/clock.ts";
import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import { codecs } from "../../shared/codecs/codecs.ts";
import { type CopyWanted, counts, type Lease } from "../round/lease.ts";
import type { Comparison } from "../sum/comparison.ts";
import type { HeldWork } from "../sum/contribution.ts";
import type { AuditedWork, OpenRound } from "../sum/open-round.ts";
import { type Answer, auditVerdict, THREE_DECIDE_FROM } from "./audit.ts";
import { LEAST_ACCOUNTS } from "./clip-rule.ts";
import { FeedbackReset } from "./feedback-reset.ts";
import {
  AccountStandings,
  auditProbability,
  confirmed,
  contradicted,
  doubted,
  restMs,
  type Standing,
} from "./standing.ts";

/** Of a gateway's audits one in so many is decided by accounts of another gateway: a liar can choose its gateway. */
export const AWAY_ONE_IN = 8;
/** At a gateway with fewer accounts all are: they may all be one's. */
export const FEW_ACCOUNTS = 10;
/** Audits of a range in a round that may decide nothing: where no two accounts agree the round would never be done. */
export const UNDECIDED_AUDITS = 2;

export interface AuditsOptions {
  readonly audits: "auto" | "off";
  /**
   * Bytes of contributions that may be kept at a time for audits; where there is room for no more, nothing more is
   * audited; one a round always is.
   */
  readonly heldBytes: number;
  readonly clock: Pick<Clock, "now">;
  /** In [0, 1): for each lease whether it is audited, and who audits it. */
  readonly draw: () => number;
  /** There are other gateways, perhaps, whose accounts may decide. */
  readonly away?: boolean;
  /** Kind of device of a worker: adapter and runtime. */
  readonly deviceClass: (worker: WorkerId) => string;
  readonly standings: Map<string, Standing>;
  /** An account whose work others contradicted rests from now on. */
  readonly onRest: (account: string, ms: number) => void;
  /** A worker answered a lease that is audited, which it could not know before. */
  readonly onAudited: (worker: WorkerId) => void;
  /** Standings changed. */
  readonly onVerdict: (verdict: TrustVerdict) => void;
}

/** An audit that is over; `from` and `to` are slots, as a lease has them. */
export interface TrustVerdict {
  readonly from: number;
  readonly to: number;
  readonly right: readonly string[];
  readonly wrong: readonly string[];
  /** Others' accounts whose signs differ, for which nobody is blamed at once; absent where there are none. */
  readonly doubted?: readonly string[];
}

/** An answer of an account at another gateway, to an audit of this one. */
export interface FarAnswer {
  readonly account: string;
  readonly own: boolean;
  readonly deviceClass: string;
  /** Accounts of the whole run. */
  readonly accounts: number;
}

interface ComparedAnswer extends Answer, AuditedWork {
  readonly lease: LeaseId;
  /** At another gateway, which judges its account; `own`: the operator's. */
  readonly far?: { readonly own: boolean };
}

interface OpenAudit {
  /** The lease that it was drawn for. */
  readonly of: LeaseId;
  readonly account: string;
  readonly from: number;
  readonly to: number;
  /** One of an account. */
  answers: readonly ComparedAnswer[];
  /** Whose answer is held for the sum. */
  summed: string | null;
  /** The most that took part at a time: who rests or left may have answered. */
  accounts: number;
  /** Whose contributions are held until the verdict. */
  suspects: readonly string[];
  /** Other gateways' accounts decide it. */
  away: boolean;
  /** There are too few accounts here to decide it. */
  readonly alone: boolean;
}

export interface HeldLease {
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

const accountsOf = ({ answers }: Pick<OpenAudit, "answers">) => answers.map(({ account }) => account);

function answerOf(answers: OpenAudit["answers"], account: string): ComparedAnswer {
  const answer = answers.find((one) => one.account === account);
  if (!answer) throw new RangeError(`an audit was decided on ${account}, which did not answer`);
  return answer;
}

const rangeOf = ({ from, to }: Range) => `${from}-${to}`;

export class Audits {
  readonly #options: AuditsOptions;
  readonly #open = new Map<LeaseId, OpenAudit>();
  /** Audits whose summed answer is still to come, by range. */
  readonly #due = new Map<string, OpenAudit>();
  /** How many open audits hold an account's contributions. */
  readonly #suspected = new Map<string, number>();
  readonly #standings: AccountStandings;
  readonly #feedback = new FeedbackReset();
  /** Ranges of the round's audits that decided nothing; what is leased again may be cut otherwise. */
  #undecided: Range[] = [];
  #round: OpenRound | undefined;
  #rounds = 0;
  #held: HeldLease[] = [];

  constructor(options: AuditsOptions) {
    this.#options = options;
    this.#standings = new AccountStandings(options.standings);
  }

  open(round: OpenRound): void {
    this.#round = round;
    this.#rounds++;
    this.#forget();
  }

  /** A lease was granted: perhaps another account is to compute it too. */
  granted({ lease, account, from, to, purpose }: Lease): readonly CopyWanted[] {
    const { audits, draw } = this.#options;
    const round = this.#round;
    this.#feedback.granted({ lease });
    if (purpose !== "work" || audits === "off" || !round) return [];
    // While workers gather in the first round, the first that came are compared with those who come next.
    const comparable = round.accounts() >= LEAST_ACCOUNTS || (!round.own(account) && round.ownTakesPart());
    const alone = this.#rounds > 1 && !comparable;
    if (alone && !this.#options.away) return [];
    if (!this.#roomFor(2)) return [];
    // A range that came back and is leased again is audited already.
    if (this.#due.has(rangeOf({ from, to }))) return [];
    const again = this.#undecided.filter((range) => range.from < to && from < range.to);
    if (again.length >= UNDECIDED_AUDITS) return [];
    if (draw() >= auditProbability(this.#standings.of(account))) return [];
    const few = round.accounts() < FEW_ACCOUNTS;
    const away = this.#options.away === true && (few || draw() < 1 / AWAY_ONE_IN);
    const begun = { answers: [], summed: null, accounts: 0, suspects: [] };
    const audit: OpenAudit = { of: lease, account, from, to, ...begun, away, alone };
    this.#open.set(lease, audit);
    this.#due.set(rangeOf(audit), audit);
    return [this.#copy(audit, [account])];
  }

  #copy({ of, account, from, to, away }: OpenAudit, answered: readonly string[]): CopyWanted {
    const draw = Math.floor(this.#options.draw() * 2 ** 32);
    const copy: CopyWanted = { purpose: "audit", of, from, to, answered, distrusted: this.#standings.distrusted, draw };
    const round = this.#round;
    if (away) {
      const awaited = answered.length > 1 || auditProbability(this.#standings.of(account)) === 1;
      return { ...copy, away, awaited };
    }
    // Few strangers may all be one; of many the operator's own could not audit each.
    const own = !!round && !round.own(account) && round.ownTakesPart() && round.accounts() < THREE_DECIDE_FROM;
    return own ? { ...copy, own, awaited: auditProbability(this.#standings.of(account)) === 1 } : copy;
  }

  /** Nobody else can decide an audit: who may compute its copy here instead; nothing where that says nothing. */
  home(copy: CopyWanted): CopyWanted | undefined {
    const audit = this.#open.get(copy.of);
    if (!audit) return undefined;
    audit.away = false;
    if (!audit.alone) return this.#copy(audit, copy.answered);
    this.lost(copy.of);
    return undefined;
  }

  /** An answer that was to come from elsewhere does not: the audit is as if it had never been. */
  lost(of: LeaseId): void {
    const audit = this.#open.get(of);
    if (!audit) return;
    this.#open.delete(of);
    if (this.#due.get(rangeOf(audit)) === audit) this.#due.delete(rangeOf(audit));
    this.#suspect(audit, []);
  }

  /** The audit to which a lease is an answer. */
  #auditOf(lease: Lease): OpenAudit | undefined {
    if (lease.purpose === "spare") return undefined;
    return "copy" in lease ? this.#open.get(lease.copy.of) : this.#due.get(rangeOf(lease));
  }

  /** Whether a contribution that counts is to be held back: its range is audited, or its account is. */
  holds(lease: Lease): boolean {
    if (this.#due.has(rangeOf(lease))) return true;
    return this.#suspected.has(lease.account) && this.#roomFor(1);
  }

  /** Whether one contribution more may be kept. */
  get hasRoom(): boolean {
    return this.#roomFor(1);
  }

  /** Lets go of what is held of these ranges, for them to be collected again; what is not held any more stays. */
  withdraw(ranges: readonly (Range & { readonly account: string })[]): TrustOutcome["withdrawn"] {
    if (ranges.length === 0) return [];
    const lost = this.#held.filter(({ account, from, to }) => {
      return ranges.some((range) => range.account === account && range.from === from && range.to === to);
    });
    return this.#withdraw(lost);
  }

  /** Whether so many contributions more may be kept, beside what is held and two answers for each open audit. */
  #roomFor(more: number): boolean {
    const kept = this.#held.length + 2 * this.#open.size;
    return kept === 0 || (kept + more) * (this.#round?.contributionBytes ?? 0) <= this.#options.heldBytes;
  }

  /** Answers that one to this lease will be compared with. */
  answersTo(lease: Lease): readonly AuditedWork[] {
    const { answers = [] } = this.#auditOf(lease) ?? {};
    return answers.some(({ account }) => account === lease.account) ? [] : answers;
  }

  /** As `answersTo`, of what another gateway's account answers. */
  answersFar(of: LeaseId, account: string): readonly AuditedWork[] {
    const { answers = [] } = this.#open.get(of) ?? {};
    return answers.some((one) => one.account === account) ? [] : answers;
  }

  /** Takes what another gateway's account has answered; says what follows. */
  takeFar(of: LeaseId, { account, own, deviceClass, accounts }: FarAnswer, work: HeldWork): TrustOutcome {
    const audit = this.#open.get(of);
    if (!audit) return nothingFollows;
    // Who answered here already confirms nobody there.
    if (audit.answers.some((answer) => answer.account === account)) {
      return { ...nothingFollows, copies: [this.#copy(audit, accountsOf(audit))] };
    }
    audit.accounts = Math.max(audit.accounts, accounts);
    return this.#answered(audit, { account, lease: of, work, deviceClass, far: { own } });
  }

  /** Takes a checked contribution that is held, or the answer to a copy; says what follows. */
  take(lease: Lease, work: HeldWork): TrustOutcome {
    const { account, worker, from, to } = lease;
    const audit = this.#auditOf(lease);
    if (counts(lease)) this.#held.push({ account, from, to, work });
    // What its signs left out or said twice is nobody's debt: the sum has another's answer.
    else if (this.#round && codecs.get(this.#round.codec).coding?.errorFeedback) this.#feedback.reset(account);
    if (!audit) return nothingFollows;
    if (counts(lease)) {
      this.#due.delete(rangeOf(lease));
      audit.summed = account;
      this.#suspect(audit, [account]);
      this.#options.onAudited(worker);
    }
    // Who is lent the range that it compared confirms nobody, least of all itself.
    if (audit.answers.some((answer) => answer.account === account)) {
      return { ...nothingFollows, copies: [this.#copy(audit, accountsOf(audit))] };
    }
    const deviceClass = this.#options.deviceClass(worker);
    const outcome = this.#answered(audit, { account, lease: lease.lease, work, deviceClass });
    if (!counts(lease)) return outcome;
    // It was never collected, so its range is not collected again but refused.
    const withdrawn = outcome.withdrawn.filter((range) => range.from !== from || range.to !== to);
    return { ...outcome, withdrawn, disputed: withdrawn.length < outcome.withdrawn.length };
  }

  #answered(audit: OpenAudit, answer: Omit<ComparedAnswer, "same">): TrustOutcome {
    const same = audit.answers.filter((other) => this.#compared(other, answer).kind === "same");
    audit.answers = [...audit.answers, { ...answer, same: accountsOf({ answers: same }) }];
    return this.#settle(audit);
  }

  #settle(audit: OpenAudit): TrustOutcome {
    audit.accounts = Math.max(audit.accounts, this.#round?.accounts() ?? 0);
    const { of, answers, summed, accounts } = audit;
    const farOf = (account: string) => answers.find((answer) => answer.account === account)?.far;
    const verdict = auditVerdict(answers, summed, accounts, (account) => {
      return farOf(account)?.own ?? this.#round?.own(account) ?? false;
    });
    // The first copy was asked for as the lease was granted.
    if (verdict.kind === "open" && answers.length < 2) return nothingFollows;
    // The answer that is to be summed is due even where others have agreed before it.
    if (verdict.kind === "decided" && this.#due.get(rangeOf(audit)) === audit) return nothingFollows;
    const doubtful = verdict.redo
      ? this.#held.filter((held) => held.account === summed && rangeOf(held) === rangeOf(audit))
      : [];
    if (verdict.kind === "open") {
      // Its author is suspected on, and who computes the range again is another matter.
      if (verdict.redo) audit.summed = null;
      return { ...nothingFollows, copies: [this.#copy(audit, accountsOf(audit))], withdrawn: this.#withdraw(doubtful) };
    }
    this.#open.delete(of);
    this.#suspect(audit, []);
    const { right, wrong } = verdict;
    if (right.length === 0) this.#undecided.push({ from: audit.from, to: audit.to });
    for (const account of right) {
      // Whoever writes the standings is told of it.
      if (farOf(account)) continue;
      this.#standings.change(account, confirmed);
      this.#feedback.confirmed(account, answerOf(answers, account).lease);
    }
    const blamed = wrong.filter((account) => !this.#excused(answers, account, right[0]));
    const resting = blamed.filter((account) => !farOf(account) && this.#fall(account));
    const doubted = wrong.filter((account) => farOf(account) && !blamed.includes(account));
    const { from, to } = audit;
    this.#options.onVerdict({ from, to, right, wrong: blamed, ...(doubted.length > 0 ? { doubted } : {}) });
    // Most verdicts blame nobody, and ten thousand contributions are held.
    const gone = blamed.length > 0 || doubtful.length > 0;
    const lost = gone ? this.#held.filter((held) => blamed.includes(held.account) || doubtful.includes(held)) : [];
    return { ...nothingFollows, resting, withdrawn: this.#withdraw(lost) };
  }

  /** Holds the contributions of these accounts, in place of those it held, until the verdict. */
  #suspect(audit: OpenAudit, accounts: readonly string[]): void {
    const change = (account: string, by: number) => {
      const count = (this.#suspected.get(account) ?? 0) + by;
      if (count > 0) this.#suspected.set(account, count);
      else this.#suspected.delete(account);
    };
    for (const account of audit.suspects) change(account, -1);
    for (const account of accounts) change(account, 1);
    audit.suspects = accounts;
  }

  /** Lets go of what was held, for its range to be collected again. */
  #withdraw(lost: readonly HeldLease[]): TrustOutcome["withdrawn"] {
    if (lost.length === 0) return [];
    this.#held = this.#held.filter((held) => !lost.includes(held));
    return lost.map(({ account, from, to }) => ({ account, from, to }));
  }

  /** Whether error feedback may be why an answer differs; it is audited until it shows otherwise. */
  #excused(answers: OpenAudit["answers"], account: string, right: string): boolean {
    const own = answerOf(answers, account);
    if (this.#compared(own, answerOf(answers, right)).kind !== "unlike-signs") return false;
    // What was void of its feedback is known where it is.
    if (own.far) return true;
    if (!this.#feedback.excuses(account, own.lease)) return false;
    this.#standings.change(account, doubted);
    return true;
  }

  /** What an account sent may have lost the run's numbers: as if others had contradicted it. */
  suspect(account: string): void {
    this.#fall(account);
  }

  /** Accounts that audit only where nobody else can. */
  get distrusted(): ReadonlySet<string> {
    return this.#standings.distrusted;
  }

  /** What is known of an account by whoever keeps the standings of all gateways. */
  know(account: string, standing: Standing, feedbackResets: number): void {
    this.#standings.change(account, () => standing);
    this.#feedback.begin(account, feedbackResets);
  }

  /** Others contradict an account; true where it rests from now on. */
  #fall(account: string): boolean {
    const now = this.#options.clock.now();
    const { strikes } = this.#standings.of(account);
    const fallen = this.#standings.change(account, (standing) => contradicted(now, standing));
    if (fallen.strikes === strikes) return false;
    this.#options.onRest(account, restMs(now, fallen));
    return true;
  }

  #compared(a: AuditedWork, b: AuditedWork): Comparison {
    const round = this.#round;
    if (!round) throw new RangeError("an audit is open outside of a round");
    return round.compared(a, b);
  }

  /**
   * Beside the run's era, in leases of the account: with another number what its workers keep of error feedback is
   * void.
   */
  feedbackResetsOf(account: string): number {
    return this.#feedback.resetsOf(account);
  }

  /** The round is sealed: what is held and nobody contradicted belongs to the sum. */
  seal(): readonly HeldLease[] {
    const held = this.#held;
    this.#forget();
    return held;
  }

  #forget(): void {
    this.#open.clear();
    this.#due.clear();
    this.#suspected.clear();
    this.#undecided = [];
    this.#held = [];
  }
}
