// The convolution over bit planes against a float convolution of the values that the planes stand for.
import { describe, expect, test } from "vitest";
import { convolutionPass } from "../../kernels/convolution/convolution-pass.ts";
import { passKey } from "../../kernels/convolution/pass/pass.ts";
import type { PlaneActivations, PlaneWeights } from "../../kernels/convolution/pass/planes.ts";
import { NAIVE, type Tiling, tilingName } from "../../kernels/convolution/pass/tiling.ts";
import { binaryConvForward } from "../../kernels/convolution/registers/binary-conv.ts";
import { planesConvForward } from "../../kernels/convolution/registers/planes-conv-forward.ts";
import type { WindowShape } from "../../shared/model/window.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniformWithZeros } from "./data.ts";
import { expectSums } from "./expect-close.ts";
import { type PlanesPass, planesBindings, planesExpected } from "./planes-cases.ts";
import { inputSize, outputSize, signPlanes, weightSize } from "./reference.ts";

const ACTIVATIONS: readonly PlaneActivations[] = [
  { kind: "sign" },
  { kind: "bits", bits: 1 },
  { kind: "bits", bits: 2 },
  { kind: "bases", bases: 2 },
];
const WEIGHTS: readonly PlaneWeights[] = [
  { kind: "linear", planes: 1, scale: "layer" },
  { kind: "linear", planes: 2, scale: "out" },
  { kind: "ternary" },
];

/** Padding, a stride's rest, a word that is not full; and whole fours of words. */
const SHAPES: readonly WindowShape[] = [
  { n: 3, h: 5, w: 4, in: 33, out: 6, kernel: 3, stride: 2, padding: 1 },
  { n: 2, h: 3, w: 3, in: 128, out: 8, kernel: 2, stride: 1, padding: 0 },
];

const WORKGROUP: Tiling = { kind: "workgroup", rows: 4, columns: 4, down: 4, across: 4, depth: 8, half: false };
const TILINGS: readonly Tiling[] = [
  NAIVE,
  { kind: "registers", rows: 2, columns: 4 },
  { kind: "registers", rows: 1, columns: 8, counter: "carrySave" },
  WORKGROUP,
];

const PASSES = ACTIVATIONS.flatMap((activations, i) =>
  WEIGHTS.map(
    (weights, j): PlanesPass => ({
      verb: "planesConvForward",
      shape: SHAPES[(i + j) % SHAPES.length]!,
      activations,
      weights,
    }),
  ),
);

test.each(PASSES.map((pass) => [passKey(pass), pass] as const))(
  "%s: every way gives the sums of the values, and the same bits",
  async (_, pass) => {
    const device = await testDevice();
    const results = await Promise.all(
      TILINGS.map((tiling) => runKernels(device, convolutionPass(pass, tiling), planesBindings(pass))),
    );
    const [naive] = results;
    expectSums(naive!.y, planesExpected(pass), "y");
    results.forEach(({ y }, i) => {
      expect([...new Uint32Array(y.buffer)], tilingName(TILINGS[i]!)).toEqual([...new Uint32Array(naive!.y.buffer)]);
    });
  },
);

describe("sums of planes are exact integers", () => {
  const shape: WindowShape = { n: 2, h: 4, w: 4, in: 70, out: 12, kernel: 3, stride: 1, padding: 1 };
  const x = uniformWithZeros(inputSize(shape), 1);
  const latent = uniformWithZeros(weightSize(shape), 2);
  const a = signPlanes(x, x.length / shape.in, shape.in);
  const w = signPlanes(latent, latent.length / shape.in, shape.in);
  const y = new Float32Array(outputSize(shape));
  const linear: PlaneWeights = { kind: "linear", planes: 1, scale: "layer" };
  const one = Float32Array.of(1);

  test("one plane of signs is the 1-bit convolution", async () => {
    const device = await testDevice();
    const planes = await runKernels(
      device,
      planesConvForward({ shape, activations: { kind: "sign" }, weights: linear }),
      { a, w, c: one, y },
    );
    const binary = await runKernels(device, binaryConvForward({ shape, rectify: "layer" }), { a, w, c: one, y });
    expect(planes.y).toEqual(binary.y);
  });

  test("a ternary weight without zeros is one of signs, and one of zeros alone gives 0", async () => {
    const device = await testDevice();
    const run = async (mask: Uint32Array<ArrayBuffer>) => {
      const pass = planesConvForward({ shape, activations: { kind: "sign" }, weights: { kind: "ternary" } });
      const both = new Uint32Array([...w, ...mask]);
      return (await runKernels(device, pass, { a, w: both, c: Float32Array.of(1, 1), y })).y;
    };
    const binary = await runKernels(device, binaryConvForward({ shape, rectify: "layer" }), { a, w, c: one, y });
    expect(await run(new Uint32Array(w.length))).toEqual(binary.y);
    const all = new Float32Array(latent.length).fill(-1);
    const none = await run(signPlanes(all, all.length / shape.in, shape.in));
    expect(none.every((v) => v === 0)).toBe(true);
  });

  test("activations of k bits weigh 2^j, and all of them set is 1", async () => {
    const device = await testDevice();
    const full = signPlanes(new Float32Array(3 * x.length).fill(-1), (3 * x.length) / shape.in, shape.in);
    const bits = planesConvForward({ shape, activations: { kind: "bits", bits: 3 }, weights: linear });
    const { y: sums } = await runKernels(device, bits, { a: full, w, c: one, y });
    const plus = await runKernels(device, binaryConvForward({ shape, rectify: "layer" }), {
      a: new Uint32Array(a.length),
      w,
      c: one,
      y,
    });
    // Divided by 7 as a product with the nearest float.
    const expected = plus.y.map((v) => Math.fround(7 * v) * Math.fround(1 / 7));
    expect(sums).toEqual(expected);
  });
});
