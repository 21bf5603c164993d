// No kernel reads or writes beyond its buffers: browsers that we launch ourselves on a software adapter do not clamp
// indices. Tilings are in rotation over the shapes, and of kernels whose texts differ in their numbers alone every step
// has a share; with `npm run test:long` every tiling is tried at each shape, and every text.

import { expect, test } from "vitest";
import { convolutionPass } from "../../kernels/convolution/convolution-pass.ts";
import { type ConvolutionPass, passKey } from "../../kernels/convolution/pass/pass.ts";
import { NAIVE, tilingName } from "../../kernels/convolution/pass/tiling.ts";
import { lookUp } from "../../kernels/layers/look-up.ts";
import { poolBackward, poolForward } from "../../kernels/layers/pool.ts";
import { GUARANTEED_TRAITS } from "../../kernels/text/adapter-traits.ts";
import type { Kernel } from "../../kernels/text/kernel.ts";
import { outputHeight, outputWidth, type WindowShape } from "../../shared/model/window.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { compilePlan, type PlanOptions } from "../../worker/plan/plan.ts";
import { classificationLoss } from "../../worker/tasks/classification.ts";
import { operandElements, passOperands } from "../../worker/tuning/pass-operands.ts";
import { testDevice, withErrorScopes } from "../fixtures/device.ts";
import { guardedText, indexOutside } from "../fixtures/guarded-kernel.ts";
import { inRotation, sizesInRotation } from "../fixtures/in-rotation.ts";
import { phaseOf } from "../fixtures/phases.ts";
import { tinyConfig, tinyDataset } from "../fixtures/tiny-run.ts";
import { everyTiling } from "../verify/forced-tilings.ts";
import { planesPass } from "./planes-cases.ts";

test("guardedText compares nested indices, and nothing but indices of storage buffers", () => {
  const wgsl = `@group(0) @binding(0) var<storage, read> x: array<f32>;
let a = x[i + x[j]]; let b = other[x_0]; v.x[1u] = 2;`;
  expect(guardedText({ label: "", wgsl, bindings: [{ name: "x", access: "read" }], grid: [1, 1, 1] })).toContain(
    "let a = x[guard(i + x[guard(j, arrayLength(&x))], arrayLength(&x))]; let b = other[x_0]; v.x[1u] = 2;",
  );
});

test("indexOutside finds an index beyond the end", async () => {
  const wgsl = `@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1)
fn main() { y[7u] = y[2u]; }`;
  const kernel: Kernel = { label: "", wgsl, bindings: [{ name: "y", access: "read_write" }], grid: [1, 1, 1] };
  expect(await indexOutside(await testDevice(), kernel, [32])).toBe(0);
  expect(await indexOutside(await testDevice(), kernel, [28])).toBe(7);
});

const SHAPES: readonly WindowShape[] = [
  { n: 1, h: 9, w: 7, in: 33, out: 33, kernel: 3, stride: 2, padding: 1 },
  { n: 3, h: 6, w: 5, in: 12, out: 20, kernel: 3, stride: 1, padding: 1 },
  { n: 2, h: 9, w: 9, in: 3, out: 16, kernel: 7, stride: 2, padding: 3 },
  { n: 2, h: 6, w: 5, in: 5, out: 7, kernel: 3, stride: 2, padding: 1, groups: 3 },
];

/** The passes of a shape; variants of one verb stand together. */
function passesOf(shape: WindowShape, turn: number): readonly ConvolutionPass[] {
  const dx = { surrogate: "bireal", accumulate: true } as const;
  return [
    { verb: "convForward", shape, bias: true },
    { verb: "convInputGradient", shape, accumulate: false },
    { verb: "convWeightGradient", shape },
    { verb: "binaryConvForward", shape, rectify: "kernel" },
    { verb: "binaryConvForward", shape, rectify: "out" },
    { verb: "binaryConvForward", shape, rectify: "filter" },
    { verb: "binaryConvInputGradient", shape, rectify: "kernel", ...dx },
    { verb: "binaryConvInputGradient", shape, rectify: "filter", ...dx },
    { verb: "binaryConvWeightGradient", shape },
    ...(shape.groups === undefined ? [planesPass(shape, turn)] : []),
  ];
}

/** Turns of a pass alone; a verb of several variants has as many as it has variants and shapes. */
const ROTATION = 4;

const DUE = SHAPES.flatMap((shape, at) => {
  const passes = passesOf(shape, at);
  return passes.map((pass, index) => {
    const variants = passes.filter(({ verb }) => verb === pass.verb).length;
    const variant = index - passes.findIndex(({ verb }) => verb === pass.verb);
    const turns = Math.max(ROTATION, variants * SHAPES.length);
    return [passKey(pass), pass, at * variants + variant, turns] as const;
  });
});

