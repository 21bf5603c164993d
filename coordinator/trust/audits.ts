// The audits of a round: which leases are computed by a second account too, what is held back meanwhile, and what the answers say
// of those who gave them. Contributions of an account under audit are held until the verdict or the seal; nothing ever has to
// be taken out of a sum.

import type { LeaseId, WorkerId } from "../../shared/ids.ts";
import type { Clock } from "../clock.ts";
import type { Contribution } from "../round/contribution-check.ts";
import type { CopyWanted, Lease } from "../round/round-state.ts";
import { type Answer, auditVerdict } from "./audit.ts";
import { LEAST_ACCOUNTS } from "./clip-rule.ts";
import { type Comparison, compareWork } from "./comparison.ts";
import { FeedbackDoubts } from "./feedback-doubts.ts";
import type { AuditedWork, HeldWork, RoundReader } from "./round-reader.ts";
import { auditProbability, confirmed, contradicted, doubted, newcomer, restMs, type Standing } from "./standing.ts";

/** Bytes of contributions that may be held back at a time; beyond them nothing more is audited. */
export const HELD_BYTES = 256 << 20;

export interface AuditsOptions {
  readonly audits: "auto" | "off";
  readonly clock: Pick<Clock, "now">;
  /** In [0, 1): for each lease whether it is audited, and who audits it. */
  readonly draw: () => number;
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

/** An audit that is over. */
export interface TrustVerdict {
  readonly from: number;
  readonly to: number;
  readonly right: readonly string[];
  readonly wrong: readonly string[];
}

interface ComparedAnswer extends AuditedWork {
  readonly lease: LeaseId;
}

interface OpenAudit {
  readonly from: number;
  readonly to: number;
  /** One of an account. */
  answers: readonly Answer<ComparedAnswer>[];
  /** Whose answer is held for the sum. */
  summed: string | null;
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

const accountsOf = ({ answers }: OpenAudit) => answers.map(({ account }) => account);

function answerOf(answers: OpenAudit["answers"], account: string): ComparedAnswer {
  const answer = answers.find((one) => one.account === account);
  if (!answer) throw new RangeError(`an audit was decided on ${account}, which did not answer`);
  return answer.work;
}

const bytesOf = ({ peaks, body }: Contribution) => peaks.byteLength + body.byteLength;

export class Audits {
  readonly #options: AuditsOptions;
  readonly #open = new Map<string, OpenAudit>();
  readonly #feedback = new FeedbackDoubts();
  #round: RoundReader | undefined;
  #rounds = 0;
  #held: HeldLease[] = [];
  #heldBytes = 0;

  constructor(options: AuditsOptions) {
    this.#options = options;
  }

  open(round: RoundReader): void {
    this.#round = round;
    this.#rounds++;
    this.#forget();
  }

