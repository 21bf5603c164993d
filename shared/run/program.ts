// The program of a run: its phases, and which pass over the data each step belongs to. A pure function of the configuration, so resume
// needs only the step.

import { BitswarmError } from "../base/errors.ts";
import {
  checkOutline,
  evaluationPhase,
  type Loss,
  type MethodProgram,
  type NetworkPlan,
  type Outline,
  type PassPlan,
  type Phase,
  phaseNamed,
} from "../model/phases.ts";
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

export type PhaseConfig = Pick<RunConfig, "ablation" | "adversarial" | "bnPhase" | "epochs" | "teacher" | "optimizer">;

/** Layers that a batch norm phase trains: everything that is no convolution. */
const beyondConvolutions = ["batchnorm", "activation", "linear"];

/** RBCN's networks and phases (METHOD §4): the teacher, then in each epoch the student and its batch norms. */
export function phasesOf(config: PhaseConfig): MethodProgram {
  const gan = config.ablation !== "R";
  const { lambda, warmupEpochs } = config.adversarial;
  const teacher: NetworkPlan = {
    name: "teacher",
    title: "teacher",
    precision: "full",
    companions: [],
    ...(config.teacher.file === undefined ? {} : { file: config.teacher.file }),
  };
  const student: NetworkPlan = {
    name: "student",
    title: "1-bit network",
    precision: "method",
    companions: gan ? [{ name: "discriminators", kind: "discriminators" }] : [],
  };
  const task: Loss = { kind: "task", weight: 1 };
  const own: Loss = { kind: "method", weight: 1 };
  const adversarial: Loss = {
    kind: "adversarial",
    weight: lambda,
    teacher: "teacher",
    companion: "discriminators",
  };
  const teaching: Phase = {
    name: "teacher",
    title: "teacher",
    doing: "training the full-precision teacher",
    network: "teacher",
    trains: [{}],
    companions: [],
    needs: [],
    losses: [task],
    evaluate: false,
    learningRate: config.teacher.learningRate,
  };
  const studying: Phase = {
    name: "student",
    title: "1-bit student",
    doing: "training the 1-bit network",
    network: "student",
    trains: [{}],
    companions: gan ? ["discriminators"] : [],
    needs: gan ? ["teacher"] : [],
    losses: gan ? [task, own, adversarial] : [task, own],
    evaluate: false,
    learningRate: config.optimizer.learningRate,
  };
  const tuning: Phase = {
    name: "bn",
    title: "batch norm",
    doing: "tuning the batch norms of the 1-bit network",
    network: "student",
    trains: [{ layers: beyondConvolutions }],
    companions: [],
    needs: [],
    losses: [task],
    evaluate: false,
    learningRate: config.optimizer.learningRate,
  };
  const teaches = gan && config.teacher.file === undefined && config.teacher.epochs > 0;
  const tunes = config.ablation === "R+G+B";
  const passes: PassPlan[] = [];
  // Without the GAN nothing looks at a teacher.
  for (let epoch = 0; teaches && epoch < config.teacher.epochs; epoch++) {
    passes.push({ phase: "teacher", epoch, evaluate: epoch === config.teacher.epochs - 1 });
  }
  for (let epoch = 0; epoch < config.epochs; epoch++) {
    const weights: Record<string, number> = gan ? { adversarial: epoch >= warmupEpochs ? lambda : 0 } : {};
    passes.push({ phase: "student", epoch, weights, evaluate: !tunes });
    if (tunes) passes.push({ phase: "bn", epoch, share: config.bnPhase, evaluate: true });
  }
  return {
    outline: {
      primary: "student",
      networks: gan ? [teacher, student] : [student],
      phases: [
        ...(teaches ? [teaching] : []),
        studying,
        ...(tunes ? [tuning] : []),
        ...(gan ? [evaluationPhase(teacher)] : []),
        evaluationPhase(student),
      ],
    },
    passes,
  };
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

/** Passes that a phase has in all. */
export function epochsOf({ passes }: Program, phase: string): number {
  return passes.filter((pass) => pass.phase === phase).length;
}

/** Networks beside `network` that no step from `step` on trains: what was encoded of them need not be kept. */
export function restingNetworks({ networks, passes }: Program, step: number, network: string): readonly string[] {
  const busy = passes.filter((pass) => pass.firstStep + pass.steps > step).map((pass) => pass.network);
  return networks.map(({ name }) => name).filter((name) => name !== network && !busy.includes(name));
}
