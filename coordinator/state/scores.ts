// How good the run's networks are, in the task's own words.

import type { RunConfig } from "../../shared/run/config.ts";
import type { NetworkScores } from "../../shared/tasks/shown-score.ts";
import { type Score, shownScore } from "../../shared/tasks/task.ts";
import { tasks } from "../../shared/tasks/tasks.ts";
import type { RunProgress } from "./training-state.ts";

/** The score that a run's task goes by. */
export function scoreOf({ task }: Pick<RunConfig, "task">): Score {
  return tasks.get(task.kind).score;
}

type Evaluated = Pick<RunProgress, "config" | "evaluations" | "others"> & {
  readonly program: Pick<RunProgress["program"], "networks">;
};

/** What each network got that was evaluated. */
export function networkScores({ config, program, evaluations, others }: Evaluated): NetworkScores {
  const scores: NetworkScores = {};
  for (const { name, title } of program.networks) {
    const value = evaluations[name];
    if (typeof value === "number") scores[name] = { title, ...shownScore(scoreOf(config), value, others[name]) };
  }
  return scores;
}
