// The program of a run: networks by name, phases and passes over the data, as lists (../phases.ts), composed of what a
// method's stages, the run's objective and the tuning of batch norms each say. Any of them goes with any other.

import { TEACHER } from "../objectives/objective.ts";
import { objectives } from "../objectives/objectives.ts";
import {
  evaluationPhase,
  type Loss,
  type MethodProgram,
  type NetworkPlan,
  type PassPlan,
  type Phase,
  type Selection,
} from "../phases.ts";
import type { MethodRun } from "./method.ts";

const task: Loss = { kind: "task", weight: 1 };
const own: Loss = { kind: "method", weight: 1 };
/** The network that a run is for. */
const STUDENT = "student";

/** A part of a network's training, with phase and passes of its own. */
export interface Stage {
  /** Of its phase. */
  readonly name: string;
  readonly title: string;
  readonly doing: string;
  /** Passes; a stage whose share is 0 has none and is left out. */
  readonly epochs: number;
  /**
   * How its network differs from the student: by options laid over the method's, a precision or a model of its own.
   * Neighbours that say the same share a network, named `student` at the end, else after its first stage; each begins
   * with what the one before has learned.
   */
  readonly network?: Partial<Pick<NetworkPlan, "precision" | "options" | "model" | "title">>;
  /** Everything unless given. */
  readonly trains?: readonly Selection[];
  readonly settings?: Readonly<Record<string, number>>;
  /** The optimizer's unless given. */
  readonly learningRate?: number;
}

/**
 * Epochs of stages by their shares, which sum to all of them. Each stage with a share has one at least, which the
 * longest gives.
 * @param shares 0 or above, of any sum above 0
 * @throws RangeError where there are fewer epochs than stages; `stageProblems` says so before
 */
export function shareEpochs(epochs: number, shares: readonly number[]): readonly number[] {
  const least = leastEpochs(shares);
  if (epochs < least) throw new RangeError(`${epochs} epochs for ${least} stages`);
  const whole = shares.reduce((a, b) => a + b, 0);
  const until = (count: number) =>
    Math.floor((epochs * shares.slice(0, count).reduce((a, b) => a + b, 0)) / whole + 1e-9);
  const parts = shares.map((_, i) => (i === shares.length - 1 ? epochs : until(i + 1)) - until(i));
  shares.forEach((share, i) => {
    if (share === 0 || parts[i] > 0) return;
    parts[parts.indexOf(Math.max(...parts))] -= 1;
    parts[i] = 1;
  });
  return parts;
}

/** Of a run whose stages have these shares: a stage is an epoch at least. */
function leastEpochs(shares: readonly number[]): number {
  return shares.filter((share) => share > 0).length;
}

/**
 * For a method's `check`: a line where its stages do not fit into the run's epochs.
 * @param instead what else than the epochs may be set
 */
export function stageProblems(
  kind: string,
  epochs: number,
  { shares, instead }: { readonly shares: readonly number[]; readonly instead: string },
): readonly string[] {
  const least = leastEpochs(shares);
  return epochs >= least
    ? []
    : [
        `epochs: must be at least ${least}, an epoch for each of the ${least} stages of the method ${kind}; got ${epochs} (set epochs=${least} or more, or ${instead})`,
      ];
}

/** The one stage of a method that has no others. */
export function plainStage({ epochs, word }: Pick<MethodRun, "epochs" | "word">): Stage {
  return { name: "student", title: `${word} student`, doing: `training the ${word} network`, epochs };
}

/** Of a run's epochs, for stages before the one that the run is for: something is left for that. */
export const MOST_SHARE = 0.95;

/** A stage whose weights a method begins with. */
export const fullPrecisionStage: Omit<Stage, "epochs"> = {
  name: "float",
  title: "full-precision network",
  doing: "training the full-precision network that the next one starts from",
  network: { precision: "full", title: "full-precision network" },
};

/** Problems of a run whose method's own stage comes after another one that takes a share of the epochs. */
export function problemsAfter(kind: string, epochs: number, share: number): readonly string[] {
  return stageProblems(kind, epochs, { shares: [share, 1 - share], instead: "method.pretrain=0" });
}

/** The method's own stage, after another one that takes a share of the run's epochs; 0 leaves it out. */
export function stagesAfter(run: MethodRun, share: number, first: Omit<Stage, "epochs">): readonly Stage[] {
  if (share === 0) return [plainStage(run)];
  const [before, after] = shareEpochs(run.epochs, [share, 1 - share]);
  return [
    { ...first, epochs: before },
    { ...plainStage(run), epochs: after },
  ];
}

/** Stages that share a network. */
interface Turn {
  readonly plan: NetworkPlan;
  readonly stages: readonly Stage[];
}

/** @throws RangeError for stages without a pass */
function turnsOf(stages: readonly Stage[], word: string): readonly Turn[] {
  const kept = stages.filter(({ epochs }) => epochs > 0);
  if (kept.length === 0) throw new RangeError("a program whose stages have no epochs");
  const groups: Stage[][] = [];
  for (const stage of kept) {
    const last = groups.at(-1);
    if (last && JSON.stringify(last[0].network) === JSON.stringify(stage.network)) last.push(stage);
    else groups.push([stage]);
  }
  const names = groups.map(([first], i) => (i === groups.length - 1 ? STUDENT : first.name));
  return groups.map((group, i) => ({
    plan: {
      name: names[i],
      title: `${word} network`,
      precision: "method",
      partners: [],
      ...group[0].network,
      ...(i > 0 && { startsFrom: names[i - 1] }),
    },
    stages: group,
  }));
}

