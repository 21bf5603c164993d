// dx over workgroup memory: of float weights, or of the signs of a binary layer, with C on the way in and the surrogate
// on the way out.
import type { Rectify, Surrogate } from "../../../shared/model/rectify.ts";
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import { signValue } from "../../product/sign-operands.ts";
import { read, vectorType, vectorWidth } from "../../text/dispatch.ts";
import { atGroup, foldPositions } from "../../text/window-loops.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { surrogateDerivative } from "../registers/binary-conv.ts";
import { inputGradientPlan } from "./input-gradient-phases.ts";
import type { WorkgroupPlan } from "./product.ts";

/** As convInputGradient. */
export function workgroupConvInputGradient(
  o: { readonly shape: WindowShape; readonly accumulate: boolean },
  tiling: WorkgroupTiling,
): WorkgroupPlan {
  const shape = foldPositions(o.shape);
  const plane = shape.out * shape.kernel * shape.kernel;
  const width = vectorWidth(shape.in);
  return inputGradientPlan(
    {
      label: "convInputGradient",
      shape,
      accumulate: o.accumulate,
      storage: [read("w", vectorType(width))],
      weights: {
        width,
        at: (line) =>
          `((channel * KERNEL * KERNEL + tap_number) * IN + ${line}${atGroup(shape, plane * shape.in)}) / ${width}u`,
        value: (at) => `w[${at}]`,
      },
      epilogue: (value) => value,
    },
    tiling,
  );
}

/** C times dy on its way into the tile, where it varies with the tap or the output. */
function scaleOf(rectify: Rectify, depth: 4 | 1, s: WindowShape): string | undefined {
  switch (rectify) {
    case "kernel":
      return "c[tap_number]";
    case "out":
      return `c[channel / ${depth}u${atGroup(s, s.out / depth)}]`;
    case "layer":
    case "filter":
      return undefined;
    default:
      return rectify satisfies never;
  }
}

/** As binaryConvInputGradient. */
export function workgroupBinaryInputGradient(
  o: {
    readonly shape: WindowShape;
    readonly rectify: Rectify;
    readonly surrogate: Surrogate;
    readonly accumulate: boolean;
  },
  tiling: WorkgroupTiling,
): WorkgroupPlan {
  const shape = foldPositions(o.shape);
  const plane = shape.out * shape.kernel * shape.kernel;
  const width = vectorWidth(shape.in);
  const depth = vectorWidth(shape.out);
  const type = vectorType(width);
  const words = signWords(shape.in);
  const filter = o.rectify === "filter";
  const scaleTypes: Record<Rectify, string> = { kernel: "f32", layer: "f32", out: vectorType(depth), filter: type };
  const scale = scaleOf(o.rectify, depth, shape);
  const layer = o.rectify === "layer" ? "c[0] * " : "";
  return inputGradientPlan(
    {
      label: `binaryConvInputGradient ${o.rectify} ${o.surrogate}`,
      shape,
      accumulate: o.accumulate,
      storage: [read("w", "u32"), read("c", scaleTypes[o.rectify]), read("x", type)],
      declarations: `fn derivative(v: ${type}) -> ${type} { return ${surrogateDerivative(o.surrogate, type)}; }`,
      ...(scale === undefined ? {} : { scale }),
      weights: {
        width,
        // Times C a sign is a float like any other.
        half: tiling.half && !filter,
        at: (line) =>
          `(channel * KERNEL * KERNEL + tap_number) * ${words}u + ${line} / 32u${atGroup(shape, plane * words)}`,
        value: (at, line) => {
          const sign = signValue(width, `w[${at}]`, `${line} % 32u`);
          return filter ? `${sign} * c[select(0u, (tap_number * IN + ${line}) / ${width}u, inside_now)]` : sign;
        },
      },
      epilogue: (value, at) => `${layer}${value} * derivative(x[${at}])`,
    },
    tiling,
  );
}
