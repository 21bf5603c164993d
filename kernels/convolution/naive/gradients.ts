// The gradients as their definitions read, one sum an invocation.
import type { Rectify } from "../../../shared/model/rectify.ts";
import type { WindowShape } from "../../../shared/model/window.ts";
import { isGathered } from "../../product/activation-columns.ts";
import { read, readWrite, type Storage } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import { atGroup, placeOfGroup } from "../../text/window-loops.ts";
import type { ConvolutionPass } from "../pass/pass.ts";
import { surrogateDerivative } from "../registers/binary-conv.ts";
import { weightGradientSlices } from "../registers/weight-gradient-slices.ts";
import { declarePlaces } from "../registers/weight-gradient-turns.ts";
import { naiveElements, naiveKernel, outputOf, placeInMap } from "./loops.ts";

interface InputGradientLoops {
  readonly pass: ConvolutionPass;
  readonly shape: WindowShape;
  readonly accumulate: boolean;
  readonly storage: readonly Storage[];
  readonly declarations?: string;
  /** WGSL of dy (given `v`) and of the weight as they enter the product, and of the result, given `sum`. */
  readonly dy: string;
  readonly weight: string;
  readonly value: string;
}

function inputGradient(o: InputGradientLoops): KernelSequence {
  const s = o.shape;
  return naiveKernel({
    pass: o.pass,
    shape: s,
    storage: [read("dy"), ...o.storage, readWrite("dx")],
    ...(o.declarations ? { declarations: o.declarations } : {}),
    items: s.n * s.h * s.w * s.in,
    body: `
let i = index % IN;
let iw = (index / IN) % W;
let ih = (index / (IN * W)) % H;
let b = index / (IN * W * H);
var sum = 0.0;
for (var ky = 0u; ky < KERNEL; ky++) {
  for (var kx = 0u; kx < KERNEL; kx++) {
    let tap = ky * KERNEL + kx;
    let y = ih + PADDING - ky;
    let x0 = iw + PADDING - kx;
    if ((y % STRIDE == 0u) & (y / STRIDE < OH) & (x0 % STRIDE == 0u) & (x0 / STRIDE < OW)) {
      for (var o = 0u; o < OUT; o++) {
        let v = dy[${placeOfGroup(s, "((b * OH + y / STRIDE) * OW + x0 / STRIDE)")} * OUT + o];
        sum += ${o.dy} * ${o.weight};
      }
    }
  }
}
dx[${placeInMap(s, "IN")}] ${o.accumulate ? "+=" : "="} ${o.value};`,
  });
}

/** dy and weight of the product Σ dy·Ŵ·C, with C where the tilings apply it. */
function scaledProduct(s: WindowShape, rectify: Rectify): { readonly dy: string; readonly weight: string } {
  const { signWeight } = naiveElements(s);
  switch (rectify) {
    case "kernel":
      return { dy: "(v * c[tap])", weight: signWeight };
    case "out":
      return { dy: `(v * c[${outputOf(s)}])`, weight: signWeight };
    case "layer":
      return { dy: "v", weight: signWeight };
    case "filter":
      return { dy: "v", weight: `(${signWeight} * c[tap * IN + i])` };
    default:
      return rectify satisfies never;
  }
}

function weightGradient(
  pass: ConvolutionPass,
  s: WindowShape,
  activations: Storage,
  activation: string,
  gathered: boolean,
): KernelSequence {
  const { samples, blocks, length, slices } = weightGradientSlices(s, !gathered);
  return naiveKernel({
    pass,
    shape: s,
    storage: [read("dy"), activations, readWrite("dw")],
    items: s.out * s.kernel * s.kernel * s.in,
    constants: { SAMPLES: samples, BLOCKS: blocks, LENGTH: length, SLICES: slices },
    body: `
let i = index % IN;
let kx = (index / IN) % KERNEL;
let ky = (index / (IN * KERNEL)) % KERNEL;
let o = index / (IN * KERNEL * KERNEL);
${declarePlaces(gathered)}
var total = 0.0;
for (var slice = 0u; slice < SLICES; slice++) {
  var sum = 0.0;
  for (var turn = slice * LENGTH; turn < min(height * width * BLOCKS, (slice + 1u) * LENGTH); turn++) {
    let oh = oy_first + (turn / BLOCKS) / width;
    let ow = ox_first + (turn / BLOCKS) % width;
    let ih = oh * STRIDE + ky - PADDING;
    let iw = ow * STRIDE + kx - PADDING;
    let first = (turn % BLOCKS) * SAMPLES;
    for (var b = first; b < min(N, first + SAMPLES); b++) {
      if ((ih < H) & (iw < W)) {
        sum += dy[${placeOfGroup(s, "((b * OH + oh) * OW + ow)")} * OUT + o] * ${activation};
      }
    }
  }
  total += sum;
}
dw[index${atGroup(s, s.out * s.kernel * s.kernel * s.in)}] = total;`,
  });
}

type InputGradientPass = Extract<ConvolutionPass, { verb: "convInputGradient" | "binaryConvInputGradient" }>;

export function naiveInputGradient(pass: InputGradientPass, s: WindowShape): KernelSequence {
  const { accumulate } = pass;
  switch (pass.verb) {
    case "convInputGradient":
      return inputGradient({
        pass,
        shape: s,
        accumulate,
        storage: [read("w")],
        dy: "v",
        weight: naiveElements(s).floatWeight,
        value: "sum",
      });
    case "binaryConvInputGradient":
      return inputGradient({
        pass,
        shape: s,
        accumulate,
        storage: [read("w", "u32"), read("c"), read("x")],
        declarations: `fn derivative(v: f32) -> f32 { return ${surrogateDerivative(pass.surrogate, "f32")}; }`,
        ...scaledProduct(s, pass.rectify),
        value: `${pass.rectify === "layer" ? "c[0] * " : ""}sum * derivative(x[${placeInMap(s, "IN")}])`,
      });
    default:
      return pass satisfies never;
  }
}

export function naiveWeightGradient(pass: ConvolutionPass, s: WindowShape): KernelSequence {
  const { signInput, floatInput } = naiveElements(s);
  return pass.verb === "binaryConvWeightGradient"
    ? weightGradient(pass, s, read("a", "u32"), signInput, false)
    : weightGradient(pass, s, read("x"), floatInput, isGathered(s));
}
