// What is told of a committed step, by whichever engine did it.

import type { CommitRecord } from "../checkpoint/commit-log.ts";
import { scoreOf } from "../state/scores.ts";
import type { RunProgress } from "../state/training-state.ts";
import type { StepResult } from "../training/training.ts";
import type { RunEvent } from "./run-event.ts";

export type StepRecord = Extract<CommitRecord, { readonly type: "step" }>;
type StepEvent = Extract<RunEvent, { readonly type: "step" }>;

/**
 * @param record the line of the commit log
 * @param result what applying it came to
 * @param more what of the round and of the run only an engine knows
 */
export function stepEvent(
  { step, phase, epoch, samples: stepSamples, paramsHash }: Omit<StepRecord, "pass" | "ranges">,
  { loss, score, layers }: StepResult,
  { config }: Pick<RunProgress, "config">,
  more: Pick<StepEvent, "network" | "samples" | "workedMs" | "workers" | "bytes" | "rates">,
): StepEvent {
  return {
    type: "step",
    step,
    phase,
    epoch,
    stepSamples,
    paramsHash,
    loss,
    score: { name: scoreOf(config).name, value: score },
    ...(layers && { layers }),
    ...more,
  };
}
