// Which leases are checked: the first of every account, those that an audit compares, and of the others a share that
// nobody can foresee, all within a budget of the thread's time.

/** Of the time that passes checks may take so much. */
export const CHECKED_SHARE = 0.1;
/** Leases of an account that are checked before any is left to chance. */
export const FIRST_CHECKED = 3;
/** Of others one in so many is a candidate, where the budget has room. */
export const CHANCE = 0.5;
/** Time that can be saved up. */
export const MOST_SAVED_MS = 10_000;
/** Time that first leases and audited ones may owe: with a crowd of newcomers even they go by. */
export const MOST_OWED_MS = 60_000;
/** While what waits for the thread takes longer nothing is added to it: contributions wait for their checks. */
export const MOST_QUEUED_MS = 5_000;

/** Milliseconds that may be spent, below 0 where they are owed, as of a moment. */
export interface Budget {
  readonly ms: number;
  readonly at: number;
}

export interface Candidate {
  /** What it will take, as far as is known. */
  readonly costMs: number;
  /** What the thread has to do before. */
  readonly queuedMs: number;
  /** Checks of this account's leases so far. */
  readonly before: number;
  /** The lease's range is computed by another account too. */
  readonly audited: boolean;
  /** In [0, 1), no part of the run's own draws. */
  readonly draw: number;
}

export interface Choice {
  readonly checked: boolean;
  readonly budget: Budget;
}

/** Decides, and takes the cost of what is checked from the budget. */
export function chooseCheck(now: number, { ms, at }: Budget, candidate: Candidate): Choice {
  const { costMs, queuedMs, before, audited, draw } = candidate;
  const saved = Math.min(MOST_SAVED_MS, ms + CHECKED_SHARE * Math.max(0, now - at));
  const first = before < FIRST_CHECKED || audited;
  // A lease that takes more than can ever be saved owes the rest.
  const affordable = first
    ? saved - costMs >= -MOST_OWED_MS
    : draw < CHANCE && saved >= Math.min(costMs, MOST_SAVED_MS);
  const checked = affordable && queuedMs <= MOST_QUEUED_MS;
  return { checked, budget: { ms: checked ? saved - costMs : saved, at: now } };
}
