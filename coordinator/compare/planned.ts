// What the cells of a grid will take, before any of them runs: that a plan which cannot work says so at once, and how
// much of it is left.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { phaseProgram } from "../../shared/run/program.ts";
import { openDataset } from "../data/open-dataset.ts";
import type { PlannedRun } from "../run/run-needs.ts";
import { type Grid, TEACHER_CELL } from "./cells.ts";
import { chargeOf, fullPrecisionPairs } from "./charge.ts";

export interface PlannedWork {
  /** Pairs of all kinds, by cell, the teacher's run among them: what an estimate of time is made of. */
  readonly pairs: ReadonlyMap<string, number>;
  /** The 1 of relative compute. */
  readonly fullPrecision: number;
}

/** @throws CONFIG_INVALID, GRAPH_INVALID naming the cell; DATA_MISSING, DATA_INVALID */
export async function plannedWork({ base, teacher, cells }: Grid): Promise<PlannedWork> {
  const datasets = new Map<string, Dataset>();
  const planned = async (name: string, config: RunConfig): Promise<PlannedRun> => {
    const key = JSON.stringify(config.data);
    let dataset = datasets.get(key);
    if (!dataset) {
      dataset = (await openDataset(config.data)).dataset;
      datasets.set(key, dataset);
    }
    try {
      const program = phaseProgram(config, dataset.train.samples);
      return { config, dataset, program, networks: buildNetworks(config, dataset, program) };
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      throw new BitswarmError(error.code, `${name}: ${error.message}`, { cause: error });
    }
  };
  const pairs = new Map<string, number>();
  const runs = cells.map(({ name, config }) => [name, config] as const);
  for (const [name, config] of teacher ? [[TEACHER_CELL, teacher] as const, ...runs] : runs) {
    const { float, binary } = chargeOf(await planned(name, config)).total;
    pairs.set(name, float + binary);
  }
  return { pairs, fullPrecision: fullPrecisionPairs(await planned("base", base)) };
}