test.each(DUE)("%s stays inside, whatever its tiling", { timeout: 300_000 }, async (_key, pass, turn, turns) => {
  const device = await testDevice();
  const sizes = new Map(passOperands(pass).map((operand) => [operand.name, 4 * operandElements(operand)]));
  for (const tiling of [NAIVE, ...inRotation(everyTiling(pass, GUARANTEED_TRAITS), turn, turns)]) {
    const { kernels, scratchBytes } = convolutionPass(pass, tiling);
    for (const kernel of kernels) {
      const bytes = kernel.bindings.map(({ name }) => (name === "scratch" ? scratchBytes : sizes.get(name)!));
      const outside = await withErrorScopes(device, () => indexOutside(device, kernel, bytes));
      expect(outside, `${kernel.label} ${tilingName(tiling)}`).toBe(0);
    }
  }
});

test.each([
  { n: 2, h: 9, w: 8, in: 6, out: 6, kernel: 3, stride: 2, padding: 1 },
  { n: 2, h: 7, w: 9, in: 8, out: 8, kernel: 2, stride: 2, padding: 0 },
  { n: 2, h: 8, w: 7, in: 5, out: 5, kernel: 2, stride: 3, padding: 0 },
])("pools of $h x $w by $kernel stay inside", async (shape) => {
  const device = await testDevice();
  const x = 4 * shape.n * shape.h * shape.w * shape.in;
  const y = 4 * shape.n * outputHeight(shape) * outputWidth(shape) * shape.in;
  for (const kind of ["max", "avg"] as const) {
    for (const kernel of [poolForward({ shape, kind }), poolBackward({ shape, kind, accumulate: true })]) {
      const bytes = kernel.bindings.map(({ name }) => (name === "x" || name === "dx" ? x : y));
      expect(await withErrorScopes(device, () => indexOutside(device, kernel, bytes)), kernel.label).toBe(0);
    }
  }
});

test.each([1, 2, 3, 4, 5, 63, 64, 67])("a look-up of %d pixels stays inside", async (pixels) => {
  const device = await testDevice();
  for (const channels of [1, 3]) {
    const size = pixels * channels;
    const kernel = lookUp({ size, channels });
    const bytes = [4 * Math.ceil(size / 4), 4 * 256 * channels, 4 * size];
    expect(await withErrorScopes(device, () => indexOutside(device, kernel, bytes))).toBe(0);
  }
});

const resNet = { kind: "resnet", widths: [4, 33], blocks: [1, 1] };
/** No text that a step before this one had, and of texts that differ in sizes alone one in eight. */
const isDue = sizesInRotation(8);

test.each([
  ["LeNet", { model: { kind: "lenet", widths: [4, 6, 33] } }, ["student", "teacher", "evaluate-student"]],
  ["ResNet", { model: resNet }, ["student"]],
  ["ResNet for large images", { model: { ...resNet, widths: [6], blocks: [1], stem: "imagenet" } }, ["student"]],
  ["DoReFa-Net", { model: resNet, method: { kind: "dorefa", weightBits: 2, gradientBits: 6 } }, ["student"]],
  ["ABC-Net", { model: resNet, method: { kind: "abc" } }, ["student", "evaluate-student"]],
  ["TTQ", { model: resNet, method: { kind: "ttq" } }, ["student"]],
  ["XNOR-Net++", { model: resNet, method: { kind: "xnorpp" } }, ["student"]],
  ["XNOR-Net with K", { model: resNet, method: { kind: "xnor", inputScale: true } }, ["student"]],
] as const)("every kernel of a %s step stays inside", { timeout: 300_000 }, async (_name, overrides, phases) => {
  const device = await testDevice();
  const config = tinyConfig({ ...overrides, batch: 3, microbatch: 3 });
  const networks = buildNetworks(config, tinyDataset(config));
  for (const phase of phases) {
    const base: PlanOptions = {
      networks,
      phase: phaseOf(phase, overrides),
      n: 3,
      weights: { adversarial: 1 },
      adversarialReduce: "mean",
      loss: classificationLoss(0.1),
      accumulate: "exact",
    };
    for (const packing of ["words", "lanes"] as const) {
      for (const { kernel, refs } of compilePlan({ ...base, packing, memory: "recompute" }).list.launches) {
        if (!isDue(kernel.wgsl)) continue;
        const bytes = refs.map((ref) => ref.bytes);
        expect(await withErrorScopes(device, () => indexOutside(device, kernel, bytes)), kernel.label).toBe(0);
      }
    }
  }
});
