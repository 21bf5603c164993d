// From a run that is over to what its cell.json says of it.

import { samplesAt } from "../../shared/run/program.ts";
import type { RunSummary } from "../engine/engine.ts";
import type { OpenRun } from "../run/open-run.ts";
import type { CellResult } from "./cell-result.ts";
import type { Charge } from "./charge.ts";
import { readRunLog } from "./run-log.ts";

/** Sums of what sockets carried, a worker and step. */
export interface Measured {
  readonly down: number;
  readonly up: number;
  readonly steps: number;
}

/** What of a run says what came of it; the state itself is the engine's by then. */
export interface EndedRun {
  readonly eventsPath: string;
  readonly program: OpenRun["state"]["program"];
  readonly batch: number;
  /** Of so many committed steps, all of the program unless given. */
  readonly charge: (steps?: number) => Charge;
  /** The network whose score counts. */
  readonly network: string;
}

export type Ending =
  | { readonly outcome: "finished"; readonly summary: RunSummary }
  | {
      readonly outcome: "diverged";
      readonly message: string /** That were committed and stand. */;
      readonly steps: number;
    };

export async function outcomeOf(
  { cell, method, seed, rate }: Pick<CellResult, "cell" | "method" | "seed" | "rate">,
  { eventsPath, program, batch, charge, network }: EndedRun,
  ending: Ending,
  measured: Measured,
): Promise<Omit<CellResult, "format">> {
  const { evaluations, seconds } = await readRunLog(eventsPath, network);
  const summary = ending.outcome === "finished" ? ending.summary : undefined;
  const score = summary?.scores[network];
  const charged = ending.outcome === "finished" ? charge() : charge(ending.steps);
  const { down, up, steps } = measured;
  return {
    cell,
    method,
    seed,
    rate,
    outcome: ending.outcome,
    ...(ending.outcome === "diverged" ? { message: ending.message } : {}),
    ...(score ? { score: { name: score.name, value: score.value, better: score.better, text: score.text } } : {}),
    curve: evaluations.map(({ step, value }) => ({ step, samples: samplesAt(program, step, batch), value })),
    steps: ending.outcome === "finished" ? ending.summary.step : ending.steps,
    ...(summary ? { paramsHash: summary.paramsHash } : {}),
    seconds,
    ...(steps > 0 ? { measured: { down: Math.round(down / steps), up: Math.round(up / steps), steps } } : {}),
    charge: { ...charged, phases: [...charged.phases] },
  };
}
