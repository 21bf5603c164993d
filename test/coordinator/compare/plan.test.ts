// Plans and the cells that they make: every combination, each with the fields that it was given, and nothing that was
// written wrongly is passed over.

import { expect, test } from "vitest";
import { gridOf, runnable, TEACHER_PLACE } from "../../../coordinator/compare/cells.ts";
import {
  MOST_CELLS,
  MOST_METHODS,
  MOST_NAME,
  MOST_RATES,
  MOST_SEEDS,
  parsePlan,
  readPlan,
} from "../../../coordinator/compare/plan.ts";
import { shippedPlans } from "../../../coordinator/run/shipped-runs.ts";

const base = { model: { widths: [4, 8, 16] }, optimizer: { learningRate: 0.05 } };
const rbcn = { name: "R", set: { "method.kind": "rbcn", "method.ablation": "R" } };
const gan = { name: "R+G", set: { method: { kind: "rbcn", ablation: "R+G" } } };
const xnor = { name: "XNOR", set: { "method.kind": "xnor" } };

const plan = (fields: Record<string, unknown>) =>
  parsePlan({ name: "p", base, methods: [rbcn], ...fields }, "plan.yaml");

test("a grid is methods by seeds by rates, all methods of one seed before the next", async () => {
  const { cells } = await gridOf(
    plan({ methods: [rbcn, { ...xnor, rates: [0.5] }], seeds: [3, 4], rates: [0.1, 0.2] }),
  );
  expect(cells.map(({ name }) => name)).toEqual([
    "R-s3-r0.1",
    "R-s3-r0.2",
    "XNOR-s3-r0.5",
    "R-s4-r0.1",
    "R-s4-r0.2",
    "XNOR-s4-r0.5",
  ]);
  expect(cells.map(({ config }) => [config.seed, config.optimizer.learningRate, config.method.kind])).toEqual([
    [3, 0.1, "rbcn"],
    [3, 0.2, "rbcn"],
    [3, 0.5, "xnor"],
    [4, 0.1, "rbcn"],
    [4, 0.2, "rbcn"],
    [4, 0.5, "xnor"],
  ]);
});

test("without rates a cell has the base's own", async () => {
  const [cell] = (await gridOf(plan({}))).cells;
  expect([cell.name, cell.rate, cell.config.model]).toMatchObject(["R-s0", 0.05, { widths: [4, 8, 16] }]);
});

test("methods, seeds and rates that are added later leave the cells that there were under their names", async () => {
  const few = (await gridOf(plan({}))).cells;
  const more = (await gridOf(plan({ methods: [xnor, rbcn], seeds: [1, 0], rates: [0.5, 0.05] }))).cells;
  expect(more).toHaveLength(8);
  const same = more.find(({ name }) => name === few[0].name);
  expect(same?.config).toEqual(few[0].config);
});

test("a method of another kind keeps nothing of the options of the kind that it is laid over", async () => {
  const over = { ...base, method: { kind: "rbcn", lambdaKernel: 0.5 } };
  const { cells } = await gridOf(
    plan({ base: over, methods: [rbcn, { name: "X", set: { method: { kind: "xnor" } } }] }),
  );
  expect(cells[0].config.method).toMatchObject({ kind: "rbcn", lambdaKernel: 0.5, ablation: "R" });
  expect(cells[1].config.method).toMatchObject({ kind: "xnor" });
});

test("the teacher goes to the cells that want one, and to no other", async () => {
  const teacher = { method: { kind: "rbcn", ablation: "R+G" }, "teacher.epochs": 4 };
  const grid = await gridOf(plan({ methods: [rbcn, gan, xnor], teacher }));
  expect(grid.cells.map(({ method, taught }) => [method, taught])).toEqual([
    ["R", false],
    ["R+G", true],
    ["XNOR", false],
  ]);
  expect(grid.teacher?.teacher.epochs).toBe(4);
  expect(grid.cells[1].config.teacher.file).toBe(TEACHER_PLACE);
  expect(runnable(grid.cells[1], "/t.safetensors").teacher.file).toBe("/t.safetensors");
  expect((await gridOf(plan({ methods: [rbcn, xnor], teacher }))).teacher).toBeUndefined();
  const usual = await gridOf(plan({ methods: [gan], teacher: { epochs: 4 } }));
  expect(usual.teacher).toMatchObject({ method: { kind: "full" }, epochs: 4 });
});

test("a method may have any printable name; its folder has ASCII letters, and two names have two folders", async () => {
  const names = ["Δ-Netz", "Ω-Netz", "二値 网络", "+5 %", "a_b [2]", "😀".repeat(MOST_NAME)];
  const { cells } = await gridOf(plan({ methods: names.map((name) => ({ ...xnor, name })), reference: "Ω-Netz" }));
  const folders = cells.map(({ name }) => name);
  expect(cells.map(({ method }) => method)).toEqual(names);
  expect(new Set(folders).size).toBe(names.length);
  for (const folder of folders) expect(folder).toMatch(/^[A-Za-z0-9][A-Za-z0-9.-]*-s0$/);
  expect(folders[4]).toBe("a-b-2-s0");
  for (const { config } of cells) expect(config.name).toMatch(/^p: ./u);
  for (const { config } of cells) expect(config.name).not.toMatch(/\p{Cs}/u);
});

