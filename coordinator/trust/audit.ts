// One audit from its second answer to its verdict, as a pure function: two that agree are right; where they do not, a third
// decides, and where all three differ nobody is blamed and the work is done again.

/** One answer to the audited range. */
export interface Answer<Work> {
  readonly account: string;
  readonly work: Work;
}

export interface Audit<Work> {
  readonly from: number;
  readonly to: number;
  /** In the order in which they came; the first is the one in the sum, once it is there. */
  readonly answers: readonly Answer<Work>[];
}

export type AuditVerdict =
  /** Another answer is due, of an account that has given none. */
  | { readonly kind: "open"; readonly not: readonly string[] }
  /** `right` agree; `wrong` does not with either, and may be nobody. `redo`: what is in the sum is not to be believed. */
  | {
      readonly kind: "decided";
      readonly right: readonly string[];
      readonly wrong: readonly string[];
      readonly redo: boolean;
    };

/** Answers that decide. */
const MOST_ANSWERS = 3;

/**
 * What follows from the answers so far.
 * @param summed account whose answer is in the sum; null where none is
 */
export function auditVerdict<Work>(
  { answers }: Pick<Audit<Work>, "answers">,
  summed: string | null,
  same: (a: Work, b: Work) => boolean,
): AuditVerdict {
  const open = { kind: "open", not: answers.map(({ account }) => account) } as const;
  for (let i = 0; i < answers.length; i++) {
    for (let j = i + 1; j < answers.length; j++) {
      if (!same(answers[i].work, answers[j].work)) continue;
      const right = [answers[i].account, answers[j].account];
      const wrong = answers
        .filter((_, index) => index !== i && index !== j)
        .filter(({ work }) => !same(work, answers[i].work) && !same(work, answers[j].work))
        .map(({ account }) => account);
      return { kind: "decided", right, wrong, redo: summed !== null && wrong.includes(summed) };
    }
  }
  if (answers.length < MOST_ANSWERS) return open;
  return { kind: "decided", right: [], wrong: [], redo: summed !== null };
}
