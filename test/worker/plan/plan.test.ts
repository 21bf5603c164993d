// The plan's rules: what WebGPU would refuse is refused here without a device, for every phase and network.

import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import type { ContributionTensor } from "../../../shared/wire/contribution.ts";
import { type MemoryMode, memoryModes } from "../../../worker/plan/kept-values.ts";
import type { Launch, Ref } from "../../../worker/plan/launch-list.ts";
import { compilePlan } from "../../../worker/plan/plan.ts";
import { assignSlots, peakBytes } from "../../../worker/plan/slots.ts";
import { classificationLoss } from "../../../worker/tasks/classification.ts";
import { phaseOf } from "../../fixtures/phases.ts";

const gray = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };
const color = { shape: { h: 32, w: 32, c: 3 }, classes: 7 };
const networks = {
  "LeNet 12-24-96": buildNetworks(parseConfig({}), gray),
  "ResNet 8-16 with C per layer": buildNetworks(
    parseConfig({ model: { kind: "resnet", widths: [8, 16], blocks: [1, 2] }, method: { rectify: "layer" } }),
    color,
  ),
  "ResNet with the ImageNet stem and ReLU": buildNetworks(
    parseConfig({ model: { kind: "resnet", widths: [8, 33], blocks: [1, 1], stem: "imagenet", activation: "relu" } }),
    color,
  ),
};
type Name = keyof typeof networks;
const rounds = ["teacher", "student", "bn", "evaluate-student", "evaluate-teacher"];

function planOf(name: Name, phase: string, memory: MemoryMode = "keep") {
  return compilePlan({
    networks: networks[name],
    phase: phaseOf(phase),
    n: 5,
    weights: { adversarial: 1 },
    adversarialReduce: "mean",
    loss: classificationLoss(0),
    accumulate: "exact",
    memory,
  });
}

/** Each binding of a launch with what the kernel does to it. */
function bindingsOf({
  kernel,
  refs,
}: Launch): { readonly name: string; readonly ref: Ref; readonly writes: boolean }[] {
  return kernel.bindings.map((binding, i) => ({
    name: `${kernel.label}.${binding.name}`,
    ref: refs[i],
    writes: binding.access === "read_write",
  }));
}

describe.each(Object.keys(networks) as Name[])("%s", (name) => {
  test.each(rounds)("a %s round never binds one buffer both read and read_write", (phase) => {
    const { list } = planOf(name, phase);
    const { slotOf } = assignSlots(list);
    for (const launch of list.launches) {
      const bindings = bindingsOf(launch).map((b) => ({
        ...b,
        buffer: b.ref.kind === "external" ? b.ref.buffer : slotOf[b.ref.id],
      }));
      const written = new Set(bindings.filter((b) => b.writes).map((b) => b.buffer));
      expect(bindings.filter((b) => !b.writes && written.has(b.buffer)).map((b) => b.name)).toEqual([]);
    }
  });

  test.each(rounds)("a %s round launches nothing whose results nobody reads", (phase) => {
    const { launches } = planOf(name, phase).list;
    const read = new Set<number>();
    const wasted: string[] = [];
    for (const launch of [...launches].reverse()) {
      const bindings = bindingsOf(launch);
      const outlives = ({ ref }: { ref: Ref }) => ref.kind === "external" || read.has(ref.id);
      if (!bindings.some((b) => b.writes && outlives(b))) wasted.push(launch.kernel.label);
      for (const { ref } of bindings) if (ref.kind === "transient") read.add(ref.id);
    }
    expect(wasted).toEqual([]);
  });

  test.each(rounds)("a %s round keeps to the guaranteed limits", (phase) => {
    for (const launch of planOf(name, phase).list.launches) {
      expect(launch.refs.length).toBeLessThanOrEqual(8);
      for (const size of launch.kernel.grid) expect(size).toBeLessThanOrEqual(65_535);
      for (const { ref } of bindingsOf(launch)) {
        expect(ref.offset % 256).toBe(0);
        expect(ref.bytes % 4).toBe(0);
        expect(ref.bytes).toBeGreaterThan(0);
      }
    }
  });

  test("a tensor is written before it is read", () => {
    const written = new Set<number>();
    const unwritten: string[] = [];
    for (const launch of planOf(name, "student").list.launches) {
      for (const b of bindingsOf(launch)) {
        if (b.ref.kind === "transient" && !b.writes && !written.has(b.ref.id)) unwritten.push(b.name);
      }
      for (const b of bindingsOf(launch)) if (b.ref.kind === "transient" && b.writes) written.add(b.ref.id);
    }
    expect(unwritten).toEqual([]);
  });

  test.each(rounds)("a %s round writes every tensor of its contribution", (phase) => {
    const { list, layout } = planOf(name, phase);
    // Discriminators that share a dispatch share a range; discriminators.test.ts checks that each tensor in it is
    // written.
    const written = list.launches
      .flatMap(bindingsOf)
      .filter(({ ref, writes }) => writes && ref.kind === "external" && ref.buffer === "gradient")
      .map(({ ref }) => [ref.offset / 4, (ref.offset + ref.bytes) / 4] as const);
    const isWritten = ({ offset, size }: ContributionTensor) =>
      written.some(([start, end]) => start <= offset && offset + size <= end);
    expect(layout.tensors.filter((tensor) => !isWritten(tensor))).toEqual([]);
  });

  test.each(memoryModes)(
    "a %s plan takes what it says, and next to nothing over what is alive at once",
    async (memory) => {
      const { list, memory: said } = planOf(name, "student", memory);
      const sum = assignSlots(list).slotBytes.reduce((a, b) => a + b, 0);
      expect(said.bytes).toBe(sum);
      expect(sum).toBeLessThan(1.25 * peakBytes(list.lifetimes));
    },
  );
});
