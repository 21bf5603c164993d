// ResNet-18 and ResNet-34 at 224 pixels, with a teacher of torchvision's and discriminators: every phase's plan stays
// within what every WebGPU device allows.

import { expect, test } from "vitest";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { fitPlan } from "../../../worker/plan/fit-plan.ts";
import { classificationLoss } from "../../../worker/tasks/classification.ts";

const MIB = 2 ** 20;
/** The WebGPU specification's default limits. */
const guaranteed = {
  maxBinding: 128 * MIB,
  maxBuffer: 256 * MIB,
  bindings: 8,
  workgroups: 65_535,
};

function networksOf(depth: 18 | 34) {
  const config = parseConfig({
    model: { kind: "resnet", depth, stem: "imagenet" },
    teacher: { model: { kind: "resnet-torchvision", depth } },
  });
  const { outline } = phasesOf(config);
  return { outline, networks: buildNetworks(config, { shape: { h: 224, w: 224, c: 3 }, classes: 1000 }, outline) };
}

function optionsOf(depth: 18 | 34, phaseName: string, n: number): Parameters<typeof fitPlan>[0] {
  const { outline, networks } = networksOf(depth);
  const phase = outline.phases.find(({ name }) => name === phaseName);
  if (!phase) throw new RangeError(phaseName);
  return { networks, phase, n, adversarialReduce: "mean", loss: classificationLoss(0), accumulate: "exact" };
}

/** Microbatches with the MiB that the hungriest phase may take of an adapter's memory. */
const allowed = [
  { depth: 18, n: 1, mib: 24 },
  { depth: 18, n: 32, mib: 560 },
  { depth: 34, n: 1, mib: 32 },
  { depth: 34, n: 32, mib: 880 },
] as const;

test.each(allowed)(
  "ResNet-$depth at 224, microbatch $n: every phase fits the guaranteed limits, in $mib MiB",
  ({ depth, n, mib }) => {
    const { outline } = networksOf(depth);
    expect(outline.phases.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["teacher", "student", "bn", "evaluate-teacher", "evaluate-student"]),
    );
    for (const { name } of outline.phases) {
      const { memory, list, mode } = fitPlan(optionsOf(depth, name, n), guaranteed);
      expect(mode, name).toBe("keep");
      expect(memory.bytes, name).toBeLessThan(mib * MIB);
      for (const { kernel } of list.launches) {
        expect(kernel.bindings.length, kernel.label).toBeLessThanOrEqual(guaranteed.bindings);
        expect(Math.max(...kernel.grid), kernel.label).toBeLessThanOrEqual(guaranteed.workgroups);
      }
    }
  },
);

test("a microbatch that does not fit is refused with the one that does", () => {
  const tooLarge = (n: number, limits: Parameters<typeof fitPlan>[1]) => {
    try {
      fitPlan(optionsOf(18, "student", n), limits);
    } catch (error) {
      return error;
    }
    return undefined;
  };
  expect(tooLarge(64, guaranteed)).toMatchObject({
    code: "PLAN_TOO_LARGE",
    message: expect.stringMatching(/microbatch of 64 binds .* 32 fits \(`--set microbatch=32`/),
  });
  // An adapter of little memory.
  expect(tooLarge(16, { ...guaranteed, memory: 60 * MIB })).toMatchObject({
    message: expect.stringMatching(/microbatch of 16 needs .* 4 fits/),
  });
  expect(tooLarge(2, { ...guaranteed, memory: MIB })).toMatchObject({
    message: expect.stringMatching(/Not even a microbatch of 1 fits/),
  });
});
