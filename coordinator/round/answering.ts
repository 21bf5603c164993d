// What an account has shown in this run of whether it answers what it is lent. Whoever may keep a range that others
// wait for has answered before: a key costs nothing, so those of whom nobody knows are lent what nobody waits for.

export interface Answering {
  /** Answers since it last failed to give one. */
  readonly answers: number;
  /** How often it kept others waiting for what it did not answer, less what was forgiven since. */
  readonly lapses: number;
  /** Leases in a row that it did not answer. */
  readonly missed: number;
  /** Milliseconds, as `now`: it is lent nothing on trial before. */
  readonly waitsUntil: number;
}

export const nothingShown: Answering = { answers: 0, lapses: 0, missed: 0, waitsUntil: Number.NEGATIVE_INFINITY };

/**
 * Answers in a row after which others wait for what an account holds: by then its speed is measured, so that it is
 * known for how long.
 */
export const PROVEN_AFTER = 3;
/** Each lapse doubles the answers that it takes, so many times at most. */
export const MOST_DOUBLINGS = 5;
/** So many answers in a row forgive a lapse. */
export const FORGIVEN_AFTER = 16;
/**
 * Leases in a row that may come to nothing before the next one has to wait, and its answers have to begin anew: a first
 * one compiles shaders.
 */
export const FREE_MISSES = 1;
/** The first wait; each is twice as long as the one before. */
export const FIRST_WAIT_MS = 1000;
export const LONGEST_WAIT_MS = 64_000;

/** As of an account that answered in an earlier life of the run, or that whoever started the run answers for. */
export const known: Answering = { ...nothingShown, answers: PROVEN_AFTER };

/**
 * Whether others may wait for what it holds.
 * @param neighbours lapses of all accounts of its address: fresh keys do not wash off what those before them did
 */
export function isProven({ answers, lapses }: Answering, neighbours = 0): boolean {
  const doublings = Math.min(MOST_DOUBLINGS, Math.max(lapses, neighbours - 1));
  return answers >= PROVEN_AFTER * 2 ** doublings;
}

/** After an answer, whatever it counted for. */
export function afterAnswer({ answers, lapses }: Answering): Answering {
  const forgiven = lapses > 0 && (answers + 1) % FORGIVEN_AFTER === 0;
  return { ...nothingShown, answers: answers + 1, lapses: forgiven ? lapses - 1 : lapses };
}

/** After a lease that nobody had to wait for came to nothing: it was given back, or its round went on without it. */
export function afterMiss(now: number, before: Answering): Answering {
  const missed = before.missed + 1;
  const over = missed - FREE_MISSES - 1;
  const waitMs = over < 0 ? 0 : Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** over);
  return { ...before, answers: over < 0 ? before.answers : 0, missed, waitsUntil: now + waitMs };
}

/** After a lease that others waited for expired, or was answered by somebody who began later. */
export function afterLapse(now: number, before: Answering): Answering {
  return { ...afterMiss(now, before), answers: 0, lapses: before.lapses + 1 };
}
