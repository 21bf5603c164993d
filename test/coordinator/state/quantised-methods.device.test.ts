// Methods of bit planes, of factors of the output and of stages, on a device: each trains, and a checkpoint gives back
// what workers hold. Those that test/e2e/methods has a line of are not here again.
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
  epochs: 12,
  objective: { kind: "none" },
  tuneNorms: "off",
  optimizer: { learningRate: 0.02, schedule: { kind: "constant" } },
};
const leNet = { kind: "lenet", widths: [4, 8, 32] };
const configOf = (method: Record<string, unknown>) => parseConfig({ ...run, method, model: leNet });

/** The state as a checkpoint gives it back. */
function restored(state: TrainingState): TrainingState {
  const bytes = new Map([...encodeTensors(state, "run")].map(([name, file]) => [name, file.bytes]));
  return { ...state, ...decodeTensors(bytes, state.networks, state.program) };
}

function valuesOf({ networks, parameters, program }: TrainingState, companion: string): readonly Float32Array[] {
  const name = program.primary;
  return networks[name].latent.flatMap(({ companions }) =>
    companions[companion] ? [parameter(parameters[name], companions[companion].name)] : [],
  );
}

describe.each([
  { kind: "dorefa", weightBits: 4, activationBits: 4, gradientBits: 6 },
  { kind: "dorefa", weightBits: 32, activationBits: 2 },
  { kind: "abc", weightBases: 1, activationBases: 1, scale: "out", blockOrder: "paper" },
  { kind: "polino", bits: 2, bucket: "out", backward: "full" },
  { kind: "polino", points: true, pointRate: 0.1 },
  { kind: "xnorpp", axes: "out", keepAlpha: true, centre: true, edge: "open", pretrain: 0 },
  { kind: "zhuang", stages: "progressive", progression: [32, 4] },
])("%j", { timeout: 300_000 }, (method) => {
  test("the task's loss falls, and a checkpoint gives back what workers hold", async () => {
    const { state, losses } = await realSteps(configOf(method), 24);
    expect(fell(losses), losses.map(({ task }) => task.toFixed(3)).join(" ")).toBe(true);
    expect(parametersHash(restored(state), "student")).toBe(parametersHash(state, "student"));
  });
});

test("W is held while its points are learned", { timeout: 300_000 }, async () => {
  const seen: { readonly weight: Float32Array; readonly points: Float32Array }[] = [];
  await realSteps(configOf({ kind: "polino", points: true, pointRate: 0.5, pretrain: 0.25 }), 12, (state) => {
    if (state.step < 6) return;
    const [points] = valuesOf(state, "points");
    seen.push({ weight: parameter(state.parameters.student, "conv2.weight").slice(), points: points.slice() });
  });
  const [first, last] = [seen[0], seen[seen.length - 1]];
  expect(last.weight).toEqual(first.weight);
  expect(last.points).not.toEqual(first.points);
  expect([...last.points]).toEqual([...last.points].sort((a, b) => a - b));
});

describe("masks of one layer", { timeout: 300_000 }, () => {
  const steps = 48;
  const masksAfter = async (options: Record<string, unknown>) => {
    const method = { kind: "rbcn-pruned", pretrain: 0, ablation: "R", ...options };
    const optimizer = { ...run.optimizer, rectifierRate: 5 };
    const { state } = await realSteps(
      parseConfig({ ...run, epochs: steps / 2, optimizer, method, model: leNet }),
      steps,
    );
    for (const momentum of valuesOf(state, "momentum")) expect(momentum[0]).toBeGreaterThan(steps / 3);
    return valuesOf(state, "mask");
  };
  const spread = (mask: Float32Array) => Math.max(...mask) - Math.min(...mask);

  test("become unlike: their penalty takes some filters, and the task keeps others", async () => {
    const masks = await masksAfter({ lambdaMask: 0.06 });
    for (const mask of masks) {
      expect([...mask]).toContain(0);
      expect(spread(mask), mask.join(" ")).toBeGreaterThan(0.1);
    }
  });

  test("stay alike between a convolution and its norm, which undoes them", async () => {
    for (const mask of await masksAfter({ lambdaMask: 0.02, maskPlace: "convolution" })) {
      expect(Math.max(...mask)).toBeLessThan(0.9);
      expect(Math.min(...mask)).toBeGreaterThan(0);
      expect(spread(mask), mask.join(" ")).toBeLessThan(1e-3);
    }
  });
});

test("gains of an output, shifts and scales of bases move", { timeout: 300_000 }, async () => {
  const moved = async (method: Record<string, unknown>, names: readonly string[]) => {
    const { state } = await realSteps(configOf(method), 2);
    const first = await realSteps(configOf(method), 1);
    for (const name of names) {
      const [now, before] = [state, first.state].map(({ parameters }) => parameter(parameters.student, name));
      expect(now, name).not.toEqual(before);
    }
  };
  await moved({ kind: "xnorpp", pretrain: 0 }, ["conv2.gamma.out", "conv2.gamma.h", "conv2.gamma.w"]);
  await moved({ kind: "abc" }, ["conv2.input.shift", "conv2.input.scale"]);
});
