// The learning rate of a step: a schedule of its own for each network, over the steps that the program gives it.

import type { RunConfig } from "../../shared/run/config.ts";
import type { NetworkName } from "../../shared/run/networks.ts";
import type { Program } from "../../shared/run/program.ts";
import { learningRateFactor, type Schedule } from "../../shared/run/schedule.ts";

function scheduleOver(schedule: RunConfig["optimizer"]["schedule"], steps: number): Schedule {
  if (schedule.kind !== "step") return schedule;
  return { ...schedule, milestones: schedule.milestones.map((share) => Math.round(share * steps)) };
}

/** The rate that the schedule is a factor of. */
function topRate({ sync, teacher, optimizer }: RunConfig, network: NetworkName): number {
  if (sync.kind === "local" && sync.inner.kind === "adamw") return sync.inner.learningRate;
  return network === "teacher" ? teacher.learningRate : optimizer.learningRate;
}

/** The rate of step `step` of the run: each network's steps (the BN phase's too) are one schedule of their own. */
export function learningRateAt(config: RunConfig, program: Program, network: NetworkName, step: number): number {
  const passes = program.passes.filter((pass) => pass.network === network);
  const steps = passes.reduce((sum, pass) => sum + pass.steps, 0);
  return (
    topRate(config, network) *
    learningRateFactor(scheduleOver(config.optimizer.schedule, steps), step - passes[0].firstStep, steps)
  );
}
