// The canary on a real device: the kernels that leases run, with sums that must be exact.

import { expect, test } from "vitest";
import { canaryAnswer, canaryLayers } from "../../../shared/model/canary.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import type { OpenDevice } from "../../../worker/device.ts";
import { answerCanary } from "../../../worker/trainer/canary.ts";
import { testDevice, withErrorScopes } from "../../fixtures/device.ts";

const images = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };

async function open(software: boolean): Promise<OpenDevice> {
  return { device: await testDevice(), adapter: { vendor: "", architecture: "", description: "", software } };
}

test.each([
  ["the shipped LeNet", {}],
  ["a LeNet with C a filter", { method: { rectify: "filter" } }],
  ["a LeNet of bits", { method: { kind: "dorefa", weightBits: 2, activationBits: 2 } }],
  ["a LeNet of bases", { method: { kind: "abc", weightBases: 2, activationBases: 2 } }],
  ["a ternary LeNet", { method: { kind: "ttq", activations: "sign" } }],
  ["a ResNet", { model: { kind: "resnet", widths: [16, 40], blocks: [1, 1] } }],
])("the GPU's sums are those that the coordinator counts: %s", async (_, config) => {
  const layers = canaryLayers(buildNetworks(parseConfig(config), images).student.graph);
  expect(layers.length).toBeGreaterThan(0);
  for (const software of [true, false]) {
    const opened = await open(software);
    const hash = await withErrorScopes(opened.device, () => answerCanary(opened, layers, 5));
    expect(hash).toBe(canaryAnswer(layers, 5));
  }
});
