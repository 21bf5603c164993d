// Programs that methods share, and RBCN's: networks by name, phases and passes over the data, as lists (../phases.ts).

import {
  evaluationPhase,
  type Loss,
  type MethodProgram,
  type NetworkPlan,
  type PassPlan,
  type Phase,
} from "../phases.ts";
import type { MethodRun } from "./method.ts";

const task: Loss = { kind: "task", weight: 1 };
const own: Loss = { kind: "method", weight: 1 };

const student: NetworkPlan = { name: "student", title: "1-bit network", precision: "method", partners: [] };

function studying({ optimizer }: MethodRun): Phase {
  return {
    name: "student",
    title: "1-bit student",
    doing: "training the 1-bit network",
    network: "student",
    trains: [{}],
    partners: [],
    needs: [],
    losses: [task, own],
    evaluate: false,
    learningRate: optimizer.learningRate,
  };
}

/** One network, trained and evaluated once an epoch: XNOR-Net, Bi-Real, BNN. */
export function plainProgram(run: MethodRun): MethodProgram {
  const epochs = Array.from({ length: run.epochs }, (_, epoch) => epoch);
  return {
    outline: { primary: "student", networks: [student], phases: [studying(run), evaluationPhase(student)] },
    passes: epochs.map((epoch) => ({ phase: "student", epoch, evaluate: true })),
  };
}

/** Layers that a batch norm phase trains: everything that is no convolution. */
const beyondConvolutions = ["batchnorm", "activation", "linear"];

/** With how much of RBCN: rectified convolution; with the GAN; with the BN phase. */
export type Ablation = "R" | "R+G" | "R+G+B";

/** RBCN's networks and phases: the teacher, then in each epoch the student and its batch norms. */
export function rbcnProgram(ablation: Ablation, run: MethodRun): MethodProgram {
  const gan = ablation !== "R";
  const { lambda, warmupEpochs } = run.adversarial;
  const teacher: NetworkPlan = {
    name: "teacher",
    title: "teacher",
    precision: "full",
    partners: [],
    ...(run.teacher.file === undefined ? {} : { file: run.teacher.file }),
  };
  const judged: NetworkPlan = gan
    ? { ...student, partners: [{ name: "discriminators", kind: "discriminators" }] }
    : student;
  const adversarial: Loss = {
    kind: "adversarial",
    weight: lambda,
    teacher: "teacher",
    partner: "discriminators",
  };
  const teaching: Phase = {
    name: "teacher",
    title: "teacher",
    doing: "training the full-precision teacher",
    network: "teacher",
    trains: [{}],
    partners: [],
    needs: [],
    losses: [task],
    evaluate: false,
    learningRate: run.teacher.learningRate,
  };
  const learning: Phase = gan
    ? { ...studying(run), partners: ["discriminators"], needs: ["teacher"], losses: [task, own, adversarial] }
    : studying(run);
  const tuning: Phase = {
    name: "bn",
    title: "batch norm",
    doing: "tuning the batch norms of the 1-bit network",
    network: "student",
    trains: [{ layers: beyondConvolutions }],
    partners: [],
    needs: [],
    losses: [task],
    evaluate: false,
    learningRate: run.optimizer.learningRate,
  };
  const teaches = gan && run.teacher.file === undefined && run.teacher.epochs > 0;
  const tunes = ablation === "R+G+B";
  const passes: PassPlan[] = [];
  // Without the GAN nothing looks at a teacher.
  for (let epoch = 0; teaches && epoch < run.teacher.epochs; epoch++) {
    passes.push({ phase: "teacher", epoch, evaluate: epoch === run.teacher.epochs - 1 });
  }
  for (let epoch = 0; epoch < run.epochs; epoch++) {
    const weights: Record<string, number> = gan ? { adversarial: epoch >= warmupEpochs ? lambda : 0 } : {};
    passes.push({ phase: "student", epoch, weights, evaluate: !tunes });
    if (tunes) passes.push({ phase: "bn", epoch, share: run.bnPhase, evaluate: true });
  }
  return {
    outline: {
      primary: "student",
      networks: gan ? [teacher, judged] : [judged],
      phases: [
        ...(teaches ? [teaching] : []),
        learning,
        ...(tunes ? [tuning] : []),
        ...(gan ? [evaluationPhase(teacher)] : []),
        evaluationPhase(judged),
      ],
    },
    passes,
  };
}
