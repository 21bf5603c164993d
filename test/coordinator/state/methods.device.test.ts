// The methods of the literature on a device: each trains, keeps its W where it wants it, and sends with every W what
// follows from it.
import { describe, expect, test } from "vitest";
import { decodeTensors, encodeTensors } from "../../../coordinator/checkpoint/checkpoint-tensors.ts";
import { parametersHash, type TrainingState } from "../../../coordinator/state/training-state.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import { fell, realSteps } from "../../fixtures/real-steps.ts";

const run = {
  name: "methods",
  seed: 7,
  data: { kind: "idx", trainSamples: 40, testSamples: 5 },
  batch: 20,
  microbatch: 20,
  epochs: 20,
  optimizer: { learningRate: 0.02, schedule: { kind: "constant" } },
};
const leNet = { kind: "lenet", widths: [4, 8, 32] };

function within(state: TrainingState, bound: number): boolean {
  const { latent } = state.networks.student;
  return latent.every(({ weight }) =>
    parameter(state.parameters.student, weight.name).every((w) => Math.abs(w) <= bound),
  );
}

/** The mean of |W| of each filter, or 1. */
function expectedScale(kind: string, weight: Float32Array, scales: number): number[] {
  if (kind === "bnn") return [1];
  const n = weight.length / scales;
  return Array.from({ length: scales }, (_, o) => {
    return weight.subarray(o * n, (o + 1) * n).reduce((sum, w) => sum + Math.abs(w), 0) / n;
  });
}

describe.each([
  { kind: "xnor" },
  { kind: "xnor", gradient: "code", blockOrder: "paper" },
  { kind: "bireal" },
  { kind: "bireal", gradient: "pytorch" },
  { kind: "bnn" },
  { kind: "bnn", gradient: "open", blockOrder: "paper" },
])("%j", { timeout: 300_000 }, (method) => {
  const config = parseConfig({ ...run, method, model: leNet });

  test("the task's loss falls, W stays within 1, and the scale follows each W", async () => {
    const { state, losses } = await realSteps(config, 24, (now) => {
      expect(within(now, 1)).toBe(true);
      for (const { weight, companions } of now.networks.student.latent) {
        const c = parameter(now.parameters.student, companions.c.name);
        const w = parameter(now.parameters.student, weight.name);
        expectedScale(method.kind, w, c.length).forEach((scale, i) => {
          expect(c[i]).toBeCloseTo(scale, 5);
        });
      }
    });
    expect(fell(losses), losses.map(({ task }) => task.toFixed(3)).join(" ")).toBe(true);
    expect(Object.keys(losses[0]).sort()).toEqual(["task", "total"]);
    expect(losses[0].total).toBe(losses[0].task);

    // A checkpoint has no scales, and gives them back.
    const files = encodeTensors(state, "run");
    const bytes = new Map([...files].map(([name, file]) => [name, file.bytes]));
    const restored = { ...state, ...decodeTensors(bytes, state.networks, state.program) };
    expect(parametersHash(restored, "student")).toBe(parametersHash(state, "student"));
  });
});

test("a small WRN trains in the order of a block of XNOR-Net's authors", { timeout: 300_000 }, async () => {
  const model = { kind: "wrn", depth: 10, widths: [8, 8, 8, 8] };
  const optimizer = { learningRate: 0.1, schedule: { kind: "constant" } };
  const config = parseConfig({ ...run, method: { kind: "xnor", blockOrder: "paper" }, model, optimizer });
  const { losses } = await realSteps(config, 16);
  expect(fell(losses), losses.map(({ task }) => task.toFixed(3)).join(" ")).toBe(true);
});

test("W steps by Adam where the configuration says so, by the rate of BNN's authors, and goes on so from a checkpoint", async () => {
  const latent = { kind: "adam", rate: 0.5, glorot: true };
  const optimizer = { learningRate: 0.02, schedule: { kind: "constant" }, latent };
  const config = parseConfig({ ...run, method: { kind: "bnn" }, model: leNet, optimizer });
  const weights: Float32Array[] = [];
  const { state, losses } = await realSteps(config, 12, ({ parameters }) => {
    weights.push(parameter(parameters.student, "conv2.weight").slice());
  });
  expect(fell(losses), losses.map(({ task }) => task.toFixed(3)).join(" ")).toBe(true);
  // Adam's step is at most about its rate, which here is 0.01 times 1/sqrt(1.5 / (25 · (4 + 8))).
  const rate = 0.01 * Math.sqrt((25 * (4 + 8)) / 1.5);
  const moved = weights[1].map((w, i) => Math.abs(w - weights[0][i]));
  expect(Math.max(...moved)).toBeLessThan(1.5 * rate);
  expect(moved.filter((change) => change > 0.1 * rate).length).toBeGreaterThan(moved.length / 2);
  expect(state.adamStep).toBe(12);
  const files = new Map([...encodeTensors(state, "run")].map(([name, { bytes }]) => [name, bytes]));
  const restored = decodeTensors(files, state.networks, state.program);
  expect(restored.adamSecond.get("conv2.weight")).toEqual(state.adamSecond.get("conv2.weight"));
}, 300_000);
