// What `track` says of films and scores: lines for people, and objects for --json.

import { printable } from "../base/printable.ts";
import type { Followed } from "../tracking/job-folder.ts";
import { filmFacts } from "../tracking/report.ts";
import { framesPerSecond } from "../tracking/result-files.ts";
import { type ScoredFilm, type ScoreProtocol, scoreTracks, type TrackScore } from "../tracking/track-score.ts";
import type { ProgressStream } from "./paint.ts";

/** Where a command says what it does. */
export interface TrackTerminal {
  /** Takes a line for people. */
  readonly line: (text: string) => void;
  /** Takes a line of JSON. */
  readonly print: (value: object) => void;
  /** Takes what is not output. */
  readonly tell: (line: string) => void;
  /** On which the lines are read. */
  readonly screen: ProgressStream;
}

const scored = ({ film, results }: Followed): ScoredFilm | undefined =>
  film.truth && {
    name: film.name,
    truth: film.truth.boxes,
    results,
    ...(film.truth.cover && { cover: film.truth.cover }),
    ...(film.truth.objectClass === undefined ? {} : { objectClass: film.truth.objectClass }),
    ...(film.truth.resolution && { resolution: film.truth.resolution }),
  };

/** Everything is known: every sequence has results and a truth. */
export function scoreOf(followed: readonly Followed[], protocol: ScoreProtocol | undefined): TrackScore | undefined {
  const films = followed.map(scored).filter((film) => film !== undefined);
  if (protocol === undefined || films.length === 0 || films.length < followed.length) return undefined;
  return scoreTracks(films, protocol);
}

export const facts = (all: readonly { readonly name: string; readonly value: string }[]) =>
  all.map(({ name, value }) => `${name} ${value}`).join(", ");

export function scoreJson(track: TrackScore): object {
  if (track.kind === "got10k") {
    const { ao, sr50, sr75, mao, msr50, msr75 } = track.score;
    return { ao, sr50, sr75, mao, msr50, msr75 };
  }
  const { auc, p20, normalisedP20, sr50 } = track.score;
  return { auc, p20, normalisedP20, sr50 };
}

/** What one film got, as numbers; nothing where its truth is secret. */
export function filmJson(one: Followed, protocol: ScoreProtocol | undefined): object {
  const score = scoreOf([one], protocol);
  if (!score) return {};
  const { name: _name, frames: _frames, fps: _fps, overlaps: _overlaps, kind: _kind, ...numbers } = score.films[0];
  return { protocol: score.protocol, score: numbers };
}

/** One film's line for people. */
export function filmLine({ film, results }: Followed, protocol: ScoreProtocol | undefined, by: string): string {
  const score = scoreOf([{ film, results }], protocol);
  const fps = framesPerSecond(results.seconds);
  const told = score ? facts(filmFacts(score.films[0])) : fps === undefined ? "" : `frames a second ${fps.toFixed(1)}`;
  return `${printable(film.name)}: ${film.frames.length} frames${told === "" ? "" : `, ${told}`}${by}`;
}
