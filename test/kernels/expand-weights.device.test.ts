// Planes of a weight as WeightForm defines them, against a loop over its elements.
import { expect, test } from "vitest";
import { expandWeights, type PlaneForm } from "../../kernels/layers/expand-weights.ts";
import { planesOf } from "../../shared/model/graph.ts";
import { packSignPlanes } from "../../shared/model/sign-planes.ts";
import { runKernels, testDevice } from "../fixtures/device.ts";
import { uniform } from "./data.ts";
import { expectWithin } from "./expect-close.ts";

const FORMS: readonly PlaneForm[] = [
  { kind: "linear", planes: 1, scale: "layer" },
  { kind: "linear", planes: 3, scale: "layer" },
  { kind: "linear", planes: 5, scale: "out" },
  { kind: "ternary" },
  { kind: "table", planes: 2, scale: "layer" },
  { kind: "table", planes: 4, scale: "out" },
];

/** W̃ of weight `at` of filter `o`, whose bits are `set`. */
function weightOf(form: PlaneForm, c: Float32Array, set: readonly boolean[], o: number, out: number): number {
  switch (form.kind) {
    case "linear":
      return set.reduce((sum, bit, m) => sum + (bit ? -1 : 1) * c[form.scale === "out" ? m * out + o : m]!, 0);
    case "ternary":
      return set[1] ? 0 : set[0] ? -c[1]! : c[0]!;
    case "table": {
      const code = set.reduce((sum, bit, m) => sum + (bit ? 2 ** m : 0), 0);
      return c[(form.scale === "out" ? o * 2 ** form.planes : 0) + code]!;
    }
    default:
      return form satisfies never;
  }
}

test.each(FORMS.map((form) => [JSON.stringify(form), form] as const))(
  "expandWeights makes W̃ of the planes of %s",
  async (_, form) => {
    const device = await testDevice();
    for (const [out, kernel, input] of [
      [5, 3, 8],
      [2, 1, 64],
      [3, 3, 33],
      [4, 2, 1],
      [2, 1, 36],
    ] as const) {
      const elements = out * kernel * kernel * input;
      const planes = planesOf(form);
      const signs = uniform(planes * elements, 1).map((v) => (v < 0 ? -1 : 1));
      const entries = form.kind === "ternary" ? 2 : form.kind === "table" ? 2 ** planes : planes;
      const c = uniform(entries * (form.kind !== "ternary" && form.scale === "out" ? out : 1), 2);
      const { w } = await runKernels(device, expandWeights({ out, kernel, in: input, form }), {
        planes: packSignPlanes(signs, planes * out * kernel * kernel, input),
        c,
        w: new Float32Array(elements).fill(Number.NaN),
      });
      const wanted = Float64Array.from({ length: elements }, (_, at) => {
        const set = Array.from({ length: planes }, (_, m) => signs[m * elements + at]! < 0);
        return weightOf(form, c, set, Math.floor((at * out) / elements), out);
      });
      expectWithin(w, wanted, form.kind === "linear" ? planes * planes * 2 ** -24 : 0, `${out}x${kernel}x${input}`);
    }
    expect.assertions(5);
  },
);
