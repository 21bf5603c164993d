// The plan's rules: what WebGPU would refuse is refused here without a device, for every phase and network.

import { expect, test } from "vitest";
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
const resNet = { kind: "resnet", widths: [8, 16], blocks: [1, 1] };
type Network = readonly [name: string, overrides: Record<string, unknown>, data: typeof gray];
const ofRbcn: readonly Network[] = [
  ["LeNet 12-24-96", {}, gray],
  ["ResNet 8-16 with C per layer", { model: { ...resNet, blocks: [1, 2] }, method: { rectify: "layer" } }, color],
  [
    "ResNet with the ImageNet stem and ReLU",
    { model: { ...resNet, widths: [8, 33], stem: "imagenet", activation: "relu" } },
    color,
  ],
];
const quantised: readonly Network[] = [
  { kind: "dorefa", weightBits: 2, activationBits: 2, gradientBits: 6 },
  { kind: "abc", blockOrder: "paper" },
  { kind: "ttq" },
  { kind: "xnorpp" },
  { kind: "xnor", inputScale: true },
].map((method) => [`ResNet of ${JSON.stringify(method)}`, { model: resNet, method }, color]);
const rbcnRounds = ["teacher", "student", "bn", "evaluate-student", "evaluate-teacher"];
type Round = readonly [phase: string, ...Network];
const rounds: readonly Round[] = [
  ...ofRbcn.flatMap((network) => rbcnRounds.map((round): Round => [round, ...network])),
  ...quantised.flatMap((network) => ["student", "evaluate-student"].map((round): Round => [round, ...network])),
];
const students = rounds.filter(([round]) => round === "student");

const built = new Map(
  [...ofRbcn, ...quantised].map(([name, overrides, data]) => [name, buildNetworks(parseConfig(overrides), data)]),
);

function planOf([phase, name, overrides]: Round, memory: MemoryMode = "keep") {
  return compilePlan({
    networks: built.get(name)!,
    phase: phaseOf(phase, overrides),
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

test.each(rounds)("a %s round of a %s never binds one buffer both read and read_write", (...round) => {
  const { list } = planOf(round);
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

test.each(rounds)("a %s round of a %s launches nothing whose results nobody reads", (...round) => {
  const { launches } = planOf(round).list;
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

test.each(rounds)("a %s round of a %s keeps to the guaranteed limits", (...round) => {
  for (const launch of planOf(round).list.launches) {
    expect(launch.refs.length).toBeLessThanOrEqual(8);
    for (const size of launch.kernel.grid) expect(size).toBeLessThanOrEqual(65_535);
    for (const { ref } of bindingsOf(launch)) {
      expect(ref.offset % 256).toBe(0);
      expect(ref.bytes % 4).toBe(0);
      expect(ref.bytes).toBeGreaterThan(0);
    }
  }
});

test.each(students)("in a %s round of a %s a tensor is written before it is read", (...round) => {
  const written = new Set<number>();
  const unwritten: string[] = [];
  for (const launch of planOf(round).list.launches) {
    for (const b of bindingsOf(launch)) {
      if (b.ref.kind === "transient" && !b.writes && !written.has(b.ref.id)) unwritten.push(b.name);
    }
    for (const b of bindingsOf(launch)) if (b.ref.kind === "transient" && b.writes) written.add(b.ref.id);
  }
  expect(unwritten).toEqual([]);
});

test.each(rounds)("a %s round of a %s writes every tensor of its contribution", (...round) => {
  const { list, layout } = planOf(round);
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

test.each(memoryModes.flatMap((memory) => students.map((round) => [memory, round[1], round] as const)))(
  "a %s plan of a %s takes what it says, and next to nothing over what is alive at once",
  (memory, _, round) => {
    const { list, memory: said } = planOf(round, memory);
    const sum = assignSlots(list).slotBytes.reduce((a, b) => a + b, 0);
    expect(said.bytes).toBe(sum);
    expect(sum).toBeLessThan(1.25 * peakBytes(list.lifetimes));
  },
);

test("what a layer of planes reads is packed once, and no values of it are made where nothing goes back", () => {
  const quantiseLabels = (round: Round) =>
    planOf(round)
      .list.launches.map(({ kernel }) => kernel.label)
      .filter((label) => label.startsWith("quantise "));
  for (const [evaluates, trains] of [quantised[0], quantised[1]].map((network) => [
    quantiseLabels(["evaluate-student", ...network]),
    quantiseLabels(["student", ...network]),
  ])) {
    expect(evaluates.length).toBeGreaterThan(3);
    expect(evaluates.filter((label) => label.includes("values"))).toEqual([]);
    expect(trains.filter((label) => label.includes("planes"))).toEqual(evaluates);
    expect(trains.filter((label) => label.includes("values"))).toHaveLength(evaluates.length);
  }
});
