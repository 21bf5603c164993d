// The folder of a comparison: one process at a time, and no run of it is passed off as another's.

import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { gridOf } from "../../../coordinator/compare/cells.ts";
import { cellFolder, openCompareFolder, requireAsPlanned, settlePlan } from "../../../coordinator/compare/folder.ts";
import { parsePlan } from "../../../coordinator/compare/plan.ts";
import { runLog } from "../../../coordinator/compare/run-log.ts";

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, "out");
}

const grid = (base: Record<string, unknown>, teacher: Record<string, unknown> = {}) =>
  gridOf(
    parsePlan(
      {
        name: "p",
        base,
        teacher: { method: { kind: "rbcn" }, ...teacher },
        methods: [
          { name: "G", set: { "method.kind": "rbcn", "method.ablation": "R+G" } },
          { name: "B", set: { "method.kind": "bnn" } },
        ],
      },
      "plan.yaml",
    ),
  );

/** As a run that was begun leaves it. */
async function begun(path: string, cell: string): Promise<void> {
  await mkdir(cellFolder(path, cell), { recursive: true });
  await writeFile(join(cellFolder(path, cell), "run.yaml"), "");
}

test("a folder is driven by one process at a time", async () => {
  const out = await scratch();
  const { claim } = await openCompareFolder(out);
  await expect(openCompareFolder(out)).rejects.toMatchObject({ code: "RUN_IN_USE" });
  await claim.release();
});

test("a folder of something else is left alone", async () => {
  const out = await scratch();
  await mkdir(out);
  await writeFile(join(out, "thesis.tex"), "");
  await expect(openCompareFolder(out)).rejects.toMatchObject({ code: "RUN_EXISTS" });
  expect((await readdir(out)).filter((name) => !name.startsWith("claim-"))).toEqual(["thesis.tex"]);
});

test("runs that the plan now describes otherwise are refused by name, with what differs; forced, they are set aside", async () => {
  const { path, claim } = await openCompareFolder(await scratch());
  await settlePlan(path, await grid({ epochs: 2 }), false);
  await begun(path, "B-s0");
  await expect(settlePlan(path, await grid({ epochs: 3 }), false)).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringMatching(/ {2}B-s0: epochs 2 is now 3\n.*--force/),
  });
  // What was not begun yet may change.
  expect(await settlePlan(path, await grid({ epochs: 3 }), true)).toEqual(["B-s0"]);
  expect(await readdir(join(path, "cells"))).toEqual([]);
  expect(await readdir(join(path, "replaced"))).toEqual([expect.stringMatching(/^B-s0-/)]);
  await claim.release();
});

test("what changes nothing of what is trained may change", async () => {
  const { path, claim } = await openCompareFolder(await scratch());
  await settlePlan(path, await grid({ checkpoint: { everySteps: 10 } }), false);
  await begun(path, "B-s0");
  expect(await settlePlan(path, await grid({ checkpoint: { everySteps: 20 }, maxWorkers: 7 }), false)).toEqual([]);
  await claim.release();
});

test("a run that was resumed by hand to be longer is no cell any more", async () => {
  const [{ config }] = (await grid({ epochs: 2 })).cells;
  expect(() => requireAsPlanned("cells/G-s0", { ...config, name: "mine", maxWorkers: 3 }, config)).not.toThrow();
  expect(() => requireAsPlanned("cells/G-s0", { ...config, epochs: 9 }, config)).toThrow(
    expect.objectContaining({
      code: "CONFIG_INVALID",
      message: expect.stringMatching(/cells\/G-s0 was resumed with epochs 9, and the plan says 2: remove that folder/),
    }),
  );
});

test("another teacher is another run for all that it teaches, and for nobody else", async () => {
  const { path, claim } = await openCompareFolder(await scratch());
  await settlePlan(path, await grid({}), false);
  for (const cell of ["teacher", "G-s0", "B-s0"]) await begun(path, cell);
  const other = await grid({}, { "teacher.epochs": 9 });
  await expect(settlePlan(path, other, false)).rejects.toMatchObject({
    message: expect.stringMatching(/teacher: teacher\.epochs 2 is now 9\n {2}G-s0: its teacher is another\nGive/),
  });
  await claim.release();
});

test("a run's log says its evaluations once, without what was undone, and how long it was driven", () => {
  const at = (second: number) => new Date(1e12 + 1000 * second).toISOString();
  const evaluated = (second: number, step: number, value: number, network = "student") =>
    JSON.stringify({ time: at(second), type: "evaluation", step, network, score: { value, name: "accuracy" } });
  const text = [
    JSON.stringify({ time: at(0), type: "joined" }),
    evaluated(10, 4, 0.1),
    evaluated(11, 4, 0.9, "teacher"),
    evaluated(20, 8, 0.2),
    '{"time":"torn',
    JSON.stringify({ time: at(500), type: "resumed", step: 6 }),
    evaluated(505, 8, 0.3),
    evaluated(506, 12, 0.4),
    JSON.stringify({ time: at(507), type: "undone", step: 12, to: 8 }),
    evaluated(508, 12, 0.5),
  ].join("\n");
  expect(runLog(text, "student")).toEqual({
    evaluations: [
      { step: 4, value: 0.1 },
      { step: 8, value: 0.3 },
      { step: 12, value: 0.5 },
    ],
    seconds: 28,
  });
});
