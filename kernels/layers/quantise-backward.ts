// What goes back through a map of few bits: the gradient where the rule has a slope, and sums for ABC-Net's bases.
import type { QuantiseRule } from "../../shared/model/graph.ts";
import { kernel, read, readWrite, vectorType, vectorWidth } from "../text/dispatch.ts";
import type { Kernel, KernelSequence } from "../text/kernel.ts";
import { orderedTotals } from "../text/ordered-totals.ts";
import { range } from "../text/range.ts";
import type { QuantisedMap } from "./quantise.ts";
import { describeRule, quantisedText, ruleStorage, surrogateSlope } from "./quantise-rule.ts";

type SlopedRule = Exclude<QuantiseRule, { readonly kind: "bases" }>;

/** Elements (or quads) below which an invocation of the bases' sums takes no second one, and invocations at most. */
const ENOUGH_ELEMENTS = 8;
const MOST_PARTS = 4096;

function slopeOf(rule: SlopedRule): string {
  return rule.kind === "sign" ? surrogateSlope(rule.surrogate) : "select(V(), V(1.0), (v >= V()) & (v <= V(1.0)))";
}

/** dx (+)= dy · slope(x); dy, x, dx f32 [rows][channels]. */
export function quantiseBackward(
  o: QuantisedMap & { readonly rule: SlopedRule; readonly accumulate: boolean },
): Kernel {
  const size = o.rows * o.channels;
  const width = vectorWidth(size);
  const type = vectorType(width);
  return kernel({
    label: `quantiseBackward ${describeRule(o.rule)} ${o.rows}x${o.channels}`,
    declarations: `alias V = ${type};`,
    storage: [read("dy", type), read("x", type), readWrite("dx", type)],
    items: size / width,
    body: `let v = x[index];\ndx[index] ${o.accumulate ? "+=" : "="} dy[index] * ${slopeOf(o.rule)};`,
  });
}

/**
 * Of y = Σ_j scale_j A_j: dx (+)= Σ_j dy·scale_j·1[0 ≤ x + shift_j ≤ 1], dshift_j = Σ dy·scale_j·1[…], dscale_j = Σ
 * dy·A_j over all elements. dy, x, dx f32 [rows][channels], shift, scale, dshift, dscale f32 [bases].
 */
export function basesBackward(
  o: Omit<QuantisedMap, "rule"> & { readonly bases: number; readonly accumulate: boolean },
): KernelSequence {
  const { rows, channels, bases, accumulate } = o;
  const rule = { kind: "bases", bases } as const;
  const width = vectorWidth(rows * channels);
  const type = vectorType(width);
  const elements = (rows * channels) / width;
  const parts = Math.min(MOST_PARTS, Math.ceil(elements / ENOUGH_ELEMENTS));
  const of = range(bases);
  const label = `basesBackward ${bases} ${rows}x${channels}`;
  const { setup, set } = quantisedText(rule);
  const lanes = (sum: string) => (width === 4 ? `(${sum}.x + ${sum}.y) + (${sum}.z + ${sum}.w)` : sum);
  const partial = kernel({
    label,
    declarations: `alias V = ${type};`,
    storage: [read("dy", type), read("x", type), ...ruleStorage(rule), readWrite("dx", type), readWrite("scratch")],
    items: parts,
    body: `
${of.map((j) => `var shift_sum_${j} = V();\nvar scale_sum_${j} = V();`).join("\n")}
for (var at = index; at < ${elements}u; at += ${parts}u) {
let v = x[at];
let g = dy[at];
${setup}
var through = V();
${of
  .map(
    (j) => `{
let moved = v + V(shift[${j}]);
let passed = select(V(), g * scale[${j}], (moved >= V()) & (moved <= V(1.0)));
through += passed;
shift_sum_${j} += passed;
scale_sum_${j} += select(g, -g, ${set[j]!});
}`,
  )
  .join("\n")}
dx[at] ${accumulate ? "+=" : "="} through;
}
${of.map((j) => `scratch[${j * parts}u + index] = ${lanes(`shift_sum_${j}`)};`).join("\n")}
${of.map((j) => `scratch[${(bases + j) * parts}u + index] = ${lanes(`scale_sum_${j}`)};`).join("\n")}`,
  });
  const totals = orderedTotals({
    label,
    parts,
    outputs: [
      ["dshift", bases],
      ["dscale", bases],
    ],
  });
  return { kernels: [partial, ...totals.kernels], scratchBytes: totals.scratchBytes };
}
