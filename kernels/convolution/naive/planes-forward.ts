// The convolution over bit planes as its definition reads: integers of channels, added over the taps, then the scales.
import { outputHeight, outputWidth, type WindowShape } from "../../../shared/model/window.ts";
import { read, readWrite } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import { range } from "../../text/range.ts";
import type { ConvolutionPass } from "../pass/pass.ts";
import { type PlaneOperands, planeForm } from "../pass/planes.ts";
import { combine, declareCombined } from "../registers/plane-sums.ts";
import { isScaledByOutput } from "../registers/planes-conv-forward.ts";
import { eachTap } from "./forward.ts";
import { naiveKernel } from "./loops.ts";

/** The bit of channel `i` in a plane of the pixel (`sample`, `ih`, `iw`), or of the weight (`o`, `tap`, `i`): i32. */
function bitOf(name: "a" | "w", plane: number): string {
  const row = name === "a" ? "(sample * H + ih) * W + iw" : "o * KERNEL * KERNEL + tap";
  const rows = name === "a" ? "N * H * W" : "OUT * KERNEL * KERNEL";
  return `i32((${name}[(${plane}u * ${rows} + ${row}) * WORDS + i / 32u] >> (i % 32u)) & 1u)`;
}

const signed = (bit: string) => `(1 - 2 * ${bit})`;

/** An activation of each group. */
function activations(o: PlaneOperands): readonly string[] {
  const { groups, signedActivations } = planeForm(o);
  return groups.map((planes) => {
    const values = planes.map((p, j) => (signedActivations ? signed(bitOf("a", p)) : `${2 ** j} * ${bitOf("a", p)}`));
    return values.join(" + ");
  });
}

/** A weight of each plane; of ternary ones, 1 where it is positive, and 1 where it is negative. */
function weights(o: PlaneOperands): readonly string[] {
  const form = planeForm(o);
  if (form.signedWeights) return range(form.weights).map((m) => signed(bitOf("w", m)));
  const [negative, zero] = [bitOf("w", 0), bitOf("w", 1)];
  return [`(1 - ${zero}) * (1 - ${negative})`, `(1 - ${zero}) * ${negative}`];
}

export function naivePlanesForward(pass: ConvolutionPass, s: WindowShape, operands: PlaneOperands): KernelSequence {
  const { weights: planes, groups } = planeForm(operands);
  const pairs = range(planes).flatMap((m) => groups.map((_, g) => ({ m, g })));
  const atTap = `for (var i = 0u; i < IN; i++) {
${activations(operands)
  .map((value, g) => `let a_${g} = ${value};`)
  .join("\n")}
${weights(operands)
  .map((value, m) => `let w_${m} = ${value};`)
  .join("\n")}
${pairs.map(({ m, g }) => `sum_${m}_${g} += w_${m} * a_${g};`).join("\n")}
}`;
  const value = combine(operands, {
    sum: (m, g) => `sum_${m}_${g}`,
    c: (m) => `c[${m}u${isScaledByOutput(operands) ? " * OUT + o" : ""}]`,
    b: (g) => `b[${g}u]`,
  });
  return naiveKernel({
    pass,
    shape: s,
    storage: [
      read("a", "u32"),
      read("w", "u32"),
      read("c"),
      ...(operands.activations.kind === "bases" ? [read("b")] : []),
      readWrite("y"),
    ],
    items: s.n * outputHeight(s) * outputWidth(s) * s.out,
    declarations: declareCombined(operands),
    body: `
let o = index % OUT;
let ow = (index / OUT) % OW;
let oh = (index / (OUT * OW)) % OH;
let sample = index / (OUT * OW * OH);
${pairs.map(({ m, g }) => `var sum_${m}_${g} = 0i;`).join("\n")}
${eachTap(atTap)}
y[index] = ${value};`,
  });
}
