// A method written in this file only: with a companion that is learned, one that is derived and one that is state, a
// gradient and a loss of its own. It is configured, trained on a device, checkpointed and refused as those of the table
// are; nothing else is edited for it.

import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { decodeTensors, encodeTensors, MODEL_FILE } from "../../coordinator/checkpoint/checkpoint-tensors.ts";
import { readSafetensors } from "../../shared/base/safetensors.ts";
import { commonBlock, companionOf, defineMethod, signBody } from "../../shared/model/methods/method.ts";
import { methods } from "../../shared/model/methods/methods.ts";
import { plainProgram } from "../../shared/model/methods/programs.ts";
import { parseConfig } from "../../shared/run/config.ts";
import { parameter } from "../../shared/wire/parameter-blob.ts";
import { wireForm } from "../../shared/wire/parameter-set.ts";
import { fell, realSteps } from "../fixtures/real-steps.ts";

/**
 * conv(sign x, sign W ⊙ c) with c = a · mean|W|: a is learned for each tap, c follows from W and a, and `updates`
 * counts.
 */
const toy = defineMethod({
  kind: "toy",
  schema: z.strictObject({ kind: z.literal("toy"), decay: z.number().min(0).default(0.01) }),
  create: ({ decay }) => {
    const size = (weight: Float32Array) => weight.reduce((sum, w) => sum + Math.abs(w), 0) / weight.length;
    return {
      binarizesInput: true,
      block: commonBlock,
      body: signBody({
        rectify: "kernel",
        surrogate: "ste",
        companions: ({ kernel }) => [
          { name: "a", role: "learned", shape: [1, kernel, kernel, 1] },
          { name: "c", role: "derived", shape: [1, kernel, kernel, 1] },
          { name: "updates", role: "state", shape: [1] },
        ],
      }),
      rule: {
        companion: (name, layer) => {
          const [, kh, kw] = layer.shape;
          if (name === "a") return new Float32Array(kh * kw).fill(1);
          if (name === "updates") return Float32Array.of(0);
          return companionOf(layer, "a").map((a) => a * size(layer.weight));
        },
        gradients: (layer, gradient) => {
          const { weight, shape } = layer;
          const c = companionOf(layer, "c");
          const tap = (i: number) => Math.floor(i / shape[3]) % c.length;
          const signed = new Float64Array(c.length);
          gradient.forEach((g, i) => {
            signed[tap(i)] += weight[i] < 0 ? -g : g;
          });
          return {
            weight: gradient.map((g, i) => g * c[tap(i)] + decay * weight[i]),
            learned: { a: signed.map((g) => g * size(weight)) },
            losses: { shrink: (decay / 2) * weight.reduce((sum, w) => sum + w * w, 0) },
          };
        },
        settle: ({ companions: { updates } }) => {
          if (updates) updates[0] += 1;
        },
      },
    };
  },
  phases: (_, run) => plainProgram(run),
});

const configOf = (method: Record<string, unknown>) =>
  parseConfig({
    seed: 3,
    method,
    model: { kind: "lenet", widths: [4, 8, 32] },
    data: { kind: "idx", trainSamples: 40, testSamples: 5 },
    batch: 20,
    microbatch: 10,
    epochs: 20,
    optimizer: { learningRate: 0.02, schedule: { kind: "constant" } },
  });

let remove: () => void;
beforeAll(() => {
  remove = methods.add(toy);
});
afterAll(() => {
  remove();
  expect(() => configOf({ kind: "toy" })).toThrow(/method.kind/);
});

test("a toy method is configured by its own schema, and refused by its own rules", () => {
  expect(configOf({ kind: "toy" }).method).toEqual({ kind: "toy", decay: 0.01 });
  expect(() => configOf({ kind: "toy", decay: -1 })).toThrow(/method.decay/);
  expect(() => parseConfig({ method: { kind: "toy" }, sync: { kind: "local" } })).toThrow(
    /sync.kind: .*method toy has no rule/,
  );
});

test("a toy method trains on a device: its loss falls, what it learns moves, what it derives follows", {
  timeout: 300_000,
}, async () => {
  const config = configOf({ kind: "toy" });
  const { state, losses } = await realSteps(config, 24);
  expect(fell(losses), losses.map(({ task }) => task.toFixed(3)).join(" ")).toBe(true);
  for (const { task, shrink, total } of losses) {
    expect(shrink).toBeGreaterThan(0);
    expect(total).toBe(task + shrink);
  }
  const values = state.parameters.student;
  for (const layer of ["conv2", "conv3"]) {
    const [a, c, updates, weight] = ["a", "c", "updates", "weight"].map((name) =>
      parameter(values, `${layer}.${name}`),
    );
    expect(a.some((value) => value !== 1)).toBe(true);
    const size = weight.reduce((sum, w) => sum + Math.abs(w), 0) / weight.length;
    a.forEach((value, tap) => {
      expect(c[tap]).toBeCloseTo(value * size, 5);
    });
    expect(updates[0]).toBe(24);
  }

  // Workers hold what they compute with; checkpoints hold what does not follow.
  const { layout } = wireForm(state.networks, config, "student");
  const sent = [...layout.tensors.keys()].filter((name) => name.startsWith("conv2."));
  expect(sent).toEqual(["conv2.weight", "conv2.a", "conv2.c"]);
  const files = new Map([...encodeTensors(state, "run")].map(([name, { bytes }]) => [name, bytes]));
  const kept = [...readSafetensors(files.get(MODEL_FILE)!).tensors.keys()].filter((name) => name.startsWith("conv2."));
  expect(kept).toEqual(["conv2.weight", "conv2.a", "conv2.updates"]);
  const restored = decodeTensors(files, state.networks, state.program).parameters.student;
  expect(new Map([...restored].sort())).toEqual(new Map([...values].sort()));
});
