// A model written in this file only: configured by its own schema, built for any method, and trained on a device;
// nothing else is edited for it.

import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { defineModel, graphOfOne, width } from "../../shared/model/networks/model.ts";
import { models } from "../../shared/model/networks/models.ts";
import { parseConfig } from "../../shared/run/config.ts";
import { fell, realSteps } from "../fixtures/real-steps.ts";

/** A stem, then layers of one width that can be binary, each behind a norm, the last of them over the whole map. */
const toy = defineModel({
  kind: "toy",
  schema: z.strictObject({ kind: z.literal("toy"), width: width.default(16), layers: width.default(1) }),
  check: ({ width, layers }) =>
    width * layers <= 64 ? [] : [`model.width: times model.layers must be at most 64; got ${width * layers}`],
  build: ({ width, layers }, io, method) => {
    const g = graphOfOne(io);
    let h = g.add({ op: "conv", name: "stem", input: g.input, out: width, kernel: 5, stride: 3, padding: 0 });
    for (let i = 0; i < layers; i++) {
      h = g.add({ op: "batchnorm", name: `bn${i}`, input: h });
      const window = i === layers - 1 ? { kernel: g.shape(h).h, padding: 0 } : { kernel: 3, padding: 1 };
      h = method.body(g, { name: `body${i}`, input: h, out: width, stride: 1, ...window });
    }
    h = g.add({ op: "batchnorm", name: "last", input: h });
    h = g.activation("relu", "relu", h);
    return g.build(io.head(g, h));
  },
});

const configOf = (model: Record<string, unknown>, method: Record<string, unknown>) =>
  parseConfig({
    seed: 3,
    model,
    method,
    data: { kind: "idx", trainSamples: 40, testSamples: 5 },
    batch: 20,
    microbatch: 10,
    epochs: 20,
    optimizer: { learningRate: 0.05, schedule: { kind: "constant" } },
  });

let remove: () => void;
beforeAll(() => {
  remove = models.add(toy);
});
afterAll(() => {
  remove();
  expect(() => parseConfig({ model: { kind: "toy" } })).toThrow(/model.kind/);
});

test("a toy model is configured by its own schema, and refused by its own rules", () => {
  expect(parseConfig({ model: { kind: "toy", layers: 2 } }).model).toEqual({ kind: "toy", width: 16, layers: 2 });
  expect(() => parseConfig({ model: { kind: "toy", depth: 2 } })).toThrow(/model.depth/);
  expect(() => parseConfig({ model: { kind: "toy", layers: 8 } })).toThrow(/model.width: .*at most 64; got 128/);
});

test.each([{ kind: "rbcn", ablation: "R" }, { kind: "xnor" }])(
  "a toy model trains on a device by %j",
  {
    timeout: 300_000,
  },
  async (method) => {
    const { state, losses } = await realSteps(configOf({ kind: "toy", layers: 2 }, method), 20);
    expect(state.networks.student.latent.map(({ weight }) => weight.name)).toEqual(["body0.weight", "body1.weight"]);
    expect(fell(losses), losses.map(({ task }) => task.toFixed(3)).join(" ")).toBe(true);
  },
);
