// A plan's memory: counted before anything is allocated, a quarter of the careless plan's, and less where the adapter
// wants that.

import { describe, expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks, type Networks, wireManifest } from "../../../shared/run/networks.ts";
import { METRICS } from "../../../shared/wire/contribution.ts";
import { blobLayout } from "../../../shared/wire/parameter-blob.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { fitPlan, type PlanLimits } from "../../../worker/plan/fit-plan.ts";
import { memoryModes } from "../../../worker/plan/kept-values.ts";
import { arenaRefs, compilePlan, type PlanOptions } from "../../../worker/plan/plan.ts";
import { peakBytes } from "../../../worker/plan/slots.ts";
import { classificationLoss } from "../../../worker/tasks/classification.ts";
import { testDevice } from "../../fixtures/device.ts";
import { phaseOf } from "../../fixtures/phases.ts";
import { execute, roundData } from "../../verify/execute.ts";

/** What every WebGPU device allows. */
const GUARANTEED: PlanLimits = { maxBinding: 128 * 2 ** 20, maxBuffer: 256 * 2 ** 20 };

function resNet18(widths: readonly number[], size: number): Networks {
  const stem = size > 64 ? "imagenet" : "cifar";
  const config = parseConfig({ model: { kind: "resnet", widths, blocks: [2, 2, 2, 2], stem } });
  return buildNetworks(config, { shape: { h: size, w: size, c: 3 }, classes: size > 64 ? 1000 : 100 });
}

function optionsOf(networks: Networks, n: number, phase = phaseOf("student")): Omit<PlanOptions, "memory"> {
  return {
    networks,
    phase,
    n,
    weights: { adversarial: 1 },
    adversarialReduce: "mean",
    loss: classificationLoss(0),
    accumulate: "exact",
  };
}

describe.each([
  { widths: [32, 32, 64, 128], size: 32, n: 32 },
  { widths: [32, 64, 128, 256], size: 32, n: 32 },
  { widths: [64, 64, 128, 256], size: 32, n: 32 },
  { widths: [64, 128, 256, 512], size: 224, n: 1 },
  { widths: [64, 128, 256, 512], size: 224, n: 32 },
])("ResNet-18 $widths at $size x $size, microbatch $n", ({ widths, size, n }) => {
  const options = optionsOf(resNet18(widths, size), n);

  test("takes at most a quarter of a plan that keeps everything in f32, within the guaranteed limits", () => {
    const { memory, mode, list } = fitPlan(options, GUARANTEED);
    expect(mode).toBe("keep");
    expect(memory.bytes).toBeLessThanOrEqual(memory.keptInF32 / 4);
    expect(memory.bytes).toBeLessThan(1.25 * peakBytes(list.lifetimes));
  });

  test("fits a smaller memory by computing more twice, and says what it would need where nothing helps", () => {
    const bytes = memoryModes.map((memory) => compilePlan({ ...options, memory }).memory.bytes);
    const [keep, recompute] = bytes;
    const least = Math.min(...bytes);
    expect(recompute).toBeLessThan(0.9 * keep);
    expect(fitPlan(options, { ...GUARANTEED, memory: recompute }).mode).toBe("recompute");
    expect(fitPlan(options, { ...GUARANTEED, memory: least }).memory.bytes).toBe(least);
    expect(() => fitPlan(options, { ...GUARANTEED, memory: least - 1 })).toThrow(
      expect.objectContaining({
        code: "PLAN_TOO_LARGE",
        message: expect.stringMatching(new RegExp(`needs ${least} bytes .* there are ${least - 1}`)),
      }),
    );
  });
});

test("images whose first stage holds most are made smaller by checkpoints", () => {
  const options = optionsOf(resNet18([64, 128, 256, 512], 224), 32);
  const [, recompute, checkpoint] = memoryModes.map((memory) => compilePlan({ ...options, memory }).memory.bytes);
  expect(checkpoint).toBeLessThan(0.95 * recompute);
});

test("a binding that no plan can shrink is refused with its size and the adapter's", () => {
  const options = optionsOf(resNet18([64, 128, 256, 512], 224), 64);
  expect(() => fitPlan(options, GUARANTEED)).toThrow(
    expect.objectContaining({
      code: "PLAN_TOO_LARGE",
      message: expect.stringMatching(
        /microbatch of 64 binds \d+ bytes .*allows 134217728\. Use a smaller microbatch: 32 fits/,
      ),
    }),
  );
});

describe("a small ResNet on a device", () => {
  const networks = buildNetworks(
    parseConfig({
      model: { kind: "resnet", widths: [4, 33], blocks: [1, 1], stem: "imagenet" },
      method: { ablation: "R" },
    }),
    { shape: { h: 16, w: 16, c: 3 }, classes: 5 },
  );
  const n = 3;
  const manifest = wireManifest(networks, "student");
  const draw = rng(1, "plan memory");
  const floats = (bytes: number) => Float32Array.from({ length: bytes / 4 }, () => 0.2 + Math.abs(draw.normal()));
  const data = {
    ...roundData(manifest),
    parameters: floats(blobLayout(manifest).bytes),
    "sample.image": Float32Array.from({ length: n * 16 * 16 * 3 }, () => draw.normal()),
    "sample.label": Uint32Array.from([0, 4, 2]),
  };

  test("every way to fit gives the same bits, in the memory that the plan counted", async () => {
    const cache = new PipelineCache(await testDevice());
    const results: ReadonlyMap<string, Float32Array>[] = [];
    for (const memory of memoryModes) {
      const plan = compilePlan({
        ...optionsOf(networks, n, phaseOf("student", { method: { ablation: "R" } })),
        memory,
      });
      const executed = await execute(cache, plan.list, data);
      expect(executed.bytes).toBe(plan.memory.bytes);
      const arena = arenaRefs(plan.layout);
      const named = new Map<string, Float32Array>();
      for (const { name } of plan.layout.tensors) named.set(name, await executed.read(arena(name)!));
      results.push(named);
      executed.destroy();
    }
    expect(results[0].get(METRICS)![0]).toBeGreaterThan(0);
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });
});
