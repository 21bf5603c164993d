// Which kinds of lease a worker will be given, and in which order, as far as the run's program tells.

import { evaluationOf } from "../../shared/model/phases.ts";
import { phaseProgram } from "../../shared/run/program.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { ComingPhase, TrainerRun } from "../trainer/trainer-contract.ts";

/**
 * Each kind once, the one that comes first in front.
 * @param status where the run is; at its beginning unless given
 */
export function comingPhases(
  { config, dataset, program }: TrainerRun,
  status?: Pick<RunStatus, "step" | "state">,
): readonly ComingPhase[] {
  const { step = 0, state } = status ?? {};
  const { passes } = phaseProgram(config, dataset.train.samples);
  const evaluation = (network: string): ComingPhase[] => {
    const phase = evaluationOf(program, network);
    return phase ? [{ phase: phase.name }] : [];
  };
  // What is evaluated is what the last step left.
  const last = passes.findLast(({ firstStep }) => firstStep < step);
  const now = state === "evaluating" && last ? evaluation(last.network) : [];
  const later = passes
    .filter(({ firstStep, steps }) => firstStep + steps > step)
    .flatMap(({ phase, weights, evaluate, network }) => [{ phase, weights }, ...(evaluate ? evaluation(network) : [])]);
  // At the end everything is evaluated that never was.
  const end = program.networks.flatMap(({ name }) => evaluation(name));
  const coming = [...now, ...later, ...end].filter(({ phase }) => program.phases.some(({ name }) => name === phase));
  return [...new Map(coming.map((one) => [JSON.stringify([one.phase, one.weights]), one])).values()];
}
