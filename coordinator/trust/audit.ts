// One audit from its first answer to its verdict, as a pure function. Answers that all agree are right; where they
// differ, the operator's own is believed; without one a side that is larger than two colluders could make it decides;
// where there is none, nobody is blamed and the work is done again.

/** One answer to the audited range. */
export interface Answer {
  readonly account: string;
  /** Accounts whose earlier answers are the same work. */
  readonly same: readonly string[];
}

export type AuditVerdict =
  /**
   * Another answer is due, of an account that has given none. `redo`: what is in the sum has more answers against it
   * than for it.
   */
  | { readonly kind: "open"; readonly redo: boolean }
  /**
   * `right` agree; `wrong` do not with any of them, and may be nobody. `redo`: what is in the sum is not to be
   * believed.
   */
  | {
      readonly kind: "decided";
      readonly right: readonly string[];
      readonly wrong: readonly string[];
      readonly redo: boolean;
    };

/** Accounts from which on three answers must agree where some differ: fewer could not give so many beside two liars. */
export const THREE_DECIDE_FROM = 5;

/**
 * What follows from the answers so far, one of an account.
 * @param summed account whose answer is in the sum; null where none is
 * @param accounts that take part, or did while it was open
 * @param own whether an account is the operator's own: its word decides, whoever else agrees on another
 */
export function auditVerdict(
  answers: readonly Answer[],
  summed: string | null,
  accounts: number,
  own: (account: string) => boolean = () => false,
): AuditVerdict {
  const agree = (a: Answer, b: Answer) => a === b || a.same.includes(b.account) || b.same.includes(a.account);
  const sideOf = (answer: Answer) => answers.filter((other) => agree(answer, other));
  const owns = answers.filter(({ account }) => own(account));
  if (answers.length > 1 && owns.length > 0 && owns.every((one) => agree(one, owns[0]))) {
    const believed = sideOf(owns[0]);
    const others = answers.filter((answer) => !believed.includes(answer)).map(accountOf);
    const redo = summed !== null && others.includes(summed);
    return { kind: "decided", right: believed.map(accountOf), wrong: others, redo };
  }
  const right = answers.map(sideOf).reduce((most, side) => (side.length > most.length ? side : most), []);
  const wrong = answers.filter((answer) => !right.some((one) => agree(answer, one)));
  const disputed = wrong.length > 0;
  const deciding = disputed && accounts >= THREE_DECIDE_FROM ? 3 : 2;
  const redo = wrong.some(({ account }) => account === summed);
  const more = right.length > wrong.length;
  if (more && right.length >= deciding) {
    return { kind: "decided", right: right.map(accountOf), wrong: wrong.map(accountOf), redo };
  }
  if (answers.length < 2 * deciding - 1) return { kind: "open", redo: redo && more };
  return { kind: "decided", right: [], wrong: [], redo: summed !== null };
}

const accountOf = ({ account }: Answer) => account;
