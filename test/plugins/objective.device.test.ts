// An objective that exists nowhere else: logits of a frozen teacher, of which it takes more with each epoch. It goes
// with any method, and its terms are measured under their names.
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { defineObjective, TEACHER } from "../../shared/model/objectives/objective.ts";
import { objectives } from "../../shared/model/objectives/objectives.ts";
import { parseConfig, unusedFields } from "../../shared/run/config.ts";
import { layOut, phasesOf } from "../../shared/run/program.ts";
import { fell, realSteps } from "../fixtures/real-steps.ts";

const growing = defineObjective({
  kind: "growing",
  schema: z.strictObject({ kind: z.literal("growing"), each: z.number().min(0).default(0.05) }),
  create: ({ each }) => ({
    task: 1,
    losses: [{ kind: "logits", weight: each, teacher: TEACHER }],
    teacher: true,
    weights: (epoch) => ({ logits: each * epoch }),
  }),
});

let remove = () => {};
beforeAll(() => {
  remove = objectives.add(growing);
});
afterAll(() => remove());

test("is chosen by the configuration, and its weights are the passes'", () => {
  const config = parseConfig({ epochs: 3, objective: { kind: "growing", each: 0.5 }, teacher: { epochs: 1 } });
  const { passes } = layOut(phasesOf(config), 16, 100);
  const weights = passes.filter(({ phase }) => phase === "student").map((pass) => pass.weights.logits);
  expect(weights).toEqual([0, 0.5, 1]);
  expect(unusedFields(config)).toEqual([]);
  expect(() => parseConfig({ objective: { kind: "growing" }, sync: { kind: "local" } })).toThrow(/objective: growing/);
});

test.each(["bnn", "dorefa"])("%s learns by it", { timeout: 300_000 }, async (kind) => {
  const config = parseConfig({
    seed: 7,
    data: { kind: "idx", trainSamples: 40, testSamples: 5 },
    batch: 20,
    microbatch: 20,
    epochs: 10,
    model: { kind: "lenet", widths: [4, 8, 32] },
    method: { kind },
    objective: { kind: "growing", each: 0.01 },
    teacher: { epochs: 4, learningRate: 0.05 },
    optimizer: { learningRate: 0.02, schedule: { kind: "constant" } },
  });
  const { losses } = await realSteps(config, 8 + 20);
  const studied = losses.slice(8);
  expect(Object.keys(studied[0]).sort()).toEqual(["logits", "task", "total"]);
  expect(studied[0].logits).toBe(0);
  expect(studied.at(-1)?.logits).toBeGreaterThan(0);
  expect(fell(studied), studied.map(({ task }) => task.toFixed(3)).join(" ")).toBe(true);
});
