// What the checker of a cluster reads beside logs: histories, evaluations, checkpoints.

import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  checkpointProblems,
  completeBatch,
  evaluationProblems,
  type LogLine,
  sumProblems,
  type ToldRun,
} from "../../deploy/cluster/run-state.mjs";
import { scratchFolder } from "../fixtures/test-run.ts";

const step = (n: number, more: Partial<LogLine> = {}) =>
  ({
    type: "step",
    step: n,
    pass: 0,
    ranges: [],
    samples: 8,
    paramsHash: `p${n}`,
    fence: 1,
    h: `h${n}`,
    ...more,
  }) as unknown as LogLine;
const evaluation = (n: number, value: number) =>
  ({ type: "evaluate", step: n, network: "student", value, fence: 1, h: `e${n}` }) as unknown as LogLine;

const lines = (...all: readonly unknown[]) => all.map((one) => `${JSON.stringify(one)}\n`).join("");
const columns = { table: "steps", columns: ["loss.task", "score", "workers"] };
const row = (n: number, loss: number | null, workers = 1) => [0, n, 1000 * n, loss, 0.5, workers];

const run = (name: string, all: readonly LogLine[], history: string): ToldRun => ({
  name,
  lines: all,
  standing: all.filter(({ type }) => type === "step"),
  history,
});

test("what two coordinators made of a step's sum is the same, but for what is their own", () => {
  const both = [step(1), step(2)];
  const mine = run("c-0", both, lines({ history: 1, after: 0 }, columns, row(1, 2.5), row(2, null)));
  // It stood by, and saw no workers; of what it made again the last counts.
  const theirs = run("c-1", both, lines(columns, row(1, 9), row(1, 2.5, 0), row(2, null, 0)));
  expect(sumProblems([mine, theirs])).toEqual({ problems: [], compared: 2 });
  const other = run("c-1", both, lines(columns, row(1, 2.5), row(2, 2.25)));
  expect(sumProblems([mine, other]).problems).toEqual(["step 2: c-0 and c-1 made other loss.task of its sum"]);
  // A step that stands with one alone is no other's.
  const alone = run("c-1", [step(1), step(2, { h: "again" })], other.history);
  expect(sumProblems([mine, alone])).toEqual({ problems: [], compared: 1 });
});

test("an evaluation is of the step that stands, and of the value that its history has", () => {
  const told = lines({
    evaluation: { step: 2, time: 1, network: "student", score: "accuracy", value: 0.5, others: {} },
  });
  const problemsOf = (...all: readonly LogLine[]) => evaluationProblems([run("c-0", all, told)]);
  expect(problemsOf(step(1), step(2), evaluation(2, 0.5))).toEqual([]);
  expect(problemsOf(step(1), step(2), evaluation(2, 0.25)).join()).toMatch(/has 0.25 after step 2, and 0.5/);
  expect(problemsOf(step(1), evaluation(2, 0.5)).join()).toMatch(/step 2 is evaluated where step 1 stands/);
  const resume = { type: "resume", fromStep: 1 } as unknown as LogLine;
  expect(problemsOf(step(1), step(2), resume, evaluation(2, 0.5)).join()).toMatch(/where step 1 stands/);
});

test("a checkpoint has the bytes that its manifest names, and the parameters that the log has", async () => {
  const folder = await scratchFolder();
  const at = join(folder, "checkpoints", "step-2");
  await mkdir(at, { recursive: true });
  const bytes = Buffer.from("tensors");
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const manifest = {
    step: 2,
    paramsHash: { teacher: "t", student: "p2" },
    files: { "model.safetensors": { bytes: bytes.length, sha256 } },
    config: { batch: 64, codec: "exact", lease: { seal: "auto" } },
  };
  await writeFile(join(at, "model.safetensors"), bytes);
  await writeFile(join(at, "manifest.json"), JSON.stringify(manifest));
  expect(checkpointProblems(folder, [step(1), step(2)])).toEqual({ problems: [], checkpoints: 1 });
  expect(checkpointProblems(folder, [step(1)]).problems.join()).toMatch(/step 2 does not stand/);
  expect(checkpointProblems(folder, [step(2, { paramsHash: "x" })]).problems.join()).toMatch(/other parameters/);
  await writeFile(join(at, "model.safetensors"), "tensorz");
  expect(checkpointProblems(folder, [step(2)]).problems.join()).toMatch(/other bytes than its manifest/);
  expect(completeBatch(folder)).toBe(64);
  await writeFile(
    join(at, "manifest.json"),
    JSON.stringify({ ...manifest, config: { ...manifest.config, codec: "f32" } }),
  );
  expect(completeBatch(folder)).toBeUndefined();
  expect(completeBatch(join(folder, "nowhere"))).toBeUndefined();
});
