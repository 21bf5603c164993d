// What is due of each film: who is to follow it next, when its answer counts, and when it is given up. Decisions alone;
// film-job.ts acts on them.

import type { Box } from "../../shared/tracking/box.ts";
import { overlapOf } from "../../shared/tracking/overlap.ts";
import type { TrackedFrame } from "../../shared/wire/tracking.ts";

/** Who computes: one account may have several workers. */
export interface Follower {
  readonly worker: string;
  readonly account: string;
  /** Of whoever started the job: its answer needs no second. */
  readonly own: boolean;
}

/** A film that is lent. */
export interface Holder extends Follower {
  readonly lease: number;
  /** When its worker said the last boxes, or was lent it. */
  readonly heardMs: number;
}

export interface Answer extends Follower {
  readonly frames: readonly TrackedFrame[];
}

export interface FilmState {
  readonly frames: number;
  /** Two accounts must agree on it. */
  readonly audited: boolean;
  readonly holders: readonly Holder[];
  readonly answers: readonly Answer[];
  /** Why it came to nothing, each time. */
  readonly failures: readonly string[];
}

export const freshFilm = (frames: number, audited: boolean): FilmState => ({
  frames,
  audited,
  holders: [],
  answers: [],
  failures: [],
});

/** Overlap from which on two boxes are taken for the same: an argmax may flip between two GPUs (TRACKING §8). */
export const SAME_OVERLAP = 0.99;
/** A film that comes to nothing so often is given up: it is the film's fault. */
export const MOST_FAILURES = 2;
/** A worker that says no box for so long loses its film. */
export const SILENT_MS = 120_000;

const isSame = (a: Box, b: Box) =>
  (a.x === b.x && a.y === b.y && a.w === b.w && a.h === b.h) || overlapOf(a, b) >= SAME_OVERLAP;

/** Whether two answers are of the same track, frame by frame. */
export function agree(a: Pick<Answer, "frames">, b: Pick<Answer, "frames">): boolean {
  return a.frames.length === b.frames.length && a.frames.every(({ box }, i) => isSame(box, b.frames[i].box));
}

export type Verdict =
  /** @param wrong accounts whose answers differ from what was found right */
  | { readonly kind: "settled"; readonly answer: Answer; readonly wrong: readonly string[]; readonly checked: boolean }
  | { readonly kind: "failed"; readonly reason: string }
  /** @param wanted so many answers more */
  | { readonly kind: "open"; readonly wanted: number };

/** @param others accounts that could still be asked; without any an answer counts unchecked */
export function verdictOf({ audited, answers, failures, holders }: FilmState, others = true): Verdict {
  if (failures.length >= MOST_FAILURES && holders.length === 0) {
    return { kind: "failed", reason: failures[failures.length - 1] };
  }
  const settled = (answer: Answer, checked: boolean): Verdict => ({
    kind: "settled",
    answer,
    checked,
    wrong: checked ? answers.filter((other) => !agree(other, answer)).map(({ account }) => account) : [],
  });
  const own = answers.find((answer) => answer.own);
  if (own) return settled(own, true);
  if (answers.length === 0) return { kind: "open", wanted: audited ? 2 : 1 };
  if (!audited) return settled(answers[0], false);
  for (const [i, one] of answers.entries()) {
    if (answers.slice(i + 1).some((other) => agree(one, other))) return settled(one, true);
  }
  // Nobody is left who could be asked: the first stands, as one that was not audited does.
  if (!others && holders.length === 0) return settled(answers[0], false);
  return { kind: "open", wanted: 1 };
}

/** Whether a film may be lent to somebody: nobody follows it twice. */
function mayFollow(film: FilmState, who: Follower): boolean {
  const verdict = verdictOf(film);
  if (verdict.kind !== "open") return false;
  // An own worker's answer settles it alone.
  const lent = film.holders.some(({ own }) => own) ? verdict.wanted : film.holders.length;
  if (lent >= verdict.wanted || film.failures.length >= MOST_FAILURES) return false;
  return [...film.holders, ...film.answers].every(({ account, own }) => who.own !== own || account !== who.account);
}

/**
 * Which film somebody is lent next: of those that nobody has begun the longest, so that none is waited for at the end;
 * then those that want a second answer.
 */
export function nextFilm(films: readonly FilmState[], who: Follower): number | undefined {
  let best: number | undefined;
  const begun = ({ holders, answers }: FilmState) => holders.length + answers.length;
  for (const [i, film] of films.entries()) {
    if (!mayFollow(film, who)) continue;
    const before = best === undefined ? undefined : films[best];
    const better =
      before === undefined ||
      begun(film) < begun(before) ||
      (begun(film) === begun(before) && film.frames > before.frames);
    if (better) best = i;
  }
  return best;
}

/** Holders that have been silent for too long. */
export function silentHolders({ holders }: FilmState, nowMs: number): readonly Holder[] {
  return holders.filter(({ heardMs }) => nowMs - heardMs >= SILENT_MS);
}
