// A plan on a device that lacks memory, and signs on one that packs them wrong: the next best is taken, and said where
// there is none.

import { expect, onTestFinished, test } from "vitest";
import { buildNetworks, wireManifest } from "../../../shared/run/networks.ts";
import { phaseLayout } from "../../../shared/wire/contribution.ts";
import { blobLayout } from "../../../shared/wire/parameter-blob.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { memoryModes } from "../../../worker/plan/kept-values.ts";
import { compilePlan, type PlanOptions } from "../../../worker/plan/plan.ts";
import { recordWithin } from "../../../worker/plan/record-within.ts";
import { storageBuffer } from "../../../worker/plan/recording.ts";
import { classificationLoss } from "../../../worker/tasks/classification.ts";
import { RoundBuffers } from "../../../worker/trainer/round-buffers.ts";
import { checkedPacking } from "../../../worker/tuning/packing-check.ts";
import { untuned } from "../../../worker/tuning/tuning-options.ts";
import { badDriver } from "../../fixtures/bad-driver.ts";
import { testDevice } from "../../fixtures/device.ts";
import { phaseOf } from "../../fixtures/phases.ts";
import { tinyConfig, tinyDataset } from "../../fixtures/tiny-run.ts";

const config = tinyConfig({ model: { kind: "resnet", widths: [8], blocks: [1] }, microbatch: 4, batch: 4 });
const networks = buildNetworks(config, tinyDataset(config));
const options: PlanOptions = {
  networks,
  phase: phaseOf("bn"),
  n: 4,
  adversarialReduce: "mean",
  loss: classificationLoss(0),
  accumulate: "exact",
};
const sizes = memoryModes.map((memory) => compilePlan({ ...options, memory }).memory.bytes);

/** Records on a device with this much memory beside the buffers of the round. */
async function recordOn(slotBytes: number) {
  const device = await testDevice();
  const round = new RoundBuffers(device, phaseLayout(networks, phaseOf("bn")));
  const images = storageBuffer(device, "images", 4 * 4 * 784);
  const labels = storageBuffer(device, "labels", 4 * 4);
  const parameters = storageBuffer(device, "parameters", blobLayout(wireManifest(networks, "student")).bytes);
  onTestFinished(() => {
    round.destroy();
    for (const buffer of [images, labels, parameters]) buffer.destroy();
  });
  const { gradient, segments, scales, sum, peaks } = round;
  const cache = new PipelineCache(badDriver(device, { memory: slotBytes }));
  const samples = { "sample.image": images, "sample.label": labels };
  return recordWithin(cache, options, { parameters, ...samples, gradient, segments, scales, sum, peaks });
}

test("where the device runs out of memory the plan that takes less is recorded", async () => {
  const [first] = sizes;
  const least = Math.min(...sizes);
  expect(least).toBeLessThan(first);
  for (const memory of [first, least]) {
    const recording = await recordOn(memory);
    expect(recording.bytes).toBe(memory);
    recording.destroy();
  }
});

test("where even the smallest plan is too much, PLAN_TOO_LARGE says what it needs", async () => {
  const least = Math.min(...sizes);
  await expect(recordOn(least - 4)).rejects.toMatchObject({
    code: "PLAN_TOO_LARGE",
    message: expect.stringContaining(`${least} bytes`),
  });
});

test("signs are packed as the traits suggest, unless that gives wrong bits or does not compile here", async () => {
  const device = await testDevice();
  const { traits } = untuned();
  const gpu = { ...traits, software: false };
  expect(await checkedPacking(new PipelineCache(device), traits)).toBe("words");
  expect(await checkedPacking(new PipelineCache(device), gpu)).toBe("lanes");
  const wrong = badDriver(device, { compile: (wgsl) => wgsl.replace("< 0.0", "< -9.0") });
  expect(await checkedPacking(new PipelineCache(wrong), gpu)).toBe("words");
  const broken = badDriver(device, { compile: (wgsl) => `${wgsl} nonsense` });
  expect(await checkedPacking(new PipelineCache(broken), gpu)).toBe("words");
});
