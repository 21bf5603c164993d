// What may change of a run that is under way, by --set or in its run.yaml: nothing is passed over without a word.

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { readStatus, statusText } from "../../../coordinator/program/status-command.ts";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { startTestRun, stepHashes, workToTheEnd } from "../../fixtures/test-run.ts";

/** A run that was stopped after so many steps; its folder. */
async function stoppedAfter(maxSteps: number, config?: Record<string, unknown>): Promise<string> {
  const started = await startTestRun({ maxSteps, ...(config === undefined ? {} : { config }) });
  await workToTheEnd(started, 1);
  return started.run.directory.path;
}

async function edit(path: string, change: (text: string) => string): Promise<string> {
  const file = join(path, "run.yaml");
  const before = await readFile(file, "utf8");
  const after = change(before);
  expect(after).not.toBe(before);
  await writeFile(file, after);
  return after;
}

async function configOf(path: string) {
  const opened = await reopenRun(path);
  await opened.log.close();
  await opened.claim.release();
  return { ...opened.state.config, notices: opened.notices, steps: opened.state.program.steps };
}

test("what does not touch what was trained may change by --set, is said, and stands in run.yaml afterwards", async () => {
  const path = await stoppedAfter(3);
  const set = [
    "checkpoint.everySteps=2",
    "lease.timeoutMs=5000",
    "maxWorkers=7",
    "trust.audits=off",
    "heartbeatMs=4000",
  ];
  const resumed = await startTestRun({ open: await reopenRun(path, { set }), maxSteps: 6 });
  expect(resumed.run.notices).toEqual(
    [
      "maxWorkers: 1000 → 7, from here on",
      "heartbeatMs: 10000 → 4000, from here on",
      "checkpoint.everySteps: 3 → 2, from here on",
      "lease.timeoutMs: 120000 → 5000, from here on",
      'trust.audits: "auto" → "off", from here on',
    ].sort((a, b) => resumed.run.notices.indexOf(a) - resumed.run.notices.indexOf(b)),
  );
  await workToTheEnd(resumed, 1);
  expect(await readdir(join(path, "checkpoints"))).toEqual(expect.arrayContaining(["step-4", "step-6"]));
  const text = await readFile(join(path, "run.yaml"), "utf8");
  expect(text).toMatch(/maxWorkers: 7\n/);
  expect(text).toMatch(/everySteps: 2\n/);
  expect(await configOf(path)).toMatchObject({ maxWorkers: 7, lease: { timeoutMs: 5000 }, notices: [] });
});

test("an edited run.yaml is read: what may change counts, comments stay", async () => {
  const path = await stoppedAfter(3);
  const edited = await edit(path, (text) => text.replace(/everySteps: 3/, "everySteps: 50 # rarer, the disk is slow"));
  expect(await configOf(path)).toMatchObject({
    checkpoint: { everySteps: 50 },
    notices: ["checkpoint.everySteps: 3 → 50, from here on"],
  });
  expect(await readFile(join(path, "run.yaml"), "utf8")).toBe(edited);
  const opened = await reopenRun(path, { set: ["checkpoint.keep=9"] });
  await opened.log.close();
  await opened.claim.release();
  expect(await readFile(join(path, "run.yaml"), "utf8")).toContain("everySteps: 50 # rarer, the disk is slow");
  expect(await configOf(path)).toMatchObject({ checkpoint: { everySteps: 50, keep: 9 }, notices: [] });
});

test.each([
  ["batch", "batch: 64", "batch: 32", /batch: was 64, .*run\.yaml says 32: it says what a step is/],
  ["seed", "seed: 0", "seed: 5", /seed: was 0, .*every random draw/],
  ["epochs downwards", /^epochs: 2/m, "epochs: 1", /epochs: was 2, .*it may only grow/],
  ["a field that is none", "seed: 0", "seed: 0\nepoch: 9", /epoch: there is no such field/],
  ["what is no YAML", "seed: 0", "seed: [", /run\.yaml is not YAML/],
])("%s in run.yaml is refused by name, and nothing changes", async (_, from, to, message) => {
  const path = await stoppedAfter(2);
  const edited = await edit(path, (text) => text.replace(from, to));
  const before = await readFile(join(path, "commits.ndjson"), "utf8");
  await expect(reopenRun(path)).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringMatching(message),
  });
  expect(await readFile(join(path, "commits.ndjson"), "utf8")).toBe(before);
  expect(await readFile(join(path, "run.yaml"), "utf8")).toBe(edited);
});

