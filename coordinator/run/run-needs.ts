// What a run asks of its volunteers and of the coordinator's line, for a wish of days: arithmetic of its program, its
// data set and what travels, before anything is measured.

import { type Dataset, storedSamples } from "../../shared/data/dataset.ts";
import { phaseNamed } from "../../shared/model/phases.ts";
import { forwardPairs } from "../../shared/run/compute.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { type Networks, networkNamed } from "../../shared/run/networks.ts";
import type { Program } from "../../shared/run/program.ts";
import { phaseLayout } from "../../shared/wire/contribution.ts";
import { frozenForm, wireForm } from "../../shared/wire/parameter-set.ts";
import { wholeBytes } from "../../shared/wire/parameter-update.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";

export interface RunWork {
  /** Images through a network, in passes and in evaluations. */
  readonly images: number;
  readonly evaluated: number;
  readonly passes: number;
  readonly steps: number;
  /** Multiplications and additions in pairs, forward and backward. */
  readonly pairs: number;
  /** Bytes of the training images: what a pass sends, where nobody keeps any. */
  readonly passBytes: number;
  readonly imageBytes: number;
  /** Of a lease, on the way up, and of a step's parameters on the way down, at most; means over steps. */
  readonly upBytes: number;
  readonly downBytes: number;
  /** What each worker fetches once. */
  readonly onceBytes: number;
  /** Leases that a step has at most: no more volunteers compute at a time. */
  readonly mostAtOnce: number;
}

/** What of an open run decides it. */
export interface PlannedRun {
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly networks: Networks;
  readonly program: Program;
}

/** Backward computes about twice what forward does: gradients of inputs and of weights. */
const TRAINING = 3;

function bytesOf(split: Dataset["train"]): number {
  return split.shards.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** What the whole program is, from its first step. */
export function runWork({ config, dataset, networks, program }: PlannedRun): RunWork {
  const pairsOf = (network: string) => forwardPairs(networkNamed(networks, network).graph);
  const stored = dataset.train.shards.reduce((sum, { samples }) => sum + samples, 0);
  const imageBytes = bytesOf(dataset.train) / stored;
  const work = { trained: 0, evaluated: 0, pairs: 0, up: 0, down: 0 };
  for (const pass of program.passes) {
    const phase = phaseNamed(program, pass.phase);
    const beside = phase.needs.reduce((sum, name) => sum + pairsOf(name), 0);
    work.trained += pass.samples;
    work.pairs += pass.samples * (TRAINING * pairsOf(pass.network) + beside);
    if (pass.evaluate) {
      work.evaluated += dataset.test.samples;
      work.pairs += dataset.test.samples * pairsOf(pass.network);
    }
    const layout = phaseLayout(networks, phase, config.sync.kind);
    work.up += pass.steps * wireLayout(layout, config.codec).bytes;
    const sets = [pass.network, ...phase.partners];
    work.down += pass.steps * sets.reduce((sum, set) => sum + wholeBytes(wireForm(networks, config, set)), 0);
  }
  const needed = new Set(program.phases.flatMap(({ needs }) => needs));
  const onceBytes = [...needed].reduce((sum, name) => sum + wholeBytes(frozenForm(networks, config, name)), 0);
  return {
    images: work.trained + work.evaluated,
    evaluated: work.evaluated,
    passes: program.passes.length,
    steps: program.steps,
    pairs: work.pairs,
    passBytes: imageBytes * storedSamples(dataset.train),
    imageBytes,
    upBytes: work.up / program.steps,
    downBytes: work.down / program.steps,
    onceBytes,
    mostAtOnce: Math.ceil(config.batch / config.microbatch),
  };
}

export interface Need {
  readonly days: number;
  readonly imagesPerSecond: number;
  /** Bits a second of the coordinator's line. */
  readonly sends: number;
  readonly takes: number;
  readonly crews: readonly Crew[];
}

/** So many volunteers of one speed. */
export interface Crew {
  /** Images a second and volunteer. */
  readonly speed: number;
  readonly volunteers: number;
  /** Bits a second of each one's line. */
  readonly down: number;
  readonly up: number;
  /** No step has leases for so many. */
  readonly tooMany: boolean;
}

/** Images a second of one volunteer that are told of: a laptop's GPU, a desktop's, a large one. */
export const speeds = [5, 20, 100] as const;

const DAY_S = 86_400;

/**
 * What it takes to be done in so many days, if nobody keeps images from one pass to the next and every volunteer is in
 * every step that has a lease for it. The coordinator's line is told for the middle speed.
 */
export function needOf(work: RunWork, days: number, speedsOf: readonly number[] = speeds): Need {
  const seconds = days * DAY_S;
  const imagesPerSecond = work.images / seconds;
  const stepsPerSecond = work.steps / seconds;
  const images = 8 * work.imageBytes * imagesPerSecond;
  const crews = speedsOf.map((speed): Crew => {
    const volunteers = Math.max(1, Math.ceil(imagesPerSecond / speed));
    const leases = Math.min(volunteers, work.mostAtOnce);
    return {
      speed,
      volunteers,
      down: (images + 8 * work.downBytes * stepsPerSecond * leases) / volunteers,
      up: (8 * work.upBytes * stepsPerSecond * leases) / volunteers,
      tooMany: volunteers > work.mostAtOnce,
    };
  });
  const middle = crews[Math.floor(crews.length / 2)];
  return {
    days,
    imagesPerSecond,
    sends: middle.down * middle.volunteers,
    takes: middle.up * middle.volunteers,
    crews,
  };
}

/** Ten minutes of the two cores that the example takes two minutes on: less needs no plan. */
const WORTH_TELLING = 1.5e12;

export function isWorthTelling({ pairs }: Pick<RunWork, "pairs">): boolean {
  return pairs > WORTH_TELLING;
}