/** A name of a network that is not the student's has the network before it. */
function beside(network: string, name: string): string {
  return network === STUDENT ? name : `${network}-${name}`;
}

/** Layers that a batch norm phase trains: everything that is no convolution. */
const beyondConvolutions = ["batchnorm", "activation", "linear"];

function tuningOf({ name, title }: NetworkPlan, run: MethodRun): Phase {
  return {
    name: beside(name, "bn"),
    title: "batch norm",
    doing: `tuning the batch norms of the ${title}`,
    network: name,
    trains: [{ layers: beyondConvolutions }],
    partners: [],
    needs: [],
    losses: [task],
    evaluate: false,
    learningRate: run.optimizer.learningRate,
  };
}

function teacherOf({ teacher }: MethodRun): {
  readonly plan: NetworkPlan;
  readonly phase: Phase;
  readonly epochs: number;
} {
  const { file, model, learningRate, epochs } = teacher;
  const plan: NetworkPlan = {
    name: TEACHER,
    title: "teacher",
    precision: "full",
    partners: [],
    ...(file === undefined ? {} : { file }),
    ...(model === undefined ? {} : { model }),
  };
  const phase: Phase = {
    name: TEACHER,
    title: "teacher",
    doing: "training the full-precision teacher",
    network: TEACHER,
    trains: [{}],
    partners: [],
    needs: [],
    losses: [task],
    evaluate: false,
    learningRate,
  };
  return { plan, phase, epochs: file === undefined ? epochs : 0 };
}

/**
 * The teacher, where the objective wants one; then the method's stages, each of them with the objective where its
 * network is the method's, and after each of their epochs a pass that tunes the batch norms, where the run has them.
 * @param stages the method's; one of all epochs unless given
 */
export function trainingProgram(
  run: MethodRun,
  { stages = [plainStage(run)] }: { readonly stages?: readonly Stage[] } = {},
): MethodProgram {
  const parts = objectives.get(run.objective.kind).create(run.objective, run);
  const tunes = run.tuneNorms === "on";
  const teacher = parts.teacher ? teacherOf(run) : undefined;
  const networks: NetworkPlan[] = teacher ? [teacher.plan] : [];
  const phases: Phase[] = teacher && teacher.epochs > 0 ? [teacher.phase] : [];
  const passes: PassPlan[] = [];
  for (let epoch = 0; teacher && epoch < teacher.epochs; epoch++) {
    passes.push({ phase: TEACHER, epoch, evaluate: epoch === teacher.epochs - 1 });
  }
  const tested: NetworkPlan[] = teacher ? [teacher.plan] : [];
  let studied = 0;
  for (const { plan, stages: own } of turnsOf(stages, run.word)) {
    const learns = plan.precision === "method";
    const partner = learns ? parts.partner : undefined;
    const partnerName = partner && beside(plan.name, partner);
    const first = networks.length === (teacher ? 1 : 0);
    const network: NetworkPlan = {
      ...plan,
      partners: partner && partnerName ? [{ name: partnerName, kind: partner }] : [],
      ...(first && parts.startsFromTeacher === true && { startsFrom: TEACHER }),
    };
    networks.push(network);
    tested.push(network);
    for (const stage of own) phases.push(studying(stage, network, run, learns ? parts : undefined));
    const tuning = learns && tunes ? tuningOf(network, run) : undefined;
    if (tuning) phases.push(tuning);
    let tuned = 0;
    own.forEach((stage, at) => {
      for (let epoch = 0; epoch < stage.epochs; epoch++) {
        const ends = at === own.length - 1 && epoch === stage.epochs - 1;
        // What comes before the student is of interest at its end alone.
        const evaluate = plan.name === STUDENT || ends;
        const weights = learns ? parts.weights?.(studied++) : undefined;
        passes.push({ phase: stage.name, epoch, ...(weights && { weights }), evaluate: evaluate && !tuning });
        if (tuning) passes.push({ phase: tuning.name, epoch: tuned++, share: run.bnPhase, evaluate });
      }
    });
  }
  return { outline: { primary: STUDENT, networks, phases: [...phases, ...tested.map(evaluationPhase)] }, passes };
}

function studying(
  { name, title, doing, trains = [{}], settings, learningRate }: Stage,
  network: NetworkPlan,
  run: MethodRun,
  parts: ReturnType<ReturnType<typeof objectives.get>["create"]> | undefined,
): Phase {
  const losses = (parts?.losses ?? []).map((loss) =>
    loss.partner === undefined ? loss : { ...loss, partner: beside(network.name, loss.partner) },
  );
  return {
    name,
    title,
    doing,
    network: network.name,
    trains: [...trains],
    partners: network.partners.map((one) => one.name),
    needs: parts?.teacher ? [TEACHER] : [],
    losses: parts ? [{ ...task, weight: parts.task }, own, ...losses] : [task],
    evaluate: false,
    learningRate: learningRate ?? run.optimizer.learningRate,
    ...(settings && { settings: { ...settings } }),
  };
}

/** One network, trained and evaluated once an epoch, with the run's objective: methods without stages. */
export function plainProgram(run: MethodRun): MethodProgram {
  return trainingProgram(run);
}
