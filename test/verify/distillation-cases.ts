// Oracle cases of learning from another network: an objective's own terms, as a plan records them, of logits or of maps
// that the case gives, with their gradients on both sides.

import { z } from "zod";
import { objectives } from "../../shared/model/objectives/objectives.ts";
import type { Loss } from "../../shared/model/phases.ts";
import { LaunchList, type Ref } from "../../worker/plan/launch-list.ts";
import { NodeGradients } from "../../worker/plan/node-gradients.ts";
import { type ComparedSide, recordObjective, weighTask } from "../../worker/plan/objective-losses.ts";
import type { RecordedLoss } from "../../worker/plan/task-loss.ts";
import { classificationLoss } from "../../worker/tasks/classification.ts";
import { type Comparison, compare, EPSILON, maxAbs } from "./compare.ts";
import { execute, type HostData } from "./execute.ts";
import type { OracleCase } from "./oracle-case.ts";
import type { Rig } from "./rig.ts";

/** A short chain whose exponentials may be off by some units (WGSL: 3 + 2|x|). */
const TOLERANCE = 2 ** 6 * EPSILON;

const number = z.number();
const attributes = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("apprentice"),
    alpha: number,
    beta: number,
    gamma: number,
    temperature: number,
    targetGradient: z.boolean(),
  }),
  z.object({
    kind: z.literal("polino"),
    weight: number,
    temperature: number,
    reduce: z.enum(["batch", "element"]),
  }),
  z.object({ kind: z.literal("guided"), alpha: number, beta: number, gamma: number }),
  z.object({
    kind: z.literal("mutual"),
    temperature: number,
    student_task: number,
    student_soft: number,
    teacher_task: number,
    teacher_soft: number,
  }),
  z.object({ kind: z.literal("features"), lambda: number, bits: number }),
]);
type Attributes = z.output<typeof attributes>;

/** The objective of a case, as a run's configuration would say it. */
function optionsOf(a: Attributes): Readonly<Record<string, unknown>> & { readonly kind: string } {
  switch (a.kind) {
    case "apprentice":
      return { ...a, variant: "A" };
    case "mutual":
      return {
        kind: a.kind,
        temperature: a.temperature,
        studentTask: a.student_task,
        studentSoft: a.student_soft,
        teacherTask: a.teacher_task,
        teacherSoft: a.teacher_soft,
      };
    case "polino":
    case "guided":
    case "features":
      return a;
    default:
      return a satisfies never;
  }
}

function external(buffer: "sample.student" | "sample.teacher" | "sample.label", elements: number): Ref {
  return { kind: "external", buffer, offset: 0, bytes: 4 * elements };
}

/** What was measured of a case. */
interface Measured {
  readonly dstudent: Float32Array;
  /** Absent where the teacher is frozen. */
  readonly dteacher?: Float32Array;
  /** The task's losses, without weights. */
  readonly task: number;
  readonly teacherTask: number;
  /** Terms by kind, times their weights. */
  readonly terms: Readonly<Record<string, number>>;
}

