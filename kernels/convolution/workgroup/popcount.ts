// The 1-bit forward convolution over workgroup memory: tiles of sign words, counted a tap at a time and scaled by C.
import type { Rectify } from "../../../shared/model/rectify.ts";
import type { WindowShape } from "../../../shared/model/window.ts";
import { accumulators, eachQuad, LANES } from "../../product/gemm.ts";
import { read, readWrite, vectorType, vectorWidth } from "../../text/dispatch.ts";
import { range } from "../../text/range.ts";
import {
  atGroup,
  describeWindow,
  foldPositions,
  placeOfGroup,
  windowConstants,
  windowGroups,
} from "../../text/window-loops.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { outputRows } from "./forward.ts";
import { oddStride, ownLine, tileLines } from "./memory.ts";
import type { WorkgroupPlan } from "./product.ts";
import { cutSlabs, type Slabs, scaleFill, wordFill } from "./words.ts";

/**
 * Counts the words of a tap, then adds the weighed count to the sums. Reads `tile_a`, `tile_b`, `tile_scale`,
 * `lane_row`, `lane_column`, `slab`; declares `t`, `i`, `at`, `a_row`, `w_column`, `b_quad`, `scale_row`; adds to
 * `count_row_quad` and `sum_row_quad`.
 */
function countTaps(tiling: WorkgroupTiling, cut: Slabs, weighed: (count: string) => string): string {
  const loads = cut.words / cut.width;
  const stride = oddStride(cut.taps * loads);
  const own = (name: "a" | "b", i: number) => `tile_${name}[${ownLine(tiling, name, i)} * ${stride}u + at]`;
  const steps = range(cut.width).map((k) => {
    const lane = cut.width === 4 ? `.${LANES[k]}` : "";
    const quads = range(tiling.columns / 4).map(
      (q) =>
        `let b_${q} = vec4<u32>(${range(4)
          .map((l) => `w_${4 * q + l}${lane}`)
          .join(", ")});`,
    );
    const counts = eachQuad(tiling, (i, q) => `count_${i}_${q} += countOneBits(vec4<u32>(a_${i}${lane}) ^ b_${q});`);
    return `{\n${quads.join("\n")}\n${counts}\n}`;
  });
  const scale = (i: number) => {
    const row = `(lane_row + ${(i >> 2) * tiling.down}u) * 4u + ${i & 3}u`;
    return `let scale_${i} = tile_scale[t * ${tileLines(tiling, "a")}u + ${row}];`;
  };
  const add = `
${range(tiling.rows).map(scale).join("\n")}
${eachQuad(tiling, (i, q) => `sum_${i}_${q} += scale_${i} * (${weighed(`vec4<f32>(count_${i}_${q})`)}); count_${i}_${q} = vec4<u32>();`)}`;
  return `
for (var t = 0u; t < ${cut.taps}u; t++) {
for (var i = 0u; i < ${loads}u; i++) {
let at = t * ${loads}u + i;
${range(tiling.rows)
  .map((i) => `let a_${i} = ${own("a", i)};`)
  .join("\n")}
${range(tiling.columns)
  .map((j) => `let w_${j} = ${own("b", j)};`)
  .join("\n")}
${steps.join("\n")}
}
${cut.parts === 1 ? add : `if (slab % ${cut.parts}u == 0u) {\n${add}\n}`}
}`;
}

interface Scaling {
  /** Weight of a count at `tap`, WGSL. */
  readonly scale: string;
  readonly weighed: (count: string) => string;
  readonly value: (sum: string, column: string) => string;
}

/** Σ ±1·±1 of a tap is IN − 2·count. With a scale a tap, −2 comes last; else all is exact until C. */
function scaling(rectify: Exclude<Rectify, "filter">, outputs: 4 | 1, s: WindowShape): Scaling {
  const half = "vec4<f32>(0.5 * f32(IN))";
  const own = atGroup(s, s.out / outputs);
  const exact = { scale: "1.0", weighed: (count: string) => `${half} - ${count}` };
  switch (rectify) {
    case "kernel":
      return {
        scale: "c[select(0u, tap, inside)]",
        weighed: (count) => `${count} - ${half}`,
        value: (sum) => `-2.0 * ${sum}`,
      };
    case "layer":
      return { ...exact, value: (sum) => `(2.0 * ${sum}) * c[0]` };
    case "out":
      return {
        ...exact,
        value: (sum, column) => `(2.0 * ${sum}) * c[${outputs === 4 ? `${column} / 4u` : column}${own}]`,
      };
    default:
      return rectify satisfies never;
  }
}

/** As binaryConvForward, with an entry of C for a tap, a layer or an output. */
export function workgroupPopcountForward(
  o: { readonly shape: WindowShape; readonly rectify: Exclude<Rectify, "filter"> },
  tiling: WorkgroupTiling,
): WorkgroupPlan {
  const s = foldPositions(o.shape);
  const outputs = vectorWidth(s.out);
  const cut = cutSlabs(s, tiling.depth);
  const words = cut.width === 4 ? "vec4<u32>" : "u32";
  const { scale, weighed, value } = scaling(o.rectify, outputs, s);
  return {
    product: {
      label: `binaryConvForward ${o.rectify} ${describeWindow(s)}`,
      tiling,
      extent: { rows: outputRows(s).rows, columns: s.out, outer: 1, ...windowGroups(s) },
      constants: windowConstants(s),
      storage: [
        read("a", words),
        read("w", words),
        read("c", o.rectify === "out" ? vectorType(outputs) : "f32"),
        readWrite("y", vectorType(outputs)),
      ],
      fills: [wordFill(s, tiling, cut, "a"), wordFill(s, tiling, cut, "b"), scaleFill(s, tiling, cut, scale)],
      setup: "",
      slabs: `${cut.slabs}u`,
      atSlab: "",
      sums: `${accumulators(tiling)}\n${accumulators(tiling, "count", "vec4<u32>")}`,
      multiply: countTaps(tiling, cut, weighed),
      store: {
        width: outputs,
        locateRow: `let start = ${placeOfGroup(s, "row")} * OUT;`,
        value: (i, q, lane, column) => value(`sum_${i}_${q}${lane}`, column),
        write: (at, stored) => `y[${at}] = ${stored};`,
      },
    },
    after: [],
    scratchBytes: 0,
  };
}
