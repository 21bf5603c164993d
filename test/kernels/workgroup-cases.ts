// Passes whose extents fill no tile, and data for any pass: shared by the tests of workgroup tilings in Dawn and in
// Deno.
import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import { type Rectify, rectifyShape } from "../../shared/model/rectify.ts";
import type { WindowShape } from "../../shared/model/window.ts";
import type { Tensor } from "../fixtures/device.ts";
import { uniform, uniformWithZeros } from "./data.ts";
import { planesBindings, planesPass } from "./planes-cases.ts";
import { inputSize, outputSize, outputsOf, signPlanes, weightSize } from "./reference.ts";

const RECTIFY: readonly Rectify[] = ["kernel", "layer", "out", "filter"];

/** [n, h, w, in, out, kernel, stride, padding], and groups, of which `in` and `out` are the channels. */
type Sizes = readonly [number, number, number, number, number, number, number, number, number?];

/** Each verb, with two forms of C that change with `turn`. */
function passesOf(
  [n, h, w, input, out, kernel, stride, padding, groups]: Sizes,
  turn: number,
): readonly ConvolutionPass[] {
  const shape: WindowShape = { n, h, w, in: input, out, kernel, stride, padding, ...(groups && { groups }) };
  const accumulate = turn % 2 === 1;
  const surrogate = turn % 4 < 2 ? "bireal" : "ste";
  const rectify = [RECTIFY[turn % 4]!, RECTIFY[(turn + 3) % 4]!];
  return [
    { verb: "convForward", shape, bias: accumulate },
    { verb: "convInputGradient", shape, accumulate },
    { verb: "convWeightGradient", shape },
    ...rectify.map((c): ConvolutionPass => ({ verb: "binaryConvForward", shape, rectify: c })),
    { verb: "binaryConvInputGradient", shape, rectify: RECTIFY[(turn + 2) % 4]!, surrogate, accumulate },
    { verb: "binaryConvWeightGradient", shape },
    ...(turn % 2 === 0 && groups === undefined ? [planesPass(shape, turn / 2)] : []),
  ];
}

const SHAPES: readonly Sizes[] = [
  [1, 7, 6, 1, 5, 5, 1, 2],
  [3, 7, 5, 3, 12, 3, 2, 1],
  [3, 9, 7, 12, 20, 5, 1, 0],
  [1, 5, 5, 31, 33, 3, 2, 1],
  [3, 4, 5, 33, 3, 3, 1, 1],
  [3, 5, 3, 64, 31, 1, 2, 0],
  [3, 3, 5, 64, 64, 3, 1, 1],
  [33, 1, 1, 12, 31, 1, 1, 0],
  [1, 3, 3, 544, 4, 3, 1, 1],
  [3, 5, 4, 48, 20, 3, 2, 1, 2],
  [2, 4, 5, 5, 7, 3, 1, 0, 3],
];

export const AWKWARD_PASSES: readonly ConvolutionPass[] = SHAPES.flatMap(passesOf);

/** Off the largest tiles on one side, beyond them on the other. */
const LARGE_SHAPES: readonly Sizes[] = [
  [3, 8, 7, 68, 36, 3, 1, 1],
  [5, 9, 9, 40, 132, 3, 2, 1],
  [3, 6, 6, 128, 65, 3, 1, 1],
  [9, 11, 11, 2, 17, 3, 3, 2],
];

export const LARGE_PASSES: readonly ConvolutionPass[] = LARGE_SHAPES.flatMap(passesOf);

export interface PassData {
  readonly bindings: Readonly<Record<string, Tensor>>;
  /** The binding that the pass writes, full of NaN unless it accumulates. */
  readonly result: "y" | "dx" | "dw";
}

export function passData(pass: ConvolutionPass): PassData {
  const { shape } = pass;
  const x = uniformWithZeros(inputSize(shape), 1);
  const latent = uniformWithZeros(weightSize(shape), 2);
  const dy = uniform(outputSize(shape), 3);
  const signs = (values: Float32Array<ArrayBuffer>) => signPlanes(values, values.length / shape.in, shape.in);
  const unwritten = (length: number) => new Float32Array(length).fill(Number.NaN);
  const c = (rectify: Rectify) =>
    uniform(
      rectifyShape(rectify, outputsOf(shape), shape.kernel, shape.in).reduce((p, q) => p * q, 1),
      4,
    );
  const dx = "accumulate" in pass && pass.accumulate ? uniform(x.length, 5) : unwritten(x.length);
  switch (pass.verb) {
    case "convForward": {
      const given = { x, w: latent, y: unwritten(dy.length) };
      return { bindings: pass.bias ? { ...given, bias: uniform(outputsOf(shape), 6) } : given, result: "y" };
    }
    case "convInputGradient":
      return { bindings: { dy, w: latent, dx }, result: "dx" };
    case "convWeightGradient":
      return { bindings: { dy, x, dw: unwritten(latent.length) }, result: "dw" };
    case "binaryConvForward":
      return {
        bindings: { a: signs(x), w: signs(latent), c: c(pass.rectify), y: unwritten(dy.length) },
        result: "y",
      };
    case "binaryConvInputGradient":
      return { bindings: { dy, w: signs(latent), c: c(pass.rectify), x, dx }, result: "dx" };
    case "binaryConvWeightGradient":
      return { bindings: { dy, a: signs(x), dw: unwritten(latent.length) }, result: "dw" };
    case "planesConvForward":
      return { bindings: planesBindings(pass), result: "y" };
    case "xcorrForward":
    case "xcorrSearchGradient":
    case "xcorrExemplarGradient":
      throw new RangeError(`${pass.verb} has a test of its own, correlation.device.test.ts`);
    default:
      return pass satisfies never;
  }
}