test.each(["", " a", "a ", "a\nb", "a\u202eb", "a\u0000", "a\u2028b"])(
  "the name %j is refused, and what is allowed is said",
  (name) => {
    expect(() => plan({ methods: [{ ...rbcn, name }] })).toThrow(
      expect.objectContaining({
        code: "CONFIG_INVALID",
        message: expect.stringMatching(
          /methods\.0\.name: .*must be printable characters, and neither begin nor end with a space/,
        ),
      }),
    );
  },
);

const many = (n: number) => Array.from({ length: n }, (_, i) => i);

test.each([
  ["an unknown field", { seed: [1] }, /seed: there is no such field, did you mean seeds\?/],
  ["an unknown field of a method", { methods: [{ ...rbcn, rate: 0.1 }] }, /methods\.0\.rate: there is no such field/],
  ["no methods", { methods: [] }, /methods: /],
  ["a seed that is none", { seeds: [0, -1] }, /seeds\.1: .*got -1/],
  ["a rate of 0", { rates: [0] }, /rates\.0: .*got 0/],
  ["a method twice", { methods: [rbcn, rbcn] }, /methods: "R" is there twice; name it once/],
  ["a seed twice", { seeds: [1, 1] }, /seeds: 1 is there twice/],
  ["a rate twice", { methods: [{ ...rbcn, rates: [1, 1] }] }, /methods\.0\.rates: 1 is there twice/],
  ["a reference that is no method", { reference: "r" }, /reference: r is none of R.*did you mean.*R/],
  [
    "a seed of its own",
    { methods: [{ name: "a", set: { seed: 1 } }] },
    /set\.seed: is the plan's own; give it as seeds/,
  ],
  [
    "a rate of its own",
    { methods: [{ name: "a", set: { optimizer: { learningRate: 1 } } }] },
    /set\.optimizer\.learningRate: is the plan's own; give it as rates/,
  ],
  ["a long name", { methods: [{ ...rbcn, name: "a".repeat(MOST_NAME + 1) }] }, /methods\.0\.name/],
  ["many methods", { methods: many(MOST_METHODS + 1).map((i) => ({ name: `m${i}` })) }, /methods: /],
  ["many seeds", { seeds: many(MOST_SEEDS + 1) }, /seeds: /],
  ["many rates", { rates: many(MOST_RATES + 1).map((i) => i + 1) }, /rates: /],
  [
    "many cells",
    {
      methods: many(2).map((i) => ({ name: `m${i}` })),
      seeds: many(MOST_SEEDS),
      rates: many(MOST_RATES).map((i) => i + 1),
    },
    new RegExp(`the grid has 4000 cells; the limit is ${MOST_CELLS}`),
  ],
] as readonly (readonly [string, Record<string, unknown>, RegExp])[])(
  "%s is refused by its field",
  (_, fields, what) => {
    expect(() => plan(fields)).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringMatching(what) }),
    );
  },
);

test.each([
  [
    "a method's options",
    { methods: [{ name: "odd", set: { "method.kind": "xnor", "method.ablation": "R" } }] },
    /the method odd: [\s\S]*method\.ablation/,
  ],
  ["the base", { base: { batches: 3 } }, /base: [\s\S]*batches: there is no such field/],
  ["a path that is no field's", { methods: [{ name: "odd", set: { "a..b": 1 } }] }, /there is no field "a\.\.b"/],
  [
    "names that make one folder",
    {
      methods: [
        { ...rbcn, name: "a b" },
        { ...xnor, name: "a-b" },
      ],
    },
    /would have one name, a-b/,
  ],
] as readonly (readonly [string, Record<string, unknown>, RegExp])[])(
  "what is wrong with %s says whose it is",
  async (_, fields, what) => {
    await expect(gridOf(plan(fields))).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringMatching(what),
    });
  },
);

test("a file that is not there names the plans that come with the program", async () => {
  await expect(readPlan("/nowhere/plan.yaml")).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringContaining("fashion-methods.plan.yaml"),
  });
});

test("every shipped plan makes its cells, and is found by its name", async () => {
  const plans = shippedPlans();
  expect(plans.map(({ file }) => file)).toEqual(["fashion-methods.plan.yaml", "tracking.plan.yaml"]);
  for (const { file, about } of plans) {
    expect(about).toMatch(/^[A-Z0-9].{10,80}$/);
    const { cells, teacher } = await gridOf(await readPlan(file.replace(".plan.yaml", "")));
    expect(cells.length).toBeGreaterThan(1);
    expect(teacher).toBeDefined();
  }
});
