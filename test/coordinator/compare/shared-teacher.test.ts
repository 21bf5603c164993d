// Which cells take over what came of the teacher's run, and that they say so.

import { expect, test } from "vitest";
import { writeCellResult } from "../../../coordinator/compare/cell-result.ts";
import { gridOf } from "../../../coordinator/compare/cells.ts";
import { chargeOf } from "../../../coordinator/compare/charge.ts";
import { cellFolder } from "../../../coordinator/compare/folder.ts";
import { parsePlan } from "../../../coordinator/compare/plan.ts";
import { takenFromTeacher, trainsAsTeacher } from "../../../coordinator/compare/shared-teacher.ts";
import { makeFolders } from "../../../coordinator/disk/durable-file.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";
import { tinyState } from "../../fixtures/tiny-run.ts";

const methods = [
  { name: "full", set: { "method.kind": "full" }, rates: [0.05, 0.1] },
  { name: "G", set: { method: { kind: "rbcn", ablation: "R+G" } } },
];
const plan = (teacher: Record<string, unknown>) =>
  parsePlan({ name: "p", base: { optimizer: { learningRate: 0.05 } }, methods, seeds: [0, 1], teacher }, "plan.yaml");

test("a cell is the teacher's run where its configuration is the same but for the name: method, seed, rate and the rest", async () => {
  const same = async (teacher: Record<string, unknown>) => {
    const grid = await gridOf(plan(teacher));
    return grid.cells.filter((cell) => trainsAsTeacher(cell, grid.teacher!)).map(({ name }) => name);
  };
  expect(await same({})).toEqual(["full-s0"]);
  expect(await same({ "optimizer.learningRate": 0.1, seed: 1 })).toEqual(["full-s1-r0.1"]);
  expect(await same({ epochs: 7 })).toEqual([]);
  expect(await same({ method: { kind: "rbcn", ablation: "R+G" } })).toEqual([]);
});

test("what is taken over is the teacher's result under the cell's own name, and says whose it is", async () => {
  const path = await scratchFolder();
  const cell = { name: "full-s0", method: "full", seed: 0, rate: 0.05 };
  expect(await takenFromTeacher(path, cell)).toBeUndefined();
  const folder = cellFolder(path, "teacher");
  await makeFolders(folder);
  const charge = chargeOf(tinyState());
  const outcome = {
    outcome: "finished" as const,
    curve: [],
    steps: 4,
    seconds: 3,
    charge: { ...charge, phases: [...charge.phases] },
  };
  await writeCellResult(folder, { cell: "teacher", method: "full", seed: 0, rate: 0.05, exported: "ab", ...outcome });
  expect(await takenFromTeacher(path, cell)).toEqual({
    cell: "full-s0",
    method: "full",
    seed: 0,
    rate: 0.05,
    sameAs: "teacher",
    ...outcome,
  });
});
