// The forward of a binary layer with a scale an input channel, over workgroup memory: no popcount can weigh channels
// apart.
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import { signValue } from "../../product/sign-operands.ts";
import { read, readWrite, vectorType, vectorWidth } from "../../text/dispatch.ts";
import { atGroup, foldPositions, placeOfGroup } from "../../text/window-loops.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { forwardPlan, outputRows, tapsOf } from "./forward.ts";
import type { Operand } from "./memory.ts";
import type { WorkgroupPlan } from "./product.ts";
import { tapAtStep, windowOperand } from "./taps.ts";

/** As binaryConvForward with a scale an input channel: ±1 products, as floats. */
export function workgroupFilterForward(shape: WindowShape, tiling: WorkgroupTiling): WorkgroupPlan {
  const s = foldPositions(shape);
  const width = vectorWidth(s.in);
  const outputs = vectorWidth(s.out);
  const words = signWords(s.in);
  const sum = tapsOf(s, tiling);
  const a = windowOperand(outputRows(s), sum, {
    width,
    half: tiling.half,
    at: `${placeOfGroup(s, "pixel")} * ${words}u + channel / 32u`,
    value: (at) => signValue(width, `a[${at}]`, "channel % 32u"),
  });
  const b: Operand = {
    name: "b",
    layout: "steps",
    width,
    element: (_id, step, line) => ({
      statements: tapAtStep(sum, step),
      inside: `(tap < KERNEL * KERNEL) & (${line} < OUT)`,
      at: `(${line} * KERNEL * KERNEL + tap) * ${words}u + channel / 32u${atGroup(s, s.out * s.kernel * s.kernel * words)}`,
      value: (at) => {
        const scale = `c[select(0u, (tap * IN + channel) / ${width}u, inside_now)]`;
        return `${scale} * ${signValue(width, `w[${at}]`, "channel % 32u")}`;
      },
    }),
  };
  return forwardPlan({
    label: "binaryConvForward filter",
    shape: s,
    tiling,
    a,
    b,
    sum,
    storage: [read("a", "u32"), read("w", "u32"), read("c", vectorType(width)), readWrite("y", vectorType(outputs))],
    epilogue: (value) => value,
  });
}
