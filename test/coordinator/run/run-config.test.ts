// What a run's configuration is made of, and which word is the last.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openFreshRun } from "../../../coordinator/run/open-run.ts";
import { resumedConfig } from "../../../coordinator/run/resume-config.ts";
import { readRunConfig } from "../../../coordinator/run/run-config.ts";
import { writeNoiseImages } from "../../fixtures/noise-images.ts";
import { scratchFolder, tinyConfig } from "../../fixtures/test-run.ts";

test("without a file the shipped example is taken", async () => {
  expect(await readRunConfig({ full: false, set: [] })).toMatchObject({
    name: "fashion-lenet",
    model: { kind: "lenet" },
  });
});

test("--set goes over --full and the file, --seed over all, and a later --set over an earlier", async () => {
  const file = join(await scratchFolder(), "run.yaml");
  await writeFile(file, "seed: 1\nepochs: 4\ndata: { trainSamples: 9, testSamples: 9 }\n");
  const set = ["data.testSamples=50", "epochs=6", "epochs=7", "seed=2"];
  const config = await readRunConfig({ file, full: true, set, seed: 3 });
  expect(config).toMatchObject({ seed: 3, epochs: 7, data: { trainSamples: 2 ** 31 - 1, testSamples: 50 } });
});

test("run.yaml in the run's folder is complete, says how many images all are, and starts the same run again", async () => {
  const folder = await scratchFolder();
  const root = join(folder, "images");
  await writeNoiseImages(root);
  const set = Object.entries({ ...tinyConfig, "data.kind": "idx", "data.root": root }).map(
    ([field, value]) => `${field}=${JSON.stringify(value)}`,
  );
  const run = await openFreshRun(await readRunConfig({ full: true, set }), join(folder, "run"));
  await run.log.close();
  expect(run.state.config.data).toMatchObject({ trainSamples: 256, testSamples: 96, root });
  const file = join(folder, "run", "run.yaml");
  expect(await readRunConfig({ file, full: false, set: [] })).toEqual(run.state.config);
  expect(await readFile(file, "utf8")).toContain("everySteps: 3");
});

test("U60 a run of several coordinators with a robust mean is CONFIG_INVALID before anything is written, and one in process is not", async () => {
  const folder = await scratchFolder();
  const root = join(folder, "images");
  await writeNoiseImages(root);
  const nats = { kind: "nats", servers: "nats://127.0.0.1:1", run: "r", id: "c-0" };
  for (const clip of ["centered-clip", "trimmed-mean"]) {
    const set = Object.entries({
      ...tinyConfig,
      codec: "int8",
      "data.kind": "idx",
      "data.root": root,
      "trust.clip": clip,
    });
    const config = await readRunConfig({
      full: true,
      set: set.map(([field, value]) => `${field}=${JSON.stringify(value)}`),
    });
    const there = join(folder, clip);
    const shared = openFreshRun({ ...config, engine: nats } as typeof config, there);
    await expect(shared).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringMatching(new RegExp(`^trust.clip: ${clip} .* take auto, norm or none`)),
    });
    expect(await readdir(folder)).toEqual(["images"]);
  }
  const set = Object.entries({
    ...tinyConfig,
    codec: "int8",
    "data.kind": "idx",
    "data.root": root,
    "trust.clip": "trimmed-mean",
  });
  const run = await openFreshRun(
    await readRunConfig({ full: true, set: set.map(([field, value]) => `${field}=${JSON.stringify(value)}`) }),
    join(folder, "alone"),
  );
  expect(await readdir(folder)).toContain("alone");
  await run.log.close();
  await run.claim.release();
  // Nor does it go on with several.
  const again = resumedConfig(join(folder, "alone"), run.state.config, [`engine=${JSON.stringify(nats)}`]);
  await expect(again).rejects.toMatchObject({ code: "CONFIG_INVALID", message: expect.stringContaining("trust.clip") });
});