async function measure(rig: Rig, test: OracleCase, losses: readonly Loss[], weight: number): Promise<Measured> {
  const [student, teacher] = [test.map("in.student"), test.map("in.teacher")];
  const [n, c, h = 1, w = 1] = test.tensor("in.student").shape;
  const shape = { h, w, c };
  const list = new LaunchList(rig.choose);
  const outputs = {
    student: external("sample.student", student.length),
    teacher: external("sample.teacher", teacher.length),
  };
  const labelled = test.has("in.labels");
  const target = () => external("sample.label", n);
  const learns = losses.every(({ partner }) => partner !== undefined);
  const side = (of: keyof typeof outputs, trains: boolean): ComparedSide & { readonly task?: RecordedLoss } => {
    const graph = { shapes: [shape], output: 0, maps: labelled ? [] : [{ name: "map", node: 0 }] };
    const value = () => outputs[of];
    if (!labelled) return { graph, value, gradients: new NodeGradients(list, () => student.length) };
    const task = classificationLoss(0)(list, { n, output: outputs[of], shape, target, evaluates: false });
    return trains ? { graph, value, task } : { graph, value };
  };
  const own = side("student", true);
  const other = side("teacher", learns);
  if (own.task) weighTask(list, own.task, weight);
  if (other.task) weighTask(list, other.task, losses.find(({ kind }) => kind === "teacher-task")?.weight ?? 0);
  const metrics = list.tensor(losses.length);
  const weightOf = (loss: Loss) => loss.weight;
  recordObjective(list, { losses, n, own, other: () => other, metrics, at: 0, weightOf });
  const gradientOf = ({ task, gradients }: ComparedSide) => task?.gradient ?? gradients?.get(0);
  const refs = { dstudent: gradientOf(own), dteacher: gradientOf(other), metrics };
  const tasks = [own, other].map(({ task }) => task?.metrics);
  for (const ref of [...Object.values(refs), ...tasks]) if (ref) list.keep(ref);
  const data: HostData = {
    "sample.student": student,
    "sample.teacher": teacher,
    ...(labelled && { "sample.label": test.labels("in.labels") }),
  };
  const executed = await execute(rig.cache, list, data);
  const read = async (ref: Ref | undefined) => (ref ? executed.read(ref) : undefined);
  const [dstudent, dteacher, terms] = [await read(refs.dstudent), await read(refs.dteacher), await read(metrics)];
  const [task, teacherTask] = [await read(tasks[0]), await read(tasks[1])];
  executed.destroy();
  if (!dstudent || !terms) throw new RangeError("nothing reached the student");
  return {
    dstudent,
    ...(dteacher && { dteacher }),
    task: task?.[0] ?? 0,
    teacherTask: teacherTask?.[0] ?? 0,
    terms: Object.fromEntries(losses.map(({ kind }, i) => [kind, terms[i]])),
  };
}

/** Each loss of a case by the oracle's name, and what the measured one has beside it as a factor. */
function lossesOf(a: Attributes, m: Measured): Readonly<Record<string, readonly [value: number, times?: number]>> {
  const { task, teacherTask, terms } = m;
  switch (a.kind) {
    case "apprentice":
      return {
        task: [task],
        teacher_task: [teacherTask],
        soft: [terms.soft, a.gamma],
        total: [a.beta * task + terms.soft + terms["teacher-task"]],
      };
    case "polino":
      return {
        task: [task],
        soft: [terms.divergence, a.weight],
        total: [(1 - a.weight) * task + terms.divergence],
      };
    case "guided":
      return {
        task: [task],
        student: [a.beta * task + terms.logits],
        teacher: [terms["teacher-task"] + terms.logits],
      };
    case "mutual":
      return {
        task: [task],
        student: [a.student_task * task + terms.divergence],
        teacher: [terms["teacher-task"] + terms["teacher-divergence"]],
      };
    case "features":
      return { student: [terms.features], teacher: [terms.features] };
    default:
      return a satisfies never;
  }
}

export async function verifyDistillation(rig: Rig, test: OracleCase): Promise<Comparison[]> {
  const a = attributes.parse(test.attributes);
  const plugin = objectives.get(a.kind);
  const options = optionsOf(a);
  const { task, losses } = plugin.create(options, { adversarial: { lambda: 0, warmupEpochs: 0 } });
  // A case of maps has no labels, and so no task of either.
  const compared = losses.filter(({ kind }) => a.kind !== "features" || kind === "features");
  const m = await measure(rig, test, compared, task);
  const n = test.tensor("in.student").shape[0];
  // A gradient is a sum of terms, each a probability times its weight, and T of a divergence.
  const slopes = losses.map((loss) => loss.weight * Math.max(1, loss.options?.temperature ?? 1));
  const size = Math.max(task, 1, ...slopes) / n;
  const gradient = (name: string, actual: Float32Array) => {
    const oracle = test.tensor(`out.${name}`);
    const largest = Math.max(maxAbs(oracle.data), a.kind === "features" ? 0 : size);
    return compare(name, actual, oracle, TOLERANCE * largest);
  };
  const named = Object.entries(lossesOf(a, m)).map(([name, [value, times = 1]]) => {
    const { shape, data } = test.tensor(`out.loss.${name}`);
    const wanted = { shape, data: data.map((v) => v * times) };
    return compare(`loss.${name}`, [value], wanted, TOLERANCE * Math.max(1, maxAbs(wanted.data)));
  });
  // Nothing reaches a frozen teacher.
  const dteacher = m.dteacher ?? new Float32Array(test.tensor("out.dteacher").data.length);
  return [gradient("dstudent", m.dstudent), gradient("dteacher", dteacher), ...named];
}
