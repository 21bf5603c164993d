// The choice of a tiling changes the speed and never a bit: the candidates of every pass against the default's result,
// in rotation over the shapes; with `npm run test:long` every one at each shape.
import { expect, test } from "vitest";
import { convolutionPass, tilings } from "../../kernels/convolution/convolution-pass.ts";
import { type ConvolutionPass, passKey } from "../../kernels/convolution/pass/pass.ts";
import { NAIVE, type Tiling, tilingName } from "../../kernels/convolution/pass/tiling.ts";
import { GUARANTEED_TRAITS } from "../../kernels/text/adapter-traits.ts";
import { type Rectify, rectifyShape } from "../../shared/model/rectify.ts";
import type { WindowShape } from "../../shared/model/window.ts";
import { runKernels, type Tensor, testDevice } from "../fixtures/device.ts";
import { inRotation } from "../fixtures/in-rotation.ts";
import { uniform, uniformWithZeros } from "./data.ts";
import { expectSums } from "./expect-close.ts";
import { planesBindings, planesExpected, planesPass } from "./planes-cases.ts";
import {
  convolution,
  inputGradient,
  inputSize,
  outputSize,
  outputsOf,
  rectified,
  type Sums,
  sign,
  signPlanes,
  weightGradient,
  weightSize,
} from "./reference.ts";

const RECTIFY: readonly Rectify[] = ["kernel", "layer", "out", "filter"];

/** [n, h, w, in, out, kernel, stride, padding], and groups, of which `in` and `out` are the channels. */
type Sizes = readonly [number, number, number, number, number, number, number, number, number?];

const SHAPES: readonly Sizes[] = [
  [1, 5, 4, 1, 5, 5, 1, 2],
  [3, 7, 5, 3, 6, 3, 2, 1],
  [5, 5, 5, 31, 12, 3, 2, 1],
  [9, 3, 3, 33, 7, 3, 1, 1],
  [3, 5, 3, 64, 20, 1, 2, 0],
  [5, 3, 3, 128, 8, 3, 1, 1],
  [7, 1, 1, 12, 33, 1, 1, 0],
  [5, 4, 3, 32, 16, 3, 1, 1],
  [32, 4, 4, 32, 32, 1, 1, 0],
  [3, 6, 5, 48, 20, 3, 1, 0, 2],
  [2, 7, 6, 5, 7, 3, 2, 1, 3],
  [5, 3, 2, 12, 8, 1, 1, 0, 4],
];

function passesOf(shape: WindowShape, turn: number): readonly ConvolutionPass[] {
  const accumulate = turn % 2 === 1;
  const surrogate = accumulate ? "bireal" : "ste";
  return [
    { verb: "convForward", shape, bias: accumulate },
    { verb: "convInputGradient", shape, accumulate },
    { verb: "convWeightGradient", shape },
    ...RECTIFY.map((rectify): ConvolutionPass => ({ verb: "binaryConvForward", shape, rectify })),
    { verb: "binaryConvInputGradient", shape, rectify: RECTIFY[turn % 4]!, surrogate, accumulate },
    { verb: "binaryConvWeightGradient", shape },
    ...(shape.groups === undefined ? [planesPass(shape, turn)] : []),
  ];
}

interface Data {
  readonly bindings: Readonly<Record<string, Tensor>>;
  readonly result: "y" | "dx" | "dw";
  /** The result in float64, where `dx` and the surrogate leave it a plain sum. */
  readonly expected?: Sums;
}

