// Every objective with methods of the table: a plan of each phase is compiled, what it measures is named, and a loss
// that this build does not know is refused.
import { describe, expect, test } from "vitest";
import { methods } from "../../../shared/model/methods/methods.ts";
import { objectives } from "../../../shared/model/objectives/objectives.ts";
import { type Loss, type Phase, phaseNamed } from "../../../shared/model/phases.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { compilePlan } from "../../../worker/plan/plan.ts";
import { classificationLoss } from "../../../worker/tasks/classification.ts";

const models = [
  { kind: "lenet", widths: [4, 8, 16] },
  { kind: "resnet", widths: [8, 8, 16, 16], blocks: [1, 1, 1, 1] },
];
const dataset = { shape: { h: 32, w: 32, c: 1 }, classes: 10 };

function compiled(config: object, name: string, change: (phase: Phase) => Phase = (phase) => phase) {
  const parsed = parseConfig(config);
  const { outline } = phasesOf(parsed);
  const networks = buildNetworks(parsed, dataset, outline);
  return compilePlan({
    networks,
    phase: change(phaseNamed(outline, name)),
    n: 3,
    adversarialReduce: "mean",
    loss: classificationLoss(0.1),
    accumulate: "exact",
  });
}

const variants: readonly (readonly [object, readonly string[]])[] = [
  [{ kind: "method" }, []],
  [{ kind: "none" }, []],
  [{ kind: "adversarial" }, []],
  [{ kind: "apprentice", variant: "A", targetGradient: true }, ["soft", "teacher-task"]],
  [{ kind: "apprentice", variant: "B" }, ["soft"]],
  [{ kind: "apprentice", variant: "C", temperature: 4 }, ["soft"]],
  [{ kind: "polino", reduce: "element" }, ["divergence"]],
  [{ kind: "guided" }, ["logits", "teacher-task"]],
  [{ kind: "guided", guide: "teacher" }, ["logits"]],
  [{ kind: "mutual" }, ["divergence", "teacher-divergence", "teacher-task"]],
  [{ kind: "features", bits: 2 }, ["features", "teacher-task"]],
  [{ kind: "features", guide: "teacher", maps: "last" }, ["features"]],
];

test("each objective of the table is tried here", () => {
  expect([...new Set(variants.map(([{ kind }]: readonly [{ kind?: string }, unknown]) => kind))]).toEqual([
    ...objectives.kinds,
  ]);
});

const kinds = (variant: object) => ("kind" in variant ? variant.kind : undefined);
/** LAB wants Adam. */
const optimizer = { latent: { kind: "adam" } };
/** Every objective with two methods, and every method with one. */
const cases = methods.kinds.flatMap((method) =>
  variants
    .filter(([objective]) => method === "rbcn" || method === "bireal" || kinds(objective) === "guided")
    .map(([objective, terms]) => ({ method, objective, terms })),
);

/** A discriminator's first tensor. */
const mapOf = /^discriminator\.(.+)\.0\.weight$/;

describe.each(models)("$kind", (model) => {
  const own = cases.filter(({ method }) => model.kind === "lenet" || method === "rbcn" || method === "bireal");
  test.each(own)("$method with $objective measures its terms", ({ method, objective, terms }) => {
    const config = { model, method: { kind: method }, objective, tuneNorms: "on", epochs: 5, optimizer };
    const { phases } = phasesOf(parseConfig(config)).outline;
    const learns = phases.filter(({ network, losses }) => network === "student" && losses.length > 1);
    const ownLosses = terms.length > 0 ? learns : phases.filter(({ name }) => name === "student");
    expect(ownLosses.length).toBeGreaterThan(0);
    for (const { name, losses } of ownLosses) {
      const { layout } = compiled(config, name);
      // D(R) and D(T) of each map, where there are discriminators.
      const maps = [...new Set(layout.tensors.flatMap((tensor) => mapOf.exec(tensor.name)?.[1] ?? []))];
      const answers = maps.flatMap((map) => [`real/${map}`, `fake/${map}`]);
      expect(answers.length > 0).toBe(losses.some(({ kind }) => kind === "adversarial"));
      expect(layout.metrics).toEqual(["task", "top1", "top5", "discriminator", "adversarial", ...terms, ...answers]);
      const twin = layout.tensors.filter(({ name }) => name.startsWith("twin."));
      expect(twin.length > 0).toBe(terms.includes("teacher-task"));
    }
    if (method !== "rbcn") return;
    for (const name of ["bn", "evaluate-student"]) expect(compiled(config, name).layout.metrics).toHaveLength(5);
  });
});

test("a plan without terms against another network has the launches that it had: no weight, no further metrics", () => {
  const plan = compiled({ method: { ablation: "R+G" } }, "student");
  const labels = plan.list.launches.map(({ kernel }) => kernel.label);
  expect(labels.filter((label) => /scale|collectLoss|softTarget|squared/.test(label))).toEqual([]);
});

test.each<[string, Loss]>([
  ["of a kind that nobody knows", { kind: "telepathy", weight: 1, teacher: "teacher" }],
  ["against nobody", { kind: "soft", weight: 1 }],
  ["of a twin that is none", { kind: "teacher-task", weight: 1, teacher: "teacher" }],
])("a loss %s is refused with MESSAGE_INVALID", (_, loss) => {
  const change = (phase: Phase) => ({ ...phase, losses: [...phase.losses.slice(0, 2), loss] });
  expect(() => compiled({}, "student", change)).toThrow(
    expect.objectContaining({ code: "MESSAGE_INVALID", message: expect.stringMatching(`a ${loss.kind} loss`) }),
  );
});
