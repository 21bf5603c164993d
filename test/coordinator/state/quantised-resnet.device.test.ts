// A small ResNet learns with each kind of node that quantises: with shortcuts around bodies of several nodes, and
// layers that halve the map. Two of the four; with `npm run test:long` all.
import { expect, test } from "vitest";
import { parseConfig } from "../../../shared/run/config.ts";
import { inRotation } from "../../fixtures/in-rotation.ts";
import { fell, realSteps } from "../../fixtures/real-steps.ts";

const run = {
  name: "nodes",
  seed: 7,
  data: { kind: "idx", trainSamples: 20, testSamples: 5 },
  model: { kind: "resnet", widths: [4, 8], blocks: [1, 1] },
  batch: 10,
  microbatch: 10,
  epochs: 12,
  objective: { kind: "none" },
  tuneNorms: "off",
  optimizer: { learningRate: 0.3, schedule: { kind: "constant" } },
};

const NODES = [
  ["maps and weights of bits, gradients of bits", { kind: "dorefa", weightBits: 2, gradientBits: 6 }],
  ["maps and weights of bases", { kind: "abc" }],
  ["factors of the output", { kind: "xnorpp", pretrain: 0 }],
  ["the input's scale", { kind: "xnor", inputScale: true }],
] as const;

test.each(inRotation(NODES, 1, 2))("with %s the task's loss falls", { timeout: 300_000 }, async (_, method) => {
  const { losses } = await realSteps(parseConfig({ ...run, method }), 10);
  expect(fell(losses), losses.map(({ task }) => task.toFixed(3)).join(" ")).toBe(true);
});
