// What the accuracy of int8 gradients is measured with: rounding as it should be, in front of a 1-bit layer's backward alone.
import { beforeAll, expect, test } from "vitest";
import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import { signWords, type WindowShape } from "../../shared/model/window.ts";
import { PipelineCache } from "../../worker/pipeline-cache.ts";
import { type ExternalBuffer, LaunchList, type Ref } from "../../worker/plan/launch-list.ts";
import { testDevice } from "../fixtures/device.ts";
import { execute } from "../verify/execute.ts";
import { powerOfTwoScale, roundGradient } from "./int8/quantise.ts";
import { type BackwardRounding, roundBackward } from "./int8/round-backward.ts";

const shape: WindowShape = { n: 3, h: 5, w: 7, in: 4, out: 8, kernel: 3, stride: 1, padding: 1 };
const outputs = 3 * 5 * 7 * 8;
const weights = 8 * 9 * 4;
const rectified = { rectify: "kernel", surrogate: "bireal", accumulate: false } as const;
const toWeights: ConvolutionPass = { verb: "binaryConvWeightGradient", shape };
const toInput: ConvolutionPass = { verb: "binaryConvInputGradient", shape, ...rectified };

/** Of many sizes, as the gradients of a run are. */
const dy = Float32Array.from({ length: outputs }, (_, i) => 0.01 * Math.sin(i + 1) * Math.exp(2 * Math.sin(7 * i)));
const words = (length: number) => Uint32Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 0);

function external(buffer: ExternalBuffer, elements: number): Ref {
  return { kind: "external", buffer, offset: 0, bytes: 4 * elements };
}

const gradient = external("gradient", outputs);

let cache: PipelineCache;
let rounding: BackwardRounding;
beforeAll(async () => {
  const device = await testDevice();
  cache = new PipelineCache(device);
  rounding = roundBackward(device);
});

async function run<T extends Readonly<Record<string, Ref>>>(list: LaunchList, refs: T, values = dy) {
  for (const ref of Object.values(refs)) list.keep(ref);
  const done = await execute(cache, list, {
    gradient: values,
    "sample.images": Float32Array.from({ length: outputs / 2 }, (_, i) => Math.sin(3 * i)),
    signs: words(outputs),
    parameters: words(8 * 9 * signWords(4)),
    scales: new Float32Array(9).fill(1),
  });
  const read = await Promise.all(Object.entries(refs).map(async ([name, ref]) => [name, await done.read(ref)]));
  done.destroy();
  return Object.fromEntries(read) as Record<keyof T, Float32Array>;
}

async function roundedBy(layer: number, seed: number) {
  const list = new LaunchList();
  const [scale, values] = [list.tensor(2), list.tensor(outputs)];
  list.run(powerOfTwoScale(outputs), { dy: gradient, scale });
  list.run(roundGradient(outputs, layer), { dy: gradient, scale, seed: external("sample.seed", 1), values });
  rounding.draw(seed);
  return run(list, { scale, values });
}

/** dw and then dx of one layer, as recordBackward asks for them. */
function backward(list: LaunchList, from: Ref) {
  const [dw, dx] = [list.tensor(weights), list.tensor(outputs / 2)];
  const [w, c] = [external("parameters", 8 * 9 * signWords(4)), external("scales", 9)];
  list.convolve(toWeights, { dy: from, a: external("signs", 3 * 5 * 7 * signWords(4)), dw });
  list.convolve(toInput, { dy: from, w, c, x: external("sample.images", outputs / 2), dx });
  return { dw, dx };
}

test("roundGradient gives one of the two nearest integers times one power of two", async () => {
  const { scale, values } = await roundedBy(0, 1);
  expect(Number.isInteger(Math.log2(scale[0]))).toBe(true);
  expect(scale[1]).toBe(1 / scale[0]);
  const largest = dy.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / scale[0];
  expect(largest).toBeGreaterThan(63.5);
  expect(largest).toBeLessThanOrEqual(127);
  const integers = Array.from(values, (v) => v / scale[0]);
  expect(integers.every((v) => Number.isInteger(v) && Math.abs(v) <= 127)).toBe(true);
  expect(integers.every((v, i) => Math.abs(v - dy[i] / scale[0]) < 1)).toBe(true);
});

test("roundGradient rounds up as often as the fraction says", async () => {
  const runs = await Promise.all([roundedBy(0, 1)]);
  for (let seed = 2; seed <= 40; seed++) runs.push(await roundedBy(0, seed));
  const error = runs.flatMap(({ scale, values }) => Array.from(values, (v, i) => (v - dy[i]) / scale[0]));
  const mean = error.reduce((sum, e) => sum + e, 0) / error.length;
  // At most half a unit of deviation each.
  expect(Math.abs(mean)).toBeLessThan((4 * 0.5) / Math.sqrt(error.length));
});

test("roundGradient repeats its draws for a seed and a layer, and for no other", async () => {
  const [first, again, seed, layer] = [
    await roundedBy(0, 1),
    await roundedBy(0, 1),
    await roundedBy(0, 2),
    await roundedBy(1, 1),
  ];
  expect(again.values).toEqual(first.values);
  expect(seed.values).not.toEqual(first.values);
  expect(layer.values).not.toEqual(first.values);
});

test("roundBackward gives dw and dx of the rounded gradient to the bit", async () => {
  const list = new LaunchList();
  rounding.draw(1);
  const rounded = await run(list, backward(list, gradient));
  rounding.wanted = false;
  const plain = new LaunchList();
  const expected = await run(plain, backward(plain, gradient), (await roundedBy(0, 1)).values as typeof dy);
  const exact = new LaunchList();
  const full = await run(exact, backward(exact, gradient));
  rounding.wanted = true;
  expect(rounded).toEqual(expected);
  expect(rounded.dw).not.toEqual(full.dw);
  expect(rounded.dx).not.toEqual(full.dx);
});

test("roundBackward rounds a layer once, and no full-precision layer", () => {
  const list = new LaunchList();
  const [dw, dx] = [list.tensor(weights), list.tensor(outputs / 2)];
  list.convolve({ verb: "convWeightGradient", shape }, { dy: gradient, x: external("sample.images", outputs / 2), dw });
  const seeded = () => list.launches.filter(({ kernel }) => kernel.bindings.some(({ name }) => name === "seed"));
  expect(seeded()).toEqual([]);
  backward(list, gradient);
  expect(seeded()).toHaveLength(1);
  backward(list, dx);
  expect(seeded()).toHaveLength(2);
  expect(seeded()[0].kernel.wgsl).not.toBe(seeded()[1].kernel.wgsl);
});
