// What results on a data set are worth, by the protocol of its toolkit.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Box } from "../../shared/tracking/box.ts";
import {
  cutAtPicture,
  type Got10kScore,
  type Got10kSequence,
  got10kScore,
} from "../../shared/tracking/got10k-metrics.ts";
import {
  type MeanScore,
  meanScore,
  type Protocol,
  protocols,
  type SequenceScore,
  sequenceScore,
} from "../../shared/tracking/metrics.ts";
import { overlapOf } from "../../shared/tracking/overlap.ts";
import { framesPerSecond, type Results } from "./result-files.ts";

export const scoreProtocols = ["got10k", ...protocols] as const;
export type ScoreProtocol = (typeof scoreProtocols)[number];

/** A sequence whose truth is known, with results on it. */
export interface ScoredFilm {
  readonly name: string;
  readonly truth: readonly Box[];
  readonly results: Results;
  readonly cover?: readonly number[];
  readonly objectClass?: string;
  /** Of its pictures; what GOT-10k's scores need. */
  readonly resolution?: { readonly width: number; readonly height: number };
}

interface FilmNumbers {
  readonly name: string;
  readonly frames: number;
  readonly fps?: number;
  /** Of each frame, 0 to 1, by boxes as the protocol counts them; the first was given. */
  readonly overlaps: readonly number[];
}

export type FilmScore = FilmNumbers &
  (
    | { readonly kind: "got10k"; readonly ao: number; readonly sr50: number; readonly sr75: number }
    | { readonly kind: "pass"; readonly auc: number; readonly p20: number; readonly normalisedP20: number }
  );

export type TrackScore = { readonly films: readonly FilmScore[]; readonly fps?: number } & (
  | { readonly kind: "got10k"; readonly protocol: "got10k"; readonly score: Got10kScore }
  | { readonly kind: "pass"; readonly protocol: Protocol; readonly score: MeanScore }
);

const meanOf = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** The mean of those that have one. */
function meanSpeed(speeds: readonly (number | undefined)[]): number | undefined {
  const known = speeds.filter((speed) => speed !== undefined);
  return known.length === 0 ? undefined : meanOf(known);
}

/** @param counted what of a box the protocol looks at */
function numbersOf({ name, truth, results }: ScoredFilm, counted = (box: Box): Box => box): FilmNumbers {
  const fps = framesPerSecond(results.seconds);
  const [first] = results.repetitions;
  const overlaps = truth.map((box, i) => (i === 0 ? 1 : overlapOf(counted(box), counted(first[i]))));
  return { name, frames: truth.length, overlaps, ...(fps === undefined ? {} : { fps }) };
}

function ofGot10k(films: readonly ScoredFilm[]): TrackScore {
  const runs = films.map((film): readonly Got10kSequence[] => {
    const { name, truth, results, cover, objectClass, resolution } = film;
    if (!resolution) {
      throw new BitswarmError(
        "DATA_INVALID",
        `${name} does not say the size of its pictures, and GOT-10k's scores are of boxes cut there; choose another --protocol`,
      );
    }
    return results.repetitions.map((boxes) => ({
      truth,
      results: boxes,
      ...resolution,
      ...(cover === undefined ? {} : { cover }),
      ...(objectClass === undefined ? {} : { objectClass }),
    }));
  });
  const scored = films.map((film, i): FilmScore => {
    const { ao, sr50, sr75 } = got10kScore(runs[i]);
    const [{ width, height }] = runs[i];
    const cut = (box: Box) => cutAtPicture(box, width, height);
    return { ...numbersOf(film, cut), kind: "got10k", ao, sr50, sr75 };
  });
  const fps = meanSpeed(scored.map((film) => film.fps));
  const score = got10kScore(runs.flat());
  return { kind: "got10k", protocol: "got10k", score, films: scored, ...(fps === undefined ? {} : { fps }) };
}

function onePass(films: readonly ScoredFilm[], protocol: Protocol): TrackScore {
  const scores = films.map(({ truth, results }): SequenceScore => {
    // A stochastic tracker's repetitions are a pass each.
    const passes = results.repetitions.map((boxes) => sequenceScore(truth, boxes, protocol));
    return { ...meanScore(passes), frames: passes[0].frames };
  });
  const scored = films.map((film, i): FilmScore => {
    const { auc, p20, normalisedP20 } = scores[i];
    return { ...numbersOf(film), kind: "pass", auc, p20, normalisedP20 };
  });
  const fps = meanSpeed(scored.map((film) => film.fps));
  return { kind: "pass", protocol, score: meanScore(scores), films: scored, ...(fps === undefined ? {} : { fps }) };
}

/**
 * @param films at least one
 * @throws DATA_INVALID where the protocol needs what a sequence does not say
 */
export function scoreTracks(films: readonly ScoredFilm[], protocol: ScoreProtocol): TrackScore {
  return protocol === "got10k" ? ofGot10k(films) : onePass(films, protocol);
}
