// The forward passes as their definitions read, one output an invocation.
import type { Rectify } from "../../../shared/model/rectify.ts";
import { outputHeight, outputWidth, type WindowShape } from "../../../shared/model/window.ts";
import { read, readWrite, type Storage } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import type { ConvolutionPass } from "../pass/pass.ts";
import { type NaiveElements, naiveElements, naiveKernel, outputOf, placeInMap } from "./loops.ts";

/**
 * Taps (ky, kx) row-major whose pixel (`ih`, `iw`) lies in the image, for the output (`oh`, `ow`). Reads
 * windowConstants; declares `ky`, `kx`, `tap`, `ih`, `iw`.
 */
export function eachTap(statements: string): string {
  return `
for (var ky = 0u; ky < KERNEL; ky++) {
  for (var kx = 0u; kx < KERNEL; kx++) {
    let tap = ky * KERNEL + kx;
    let ih = oh * STRIDE + ky - PADDING;
    let iw = ow * STRIDE + kx - PADDING;
    if ((ih < H) & (iw < W)) {
      ${statements}
    }
  }
}`;
}

/** Declares `o`, `ow`, `oh`, `b`, `sum`, `taps`, `differing` for `atTap` and `value`. */
function forward(
  pass: ConvolutionPass,
  s: WindowShape,
  storage: readonly Storage[],
  atTap: string,
  value: string,
): KernelSequence {
  return naiveKernel({
    pass,
    shape: s,
    storage: [...storage, readWrite("y")],
    items: s.n * outputHeight(s) * outputWidth(s) * s.out,
    body: `
let o = index % OUT;
let ow = (index / OUT) % OW;
let oh = (index / (OUT * OW)) % OH;
let b = index / (OUT * OW * OH);
var sum = 0.0;
var taps = 0u;
var differing = 0u;
${eachTap(atTap)}
y[${placeInMap(s, "OUT")}] = ${value};`,
  });
}

/** Counts the inputs of a tap whose signs differ from the weights'. */
function countDiffering({ signInput, signWeight }: NaiveElements): string {
  return `for (var i = 0u; i < IN; i++) { differing += select(0u, 1u, ${signInput} != ${signWeight}); }`;
}
const EXACT_SUM = "f32(i32(taps * IN) - 2 * i32(differing))";

export function naiveBinaryForward(pass: ConvolutionPass, s: WindowShape, rectify: Rectify): KernelSequence {
  const storage = [read("a", "u32"), read("w", "u32"), read("c")];
  const elements = naiveElements(s);
  const count = countDiffering(elements);
  switch (rectify) {
    case "kernel": {
      const atTap = `differing = 0u;\n${count}\nsum += c[tap] * (f32(differing) - 0.5 * f32(IN));`;
      return forward(pass, s, storage, atTap, "-2.0 * sum");
    }
    case "layer":
      return forward(pass, s, storage, `taps++;\n${count}`, `${EXACT_SUM} * c[0]`);
    case "out":
      return forward(pass, s, storage, `taps++;\n${count}`, `${EXACT_SUM} * c[${outputOf(s)}]`);
    case "filter": {
      const atTap = `for (var i = 0u; i < IN; i++) { sum += ${elements.signInput} * (c[tap * IN + i] * ${elements.signWeight}); }`;
      return forward(pass, s, storage, atTap, "sum");
    }
    default:
      return rectify satisfies never;
  }
}

export function naiveForward(pass: ConvolutionPass, s: WindowShape, bias: boolean): KernelSequence {
  const storage = [read("x"), read("w"), ...(bias ? [read("bias")] : [])];
  const { floatInput, floatWeight } = naiveElements(s);
  const atTap = `for (var i = 0u; i < IN; i++) { sum += ${floatInput} * ${floatWeight}; }`;
  return forward(pass, s, storage, atTap, bias ? `sum + bias[${outputOf(s)}]` : "sum");
}
