// The phase program of a run: which pass over the data each step belongs to. A pure function of the configuration, so resume needs only the step.

import type { RoundKind } from "../wire/contribution.ts";
import type { RunConfig } from "./config.ts";
import type { NetworkName } from "./networks.ts";

/** One pass over positions [0, samples) of an epoch's permutation. */
export interface Pass {
  readonly index: number;
  readonly kind: Exclude<RoundKind, "evaluate">;
  readonly network: NetworkName;
  /** Epoch within the phase, from 0. */
  readonly epoch: number;
  readonly samples: number;
  /** Steps before this pass, counted over the whole run. */
  readonly firstStep: number;
  readonly steps: number;
  /** Weight of L_Adv in this pass. */
  readonly lambdaAdversarial: number;
  /** The network is evaluated on the held-out images after this pass. */
  readonly evaluate: boolean;
}

export interface Program {
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

type ProgramConfig = Pick<RunConfig, "ablation" | "adversarial" | "batch" | "bnPhase" | "epochs" | "teacher">;

/** @param trainSamples images of the training split */
export function phaseProgram(config: ProgramConfig, trainSamples: number): Program {
  const passes: Pass[] = [];
  let steps = 0;
  const push = (pass: Pick<Pass, "kind" | "network" | "epoch" | "samples" | "lambdaAdversarial" | "evaluate">) => {
    const count = Math.ceil(pass.samples / config.batch);
    passes.push({ ...pass, index: passes.length, firstStep: steps, steps: count });
    steps += count;
  };
  const gan = config.ablation !== "R";
  // Without the GAN nothing looks at a teacher.
  const teacherEpochs = gan && config.teacher.file === undefined ? config.teacher.epochs : 0;
  for (let epoch = 0; epoch < teacherEpochs; epoch++) {
    const evaluate = epoch === teacherEpochs - 1;
    push({ kind: "teacher", network: "teacher", epoch, samples: trainSamples, lambdaAdversarial: 0, evaluate });
  }
  const bnSamples = config.ablation === "R+G+B" ? Math.max(1, Math.round(config.bnPhase * trainSamples)) : 0;
  for (let epoch = 0; epoch < config.epochs; epoch++) {
    const lambdaAdversarial = gan && epoch >= config.adversarial.warmupEpochs ? config.adversarial.lambda : 0;
    const common = { network: "student", epoch } as const;
    push({ ...common, kind: "student", samples: trainSamples, lambdaAdversarial, evaluate: bnSamples === 0 });
    if (bnSamples > 0) push({ ...common, kind: "bn", samples: bnSamples, lambdaAdversarial: 0, evaluate: true });
  }
  return { passes, steps };
}

/** The place of step `step` (from 0), which must be below `program.steps`. */
export function placeOf(program: Program, step: number, batch: number): StepPlace {
  const pass = program.passes.find((p) => step >= p.firstStep && step < p.firstStep + p.steps);
  if (!pass) throw new RangeError(`step ${step} is outside the program of ${program.steps} steps`);
  const from = (step - pass.firstStep) * batch;
  const to = Math.min(from + batch, pass.samples);
  return { pass, from, to, last: to === pass.samples };
}
