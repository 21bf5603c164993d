// What a cell is charged: every pass over samples that its program has, counted, and what travels for it. Equal compute
// is a number here, no promise.

import { forwardPairs, forwardWork, type Pairs, type PhaseWork, programWork, sumOf } from "../../shared/run/compute.ts";
import { networkNamed } from "../../shared/run/networks.ts";
import { samplesAt } from "../../shared/run/program.ts";
import { type PlannedRun, runWork } from "../run/run-needs.ts";

export interface Charge {
  /** A line a phase that trains. */
  readonly phases: readonly PhaseWork[];
  /** Training samples through the run's networks, each time that one goes through. */
  readonly samples: number;
  /** Forward passes of single samples through frozen networks: a teacher's. */
  readonly frozenForwards: number;
  /** Of the whole run. */
  readonly total: Pairs;
  /** Of one image through the trained network. */
  readonly inference: Pairs;
  /** Of one image through the same network in full precision. */
  readonly fullInference: number;
  /** By the layouts of what travels: a step's parameters to a volunteer, whole, and the gradients of one lease back. */
  readonly bytes: { readonly down: number; readonly up: number; readonly once: number };
  readonly steps: number;
}

/** @param steps that were committed, all unless given */
export function chargeOf(run: PlannedRun, steps = run.program.steps): Charge {
  const part = committedPart(run, steps);
  return charged(run, part, programWork(part.program, part.networks), run.program.primary);
}

/** Of a run that ends when one of its networks is trained. */
export function chargeOfNetwork(run: PlannedRun, network: string, steps = run.program.steps): Charge {
  const part = committedPart(run, steps);
  const phases = programWork(part.program, part.networks).filter((phase) => phase.network === network);
  return charged(run, part, phases, network);
}

/** The run as if it had ended after so many steps: of one that diverged, what was committed. */
export function committedPart(run: PlannedRun, steps: number): PlannedRun {
  const { program, config } = run;
  if (steps >= program.steps) return run;
  const passes = program.passes
    .filter(({ firstStep }) => firstStep < steps)
    .map((pass) => ({
      ...pass,
      samples: samplesAt({ passes: [pass] }, steps, config.batch),
      steps: Math.min(pass.steps, steps - pass.firstStep),
    }));
  return { ...run, program: { ...program, passes, steps } };
}

/** @param part of the run that was committed */
function charged(run: PlannedRun, part: PlannedRun, phases: readonly PhaseWork[], network: string): Charge {
  const { graph } = networkNamed(run.networks, network);
  // A mean over no steps is none: what a step was to take is known all the same.
  const { downBytes, upBytes, onceBytes } = runWork(part.program.steps > 0 ? part : run);
  return {
    phases,
    samples: phases.reduce((sum, { samples }) => sum + samples, 0),
    frozenForwards: phases.reduce((sum, { frozenForwards }) => sum + frozenForwards, 0),
    total: sumOf(...phases.map(({ total }) => total)),
    inference: forwardWork(graph),
    fullInference: forwardPairs(graph),
    bytes: { down: Math.round(downBytes), up: Math.round(upBytes), once: onceBytes },
    steps: part.program.steps,
  };
}

/** As pairs of floats. @param bitsAFloat 1-bit pairs that are counted as one */
export function asFloats({ float, binary }: Pairs, bitsAFloat: number): number {
  return float + binary / bitsAFloat;
}

/** Forward, and backward for inputs and for weights. */
const TRAINING = 3;

/** What the base's network takes in full precision for the base's epochs: the 1 of a relative compute. */
export function fullPrecisionPairs({ config, dataset, networks, program }: PlannedRun): number {
  const { graph } = networkNamed(networks, program.primary);
  return TRAINING * forwardPairs(graph) * dataset.train.samples * config.epochs;
}
