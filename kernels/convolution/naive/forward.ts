// The forward passes as their definitions read, one output an invocation.
import type { Rectify } from "../../../shared/model/rectify.ts";
import { outputHeight, outputWidth, type WindowShape } from "../../../shared/model/window.ts";
import { read, readWrite, type Storage } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import type { ConvolutionPass } from "../pass/pass.ts";
import { FLOAT_INPUT, FLOAT_WEIGHT, naiveKernel, SIGN_INPUT, SIGN_WEIGHT } from "./loops.ts";

/**
 * Taps (ky, kx) row-major whose pixel (`ih`, `iw`) lies in the image, for the output (`oh`, `ow`). Reads
 * windowConstants; declares `ky`, `kx`, `tap`, `ih`, `iw`.
 */
function eachTap(statements: string): string {
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
y[index] = ${value};`,
  });
}

/** Counts the inputs of a tap whose signs differ from the weights'. */
const COUNT = `for (var i = 0u; i < IN; i++) { differing += select(0u, 1u, ${SIGN_INPUT} != ${SIGN_WEIGHT}); }`;
const EXACT_SUM = "f32(i32(taps * IN) - 2 * i32(differing))";

export function naiveBinaryForward(pass: ConvolutionPass, s: WindowShape, rectify: Rectify): KernelSequence {
  const storage = [read("a", "u32"), read("w", "u32"), read("c")];
  switch (rectify) {
    case "kernel": {
      const atTap = `differing = 0u;\n${COUNT}\nsum += c[tap] * (f32(differing) - 0.5 * f32(IN));`;
      return forward(pass, s, storage, atTap, "-2.0 * sum");
    }
    case "layer":
      return forward(pass, s, storage, `taps++;\n${COUNT}`, `${EXACT_SUM} * c[0]`);
    case "out":
      return forward(pass, s, storage, `taps++;\n${COUNT}`, `${EXACT_SUM} * c[o]`);
    case "filter": {
      const atTap = `for (var i = 0u; i < IN; i++) { sum += ${SIGN_INPUT} * (c[tap * IN + i] * ${SIGN_WEIGHT}); }`;
      return forward(pass, s, storage, atTap, "sum");
    }
    default:
      return rectify satisfies never;
  }
}

export function naiveForward(pass: ConvolutionPass, s: WindowShape, bias: boolean): KernelSequence {
  const storage = [read("x"), read("w"), ...(bias ? [read("bias")] : [])];
  const atTap = `for (var i = 0u; i < IN; i++) { sum += ${FLOAT_INPUT} * ${FLOAT_WEIGHT}; }`;
  return forward(pass, s, storage, atTap, bias ? "sum + bias[o]" : "sum");
}