  /** A lease was granted: perhaps another account is to compute it too. */
  granted({ lease, account, from, to, purpose }: Lease): readonly CopyWanted[] {
    const { audits, draw, standings } = this.#options;
    const round = this.#round;
    this.#feedback.granted({ lease });
    if (purpose !== "work" || audits === "off" || !round) return [];
    // While workers gather in the first round, the first that came are compared with those who come next.
    if (this.#rounds > 1 && round.accounts() < LEAST_ACCOUNTS) return [];
    if (this.#heldBytes >= HELD_BYTES) return [];
    if (draw() >= auditProbability(standings.get(account) ?? newcomer)) return [];
    this.#open.set(`${from}-${to}`, { from, to, answers: [], summed: null });
    return [this.#copy({ from, to }, [account])];
  }

  #copy({ from, to }: Pick<OpenAudit, "from" | "to">, not: readonly string[]): CopyWanted {
    return { purpose: "audit", from, to, not, draw: Math.floor(this.#options.draw() * 2 ** 32) };
  }

  /** Whether a contribution that counts is to be held back: its range is audited, or its account is. */
  holds({ account, from, to }: Lease): boolean {
    if (this.#open.has(`${from}-${to}`)) return true;
    const audited = [...this.#open.values()].some(({ summed }) => summed === account);
    return audited && this.#heldBytes < HELD_BYTES;
  }

  /** Answers that one to this lease will be compared with. */
  answersTo({ account, from, to }: Lease): readonly AuditedWork[] {
    const { answers = [] } = this.#open.get(`${from}-${to}`) ?? {};
    return answers.some((answer) => answer.account === account) ? [] : answers.map(({ work }) => work);
  }

  /** Takes a checked contribution that is held, or the answer to a copy; says what follows. */
  take({ lease, account, worker, from, to, purpose }: Lease, work: HeldWork): TrustOutcome {
    const counts = purpose === "work" || purpose === "backup";
    const audit = this.#open.get(`${from}-${to}`);
    if (counts) {
      this.#held.push({ account, from, to, work });
      this.#heldBytes += bytesOf(work);
    }
    // What its signs left out or said twice is nobody's debt: the sum has another's answer.
    if (!counts && this.#round?.codec === "sign") this.#feedback.void(account);
    if (!audit) return nothingFollows;
    if (counts) {
      audit.summed = account;
      this.#options.onAudited(worker);
    }
    // Who is lent the range that it compared confirms nobody, least of all itself.
    if (audit.answers.some((answer) => answer.account === account)) {
      return { ...nothingFollows, copies: [this.#copy(audit, accountsOf(audit))] };
    }
    const compared = { lease, work, deviceClass: this.#options.deviceClass(worker) };
    audit.answers = [...audit.answers, { account, work: compared }];
    const outcome = this.#settle(audit, counts);
    // It was never collected, so its range is not collected again but refused.
    const withdrawn = counts
      ? outcome.withdrawn.filter((range) => range.from !== from || range.to !== to)
      : outcome.withdrawn;
    return { ...outcome, withdrawn, disputed: withdrawn.length < outcome.withdrawn.length };
  }

  /** @param counts whether the newest answer is the one to be summed */
  #settle(audit: OpenAudit, counts: boolean): TrustOutcome {
    const { from, to, answers, summed } = audit;
    const verdict = auditVerdict<ComparedAnswer>({ answers }, summed, (a, b) => this.#compared(a, b).kind === "same");
    if (verdict.kind === "open") {
      // The first copy was asked for as the lease was granted.
      return { ...nothingFollows, copies: answers.length > 1 ? [this.#copy(audit, verdict.not)] : [] };
    }
    // The answer that is to be summed is due even where two others have agreed before it.
    if (summed === null && !counts) return nothingFollows;
    this.#open.delete(`${from}-${to}`);
    const { right, wrong, redo } = verdict;
    const { standings, onVerdict } = this.#options;
    for (const account of right) {
      standings.set(account, confirmed(standings.get(account) ?? newcomer));
      this.#feedback.confirmed(account, answerOf(answers, account).lease);
    }
    const blamed = wrong.filter((account) => !this.#excused(answers, account, right[0]));
    const resting = blamed.filter((account) => this.#fall(account));
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

  /** Whether error feedback may be why an answer differs; it is audited until it shows otherwise. */
  #excused(answers: OpenAudit["answers"], account: string, right: string): boolean {
    const own = answerOf(answers, account);
    if (this.#compared(own, answerOf(answers, right)).kind !== "unlike-signs") return false;
    if (!this.#feedback.excuses(account, own.lease)) return false;
    const { standings } = this.#options;
    standings.set(account, doubted(standings.get(account) ?? newcomer));
    return true;
  }

  /** Others contradict an account; true where it rests from now on. */
  #fall(account: string): boolean {
    const { clock, standings, onRest } = this.#options;
    const now = clock.now();
    const before = standings.get(account) ?? newcomer;
    const fallen = contradicted(now, before);
    standings.set(account, fallen);
    if (fallen.strikes === before.strikes) return false;
    onRest(account, restMs(now, fallen));
    return true;
  }

  #compared(a: ComparedAnswer, b: ComparedAnswer): Comparison {
    const round = this.#round;
    if (!round) throw new RangeError("an audit is open outside of a round");
    const known = round.known?.(a.work, b.work);
    if (known) return known;
    const read = ({ work, deviceClass }: ComparedAnswer) => ({
      units: round.unitsOf(work),
      peaks: work.peaks,
      deviceClass,
    });
    return compareWork(read(a), read(b), round);
  }

  /** Beside the run's era, in leases of the account: with another number what its workers keep of error feedback is void. */
  voidsOf(account: string): number {
    return this.#feedback.voidsOf(account);
  }

  /** The round is sealed: what is held and nobody contradicted belongs to the sum. */
  seal(): readonly HeldLease[] {
    const held = this.#held;
    this.#forget();
    return held;
  }

  #forget(): void {
    this.#open.clear();
    this.#held = [];
    this.#heldBytes = 0;
  }
}