test("every field that --set may not change is named, with what it was and why", async () => {
  const path = await stoppedAfter(2);
  const set = ["codec=f32", "optimizer.learningRate=0.5", "maxWorkers=3", "data.trainSamples=64"];
  const refused: Error = await reopenRun(path, { set }).then(
    () => new Error("it was opened"),
    (error) => error,
  );
  expect(refused).toMatchObject({ code: "CONFIG_INVALID" });
  expect(refused.message.split("\n").slice(1)).toEqual(
    [
      '  codec: was "exact", --set says "f32": it says what a step is',
      "  data.trainSamples: was 256, --set says 64: it says which samples are trained on, and how they are seen",
      "  optimizer.learningRate: was 0.1, --set says 0.5: earlier steps were made with it",
    ].sort((a, b) => refused.message.indexOf(a) - refused.message.indexOf(b)),
  );
  await expect(reopenRun(path, { set: ["nothing.like=it"] })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});

test("a run whose run.yaml is gone goes on as its checkpoint says, and has one again", async () => {
  const path = await stoppedAfter(2);
  const before = await readFile(join(path, "run.yaml"), "utf8");
  await rm(join(path, "run.yaml"));
  expect(await configOf(path)).toMatchObject({ epochs: 2, notices: [] });
  expect(parse(await readFile(join(path, "run.yaml"), "utf8"))).toEqual(parse(before));
});

test("with a constant schedule more epochs, at any time, end with the bits of a run that had them from the start", async () => {
  const optimizer = { schedule: { kind: "constant" } };
  const whole = await startTestRun({ config: { optimizer, epochs: 3 } });
  const expected = await workToTheEnd(whole, 1);
  expect(expected).toMatchObject({ step: 32, steps: 32 });
  for (const stopped of [10, 24]) {
    const path = await stoppedAfter(stopped, { optimizer, epochs: 2 });
    const longer = await startTestRun({ open: await reopenRun(path, { set: ["epochs=3"] }) });
    expect(longer.run.notices[0]).toMatch(
      /^epochs: 2 → 3, 32 steps in all; the run ends with the bits of one that had 3/,
    );
    expect({ ...(await workToTheEnd(longer, 2)), checkpoint: "" }).toEqual({ ...expected, checkpoint: "" });
    expect(await stepHashes(longer)).toEqual(await stepHashes(whole));
  }
});

test("with another schedule more epochs do so before the network's first step; later it is said that they do not", async () => {
  const whole = await startTestRun({ config: { epochs: 3 } });
  const expected = await workToTheEnd(whole, 1);
  // The teacher's eight steps have a schedule of their own.
  const path = await stoppedAfter(8);
  const early = await startTestRun({ open: await reopenRun(path, { set: ["epochs=3"] }), maxSteps: 20 });
  expect(early.run.notices[0]).toMatch(/the run ends with the bits of one that had 3 from the start/);
  await workToTheEnd(early, 1);
  // The change is in run.yaml and in the checkpoint: it needs no second word.
  const on = await startTestRun({ open: await reopenRun(path) });
  expect(on.run.notices).toEqual([]);
  expect({ ...(await workToTheEnd(on, 1)), checkpoint: "" }).toEqual({ ...expected, checkpoint: "" });

  const late = await startTestRun({ open: await reopenRun(await stoppedAfter(12), { set: ["epochs=3"] }) });
  expect(late.run.notices[0]).toMatch(
    /from here on the learning rate is that of the cosine schedule over 3 epochs\. 4 steps were made with the schedule over 2/,
  );
  const summary = await workToTheEnd(late, 1);
  expect(summary).toMatchObject({ finished: true, step: 32, samples: 32 * 64 });
  expect(summary.paramsHash).not.toBe(expected.paramsHash);
});

test("a run that has ended says so, by status and on resume, and how it is trained longer", async () => {
  const path = await stoppedAfter(24);
  const status = await readStatus(path);
  const longer = `npx coordinator resume ${path} --set epochs=3`;
  expect(status).toMatchObject({ state: "stopped", finished: true, step: 24, steps: 24 });
  expect(statusText(status, path)).toContain("has come to its end: step 24/24");
  expect(statusText(status, path)).toContain(`train it longer: ${longer}`);
  expect(statusText(status, path)).not.toContain("go on:");
  const ended = await startTestRun({ open: await reopenRun(path) });
  expect(ended.run.notices).toEqual([`the run has come to its end; to train it longer: ${longer}`]);
  expect(await ended.coordination.done).toMatchObject({ finished: true, step: 24 });
  const open = await reopenRun(path, { set: ["epochs=3"] });
  const on = await startTestRun({ open });
  expect(await workToTheEnd(on, 1)).toMatchObject({ finished: true, step: 32, samples: 32 * 64 });
  expect(await readStatus(path)).toMatchObject({ finished: true, step: 32, steps: 32 });
});

test("a longer run that is killed before its next checkpoint goes on longer", async () => {
  const path = await stoppedAfter(24);
  const open = await reopenRun(path, { set: ["epochs=3"] });
  await open.log.close();
  await open.claim.release();
  expect(await configOf(path)).toMatchObject({ epochs: 3, steps: 32, notices: [] });
});

test("a field of an older build in run.yaml is dropped, not called a change", async () => {
  const path = await stoppedAfter(2);
  await edit(path, (text) => text.replace(/trust:\n/, "trust:\n  limitLoopback: true\n"));
  expect(await configOf(path)).toMatchObject({ notices: [] });
});
