// A twin is a partner like any other, and a network all the same: it travels, is saved, resumed and handed from one
// stage to the next.
import { readdir } from "node:fs/promises";
import { expect, test } from "vitest";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { beginPass, createTrainingState } from "../../../coordinator/state/training-state.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import { parameterSets, setManifest, wireForm } from "../../../shared/wire/parameter-set.ts";
import { startTestRun, stepHashes, workToTheEnd } from "../../fixtures/test-run.ts";
import { tinyConfig, tinyDataset } from "../../fixtures/tiny-run.ts";

const config = { method: { kind: "bireal" }, objective: { kind: "guided" } };

test("a run beside a twin that is resumed in the midst of a phase ends with the bits of the run that was not", async () => {
  const whole = await startTestRun({ config });
  await workToTheEnd(whole, 1);
  const first = await startTestRun({ config, maxSteps: 5 });
  await workToTheEnd(first, 1);
  const second = await startTestRun({ open: await reopenRun(first.run.directory.path) });
  const { checkpoint } = await workToTheEnd(second, 2);
  expect(await stepHashes(second)).toEqual(await stepHashes(whole));
  expect((await readdir(checkpoint)).sort()).toEqual([
    "manifest.json",
    "model.safetensors",
    "optimizer.safetensors",
    "twin.safetensors",
  ]);
});

test("a twin travels as downlink.teacher says, whatever becomes of discriminators, and has no replica", () => {
  const tiny = tinyConfig({ ...config, downlink: { discriminators: "int8", teacher: "f16" } });
  const { networks, replica } = createTrainingState(tiny, tinyDataset(tiny));
  expect(parameterSets(networks)).toEqual(["student", "twin"]);
  expect(wireForm(networks, tiny, "twin").floats).toBe("f16");
  expect(replica.size).toBe(0);
  const { entries } = setManifest(networks, "twin");
  expect(entries.every(({ name, role }) => name.startsWith("twin.") && role !== "latent")).toBe(true);
  expect(entries.map(({ name }) => name)).toContain("twin.conv2.weight");
});

test("a stage's twin begins with what the twin of the stage before has learned", () => {
  const tiny = tinyConfig({ method: { kind: "zhuang" }, objective: { kind: "guided" }, epochs: 2 });
  const state = createTrainingState(tiny, tinyDataset(tiny));
  const [before, student] = state.program.networks;
  expect(student).toMatchObject({ name: "student", startsFrom: before.name, partners: [{ name: "twin" }] });
  const [theirs, own] = [before, student].map(({ name, partners: [{ name: twin }] }) =>
    parameter(state.parameters[name], `${twin}.conv2.weight`),
  );
  expect(own).not.toEqual(theirs);
  theirs.fill(0.125);
  state.step = state.program.passes.find(({ network }) => network === "student")?.firstStep ?? Number.NaN;
  beginPass(state);
  expect(own).toEqual(theirs);
});
