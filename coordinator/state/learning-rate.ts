// The learning rate of a step: its phase's, on a schedule of its own for each network, over the steps that the program
// gives it.

import { type Phase, phaseNamed, trainsEntry } from "../../shared/model/phases.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { type Networks, phaseManifest } from "../../shared/run/networks.ts";
import { type Program, placeOf } from "../../shared/run/program.ts";
import { learningRateFactor, type Schedule } from "../../shared/run/schedule.ts";

function scheduleOver(schedule: RunConfig["optimizer"]["schedule"], steps: number): Schedule {
  if (schedule.kind !== "step") return schedule;
  return { ...schedule, milestones: schedule.milestones.map((share) => Math.round(share * steps)) };
}

/** The rate that the schedule is a factor of. */
function topRate({ sync }: RunConfig, { name, learningRate }: Phase): number {
  if (sync.kind === "local" && sync.inner.kind === "adamw") return sync.inner.learningRate;
  if (learningRate === null) throw new RangeError(`phase ${name} trains nothing, and has no learning rate`);
  return learningRate;
}

/** The rate of step `step` of the run: each network's steps, in whatever phase, are one schedule of their own. */
export function learningRateAt(config: RunConfig, program: Program, step: number): number {
  const { network, phase } = placeOf(program, step, config.batch).pass;
  const passes = program.passes.filter((pass) => pass.network === network);
  const steps = passes.reduce((sum, pass) => sum + pass.steps, 0);
  return (
    topRate(config, phaseNamed(program, phase)) *
    learningRateFactor(scheduleOver(config.optimizer.schedule, steps), step - passes[0].firstStep, steps)
  );
}

/**
 * The rates of a step by what they are of, where its phase trains such: `weights` in full precision, `latent` ones,
 * what is learned beside them as `companions`, `discriminators`. In `sync: local` the workers' own, and `outer`.
 */
export function learningRatesAt(
  config: RunConfig,
  program: Program,
  networks: Networks,
  step: number,
): Readonly<Record<string, number>> {
  const { optimizer, adversarial, sync } = config;
  const phase = phaseNamed(program, placeOf(program, step, config.batch).pass.phase);
  const trained = phaseManifest(networks, phase).entries.filter((entry) => trainsEntry(phase, entry));
  const has = (role: string) => trained.some((entry) => entry.role === role);
  const rate = learningRateAt(config, program, step);
  const latent = sync.kind === "allreduce" && optimizer.latent.kind === "adam" ? rate * optimizer.latent.rate : rate;
  return {
    ...(has("float") && { weights: rate }),
    ...(has("latent") && { latent }),
    ...(has("learned") && { companions: rate * optimizer.rectifierRate }),
    ...(has("critic") && { discriminators: adversarial.learningRate }),
    ...(sync.kind === "local" && { outer: sync.outer.learningRate }),
  };
}
