// The program of a run: its phases, and which pass over the data each step belongs to. A pure function of the
// configuration, so resume needs only the step.

import { BitswarmError } from "../base/errors.ts";
import { methods } from "../model/methods/methods.ts";
import { checkOutline, type MethodProgram, type Outline, phaseNamed } from "../model/phases.ts";
import type { RunConfig } from "./config.ts";

/** One pass over positions [0, samples) of an epoch's permutation. */
export interface Pass {
  readonly index: number;
  /** Name of its phase, and of the phase's network. */
  readonly phase: string;
  readonly network: string;
  /** Epoch within the phase, from 0. */
  readonly epoch: number;
  readonly samples: number;
  /** Steps before this pass, counted over the whole run. */
  readonly firstStep: number;
  readonly steps: number;
  /** Of each loss of the phase, by kind. */
  readonly weights: Readonly<Record<string, number>>;
  /** The network is evaluated on the held-out samples after this pass. */
  readonly evaluate: boolean;
}

export interface Program extends Outline {
  readonly passes: readonly Pass[];
  readonly steps: number;
}

/** Where a step stands. */
export interface StepPlace {
  readonly pass: Pass;
  /** Positions [from, to) of the pass's permutation. */
  readonly from: number;
  readonly to: number;
  readonly last: boolean;
}

export type PhaseConfig = Pick<
  RunConfig,
  "method" | "objective" | "tuneNorms" | "adversarial" | "bnPhase" | "epochs" | "teacher" | "optimizer"
>;

/** The networks, phases and passes of a configuration, as its method makes them. */
export function phasesOf(config: PhaseConfig): MethodProgram {
  return methods.get(config.method.kind).phases(config.method, config);
}

/**
 * Lays a method's passes out over the data.
 * @param batch samples of a step
 * @param trainSamples samples of the training split
 * @throws CONFIG_INVALID for lists that mean nothing
 */
export function layOut({ outline, passes: plans }: MethodProgram, batch: number, trainSamples: number): Program {
  checkOutline(outline);
  const passes: Pass[] = [];
  let firstStep = 0;
  for (const { phase: name, epoch, share = 1, weights = {}, evaluate } of plans) {
    const phase = phaseNamed(outline, name);
    if (phase.evaluate) throw new BitswarmError("CONFIG_INVALID", `phase ${name} only evaluates; a pass trains`);
    const samples = Math.max(1, Math.round(share * trainSamples));
    const steps = Math.ceil(samples / batch);
    const own = Object.fromEntries(phase.losses.map(({ kind, weight }) => [kind, weights[kind] ?? weight]));
    const { network } = phase;
    passes.push({
      index: passes.length,
      phase: name,
      network,
      epoch,
      samples,
      firstStep,
      steps,
      weights: own,
      evaluate,
    });
    firstStep += steps;
  }
  return { ...outline, passes, steps: firstStep };
}

/** @param trainSamples samples of the training split */
export function phaseProgram(config: PhaseConfig & Pick<RunConfig, "batch">, trainSamples: number): Program {
  return layOut(phasesOf(config), config.batch, trainSamples);
}

/** The place of step `step` (from 0), which must be below `program.steps`. */
export function placeOf(program: Pick<Program, "passes" | "steps">, step: number, batch: number): StepPlace {
  const pass = program.passes.find((p) => step >= p.firstStep && step < p.firstStep + p.steps);
  if (!pass) throw new RangeError(`step ${step} is outside the program of ${program.steps} steps`);
  const from = (step - pass.firstStep) * batch;
  const to = Math.min(from + batch, pass.samples);
  return { pass, from, to, last: to === pass.samples };
}

/** Training samples committed after `step` steps, over all passes. */
export function samplesAt({ passes }: Pick<Program, "passes">, step: number, batch: number): number {
  return passes.reduce((sum, { firstStep, samples }) => {
    return sum + Math.min(samples, Math.max(0, step - firstStep) * batch);
  }, 0);
}

/** Passes that a phase has in all. */
export function epochsOf({ passes }: Program, phase: string): number {
  return passes.filter((pass) => pass.phase === phase).length;
}

/** Networks beside `network` that no step from `step` on trains: what was encoded of them need not be kept. */
export function restingNetworks({ networks, passes }: Program, step: number, network: string): readonly string[] {
  const busy = passes.filter((pass) => pass.firstStep + pass.steps > step).map((pass) => pass.network);
  return networks.map(({ name }) => name).filter((name) => name !== network && !busy.includes(name));
}