function dataOf(pass: ConvolutionPass): Data {
  const { shape } = pass;
  const x = uniformWithZeros(inputSize(shape), 1);
  const w = uniformWithZeros(weightSize(shape), 2);
  const dy = uniform(outputSize(shape), 3);
  const y = new Float32Array(dy.length);
  const dw = new Float32Array(w.length);
  const dx = uniform(x.length, 4);
  const a = signPlanes(x, x.length / shape.in, shape.in);
  const planes = signPlanes(w, w.length / shape.in, shape.in);
  const scales = (rectify: Rectify) => {
    const [out, height, width, input] = rectifyShape(rectify, outputsOf(shape), shape.kernel, shape.in);
    return uniform(out * height * width * input, 5);
  };
  switch (pass.verb) {
    case "convForward": {
      const bias = uniform(outputsOf(shape), 6);
      const bindings = { x, w, y, ...(pass.bias ? { bias } : {}) };
      return { bindings, result: "y", ...(pass.bias ? {} : { expected: convolution(shape, x, w) }) };
    }
    case "convInputGradient":
      return {
        bindings: { dy, w, dx },
        result: "dx",
        ...(pass.accumulate ? {} : { expected: inputGradient(shape, dy, w) }),
      };
    case "convWeightGradient":
      return { bindings: { dy, x, dw }, result: "dw", expected: weightGradient(shape, dy, x) };
    case "binaryConvForward": {
      const c = scales(pass.rectify);
      const expected = convolution(shape, x.map(sign), rectified(shape, pass.rectify, w, c));
      return { bindings: { a, w: planes, c, y }, result: "y", expected };
    }
    case "binaryConvInputGradient":
      return { bindings: { dy, w: planes, c: scales(pass.rectify), x, dx }, result: "dx" };
    case "binaryConvWeightGradient":
      return { bindings: { dy, a, dw }, result: "dw", expected: weightGradient(shape, dy, x.map(sign)) };
    case "planesConvForward":
      return { bindings: planesBindings(pass), result: "y", expected: planesExpected(pass) };
    case "xcorrForward":
    case "xcorrSearchGradient":
    case "xcorrExemplarGradient":
      throw new RangeError(`${pass.verb} has a test of its own, correlation.device.test.ts`);
    default:
      return pass satisfies never;
  }
}

/** Turns until every candidate of a pass has had its own, of the ten that there are. */
const ROTATION = 8;

/** Of the reference, and what a tuner may choose on a CPU and on a GPU, what is due at a turn. */
function candidates(pass: ConvolutionPass, turn: number, subgroups: boolean): readonly Tiling[] {
  const all = [true, false].flatMap((software) => tilings(pass, { ...GUARANTEED_TRAITS, software, subgroups }));
  const distinct = new Map([NAIVE, ...all].map((tiling) => [tilingName(tiling), tiling]));
  return inRotation([...distinct.values()], turn, ROTATION);
}

/** Nine words a tap: a piece of eight and a rest, shared by quads or not. */
const NINE_WORDS: WindowShape = { n: 6, h: 3, w: 3, in: 288, out: 64, kernel: 3, stride: 2, padding: 1 };

const TURNS = [
  ...SHAPES.map(([n, h, w, input, out, kernel, stride, padding, groups], turn) =>
    passesOf({ n, h, w, in: input, out, kernel, stride, padding, ...(groups && { groups }) }, turn),
  ),
  [
    ...(["kernel", "out"] as const).map(
      (rectify): ConvolutionPass => ({ verb: "binaryConvForward", shape: NINE_WORDS, rectify }),
    ),
    planesPass(NINE_WORDS, 2),
  ],
];
const PASSES = TURNS.flat();

/** A dozen large tiles to compile, on two cores that others use too. */
const COMPILE_TILINGS_MS = 300_000;

test.each(TURNS.flatMap((passes, turn) => passes.map((pass) => [passKey(pass), pass, turn] as const)))(
  "%s",
  { timeout: COMPILE_TILINGS_MS },
  async (_, pass, turn) => {
    const device = await testDevice();
    const { bindings, result, expected } = dataOf(pass);
    const run = async (tiling?: Tiling) => {
      const { [result]: values } = await runKernels(device, convolutionPass(pass, tiling), bindings);
      return values!;
    };
    const standard = await run();
    if (expected) expectSums(standard, expected, result);
    const bits = (values: Tensor) => [...new Uint32Array(values.buffer)];
    const results = await Promise.all(
      candidates(pass, turn, device.features.has("subgroups")).map(async (tiling) => ({
        tiling,
        values: await run(tiling),
      })),
    );
    for (const { tiling, values } of results) expect(bits(values), tilingName(tiling)).toEqual(bits(standard));
  },
);

test("at most eight tilings are proposed, never the naive one, and the first is the default", () => {
  for (const pass of PASSES) {
    for (const [software, subgroups] of [
      [true, false],
      [true, true],
      [false, true],
    ] as const) {
      const proposed = tilings(pass, { ...GUARANTEED_TRAITS, software, subgroups });
      expect(proposed.length).toBeGreaterThan(0);
      expect(proposed.length).toBeLessThanOrEqual(8);
      expect(new Set(proposed.map(tilingName)).size).toBe(proposed.length);
      expect(proposed.map(({ kind }) => kind)).not.toContain("naive");
      if (software && !subgroups) expect(convolutionPass(pass)).toEqual(convolutionPass(pass, proposed[0]));
    }
  }
});
