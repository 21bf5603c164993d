// The convolution over bit planes over workgroup memory: tiles of words of every plane, and integer sums of each pair.
import type { WindowShape } from "../../../shared/model/window.ts";
import { accumulators, eachQuad, LANES } from "../../product/gemm.ts";
import { read, readWrite, vectorType, vectorWidth } from "../../text/dispatch.ts";
import { range } from "../../text/range.ts";
import { foldPositions, windowConstants } from "../../text/window-loops.ts";
import { type PlaneOperands, planeForm } from "../pass/planes.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { combine, declareCombined } from "../registers/plane-sums.ts";
import { isScaledByOutput, planesLabel } from "../registers/planes-conv-forward.ts";
import { outputRows } from "./forward.ts";
import { oddStride, ownLine, tileLines } from "./memory.ts";
import type { WorkgroupPlan } from "./product.ts";
import { cutSlabs, maskFill, type Slabs, wordFill } from "./words.ts";

interface PlaneCounts {
  readonly operands: PlaneOperands;
  readonly tiling: WorkgroupTiling;
  readonly cut: Slabs;
  /** Some taps lie outside the image: words of signs say nothing there. */
  readonly masked: boolean;
}

/** Σ_j 2^j·popcount of values, as WGSL of vec4<u32>. */
function weighed(values: readonly string[]): string {
  const [first, ...others] = values.map((value) => `countOneBits(${value})`);
  return others.length === 0 ? first! : `${first} + 2u * (${weighed(values.slice(1))})`;
}

/**
 * Adds the words of a slab to the counts, as countedPlanes in registers; where weights are 0 and 1 and activations
 * signs, P itself. Reads `tile_a`, `tile_b`, `tile_mask`, `lane_row`, `lane_column`; declares `t`, `i`, `at`,
 * `inside_row`, `a_plane_row`, `w_plane_column`, `b_plane_quad`; adds to `count_plane_group_row_quad` and
 * `row_group_row`.
 */
function countPlanes({ operands, tiling, cut, masked }: PlaneCounts): string {
  const form = planeForm(operands);
  const loads = cut.words / cut.width;
  const steps = cut.taps * loads;
  const own = (name: "a" | "b", planes: number, p: number, i: number) =>
    `tile_${name}[${ownLine(tiling, name, i)} * ${oddStride(steps * planes)}u + ${p * steps}u + at]`;
  const countsColumns = form.signedActivations && !form.signedWeights;
  const countsRows = !form.signedActivations && form.signedWeights;

  const inLane = (lane: string) => {
    const quad = (m: number, q: number) =>
      `vec4<u32>(${range(4)
        .map((l) => `w_${m}_${4 * q + l}${lane}`)
        .join(", ")})`;
    const columns = range(tiling.columns / 4).flatMap((q) =>
      form.signedWeights
        ? range(form.weights).map((m) => `let b_${m}_${q} = ${quad(m, q)};`)
        : [
            `let sign_${q} = ${quad(0, q)};`,
            `let held_${q} = ${quad(1, q)};`,
            `let b_0_${q} = held_${q} & ~sign_${q};`,
            `let b_1_${q} = held_${q} & sign_${q};`,
          ],
    );
    const held = range(tiling.columns / 4).flatMap((q) =>
      range(form.weights).map((m) => `let held_${m}_${q} = countOneBits(b_${m}_${q});`),
    );
    const rows = range(tiling.rows).flatMap((i) =>
      form.groups.map((planes, g) => `row_${g}_${i} += ${weighed(planes.map((p) => `a_${p}_${i}${lane}`))};`),
    );
    const operand = (p: number, m: number, i: number, q: number) => {
      const a = `vec4<u32>(a_${p}_${i}${lane})`;
      if (!(form.signedActivations && form.signedWeights)) return `${a} & b_${m}_${q}`;
      return masked ? `(${a} ^ b_${m}_${q}) & vec4<u32>(inside_${i})` : `${a} ^ b_${m}_${q}`;
    };
    const count = (m: number, g: number) =>
      eachQuad(tiling, (i, q) => {
        const total = weighed(form.groups[g]!.map((p) => operand(p, m, i, q)));
        if (!countsColumns) return `count_${m}_${g}_${i}_${q} += ${total};`;
        const inside = masked ? ` & vec4<u32>(inside_${i})` : "";
        return `count_${m}_${g}_${i}_${q} += (held_${m}_${q}${inside}) - 2u * (${total});`;
      });
    return [
      ...columns,
      ...(countsColumns ? held : []),
      ...(countsRows ? rows : []),
      ...range(form.weights).flatMap((m) => form.groups.map((_, g) => count(m, g))),
    ].join("\n");
  };

  const inside = (i: number) => {
    const row = `(lane_row + ${(i >> 2) * tiling.down}u) * 4u + ${i & 3}u`;
    return `let inside_${i} = tile_mask[t * ${tileLines(tiling, "a")}u + ${row}];`;
  };
  return `
for (var t = 0u; t < ${cut.taps}u; t++) {
${masked ? range(tiling.rows).map(inside).join("\n") : ""}
for (var i = 0u; i < ${loads}u; i++) {
let at = t * ${loads}u + i;
${range(form.activations)
  .flatMap((p) => range(tiling.rows).map((i) => `let a_${p}_${i} = ${own("a", form.activations, p, i)};`))
  .join("\n")}
${range(form.weights)
  .flatMap((m) => range(tiling.columns).map((j) => `let w_${m}_${j} = ${own("b", form.weights, m, j)};`))
  .join("\n")}
${range(cut.width)
  .map((k) => `{\n${inLane(cut.width === 4 ? `.${LANES[k]}` : "")}\n}`)
  .join("\n")}
}
}`;
}

/** Declares `taps`, those inside the image of row `row`. Reads windowConstants. */
function insideTaps(s: WindowShape): string {
  if (s.padding === 0) return "let taps = KERNEL * KERNEL;";
  const axis = (name: string, at: string, size: string) => `
let ${name}0 = ${at} * STRIDE;
let ${name}_first = max(PADDING, ${name}0) - ${name}0;
let ${name}_taps = max(min(KERNEL, ${size} + PADDING - min(${name}0, ${size} + PADDING)), ${name}_first) - ${name}_first;`;
  return `${axis("y", "((row / OW) % OH)", "H")}${axis("x", "(row % OW)", "W")}\nlet taps = y_taps * x_taps;`;
}

/** As planesConvForward. */
export function workgroupPlanesForward(
  o: PlaneOperands & { readonly shape: WindowShape },
  tiling: WorkgroupTiling,
): WorkgroupPlan {
  const s = foldPositions(o.shape);
  const form = planeForm(o);
  const outputs = vectorWidth(s.out);
  const cut = cutSlabs(s, tiling.depth);
  const words = cut.width === 4 ? "vec4<u32>" : "u32";
  const masked = form.signedActivations && s.padding > 0;
  const countsRows = !form.signedActivations && form.signedWeights;
  const tail = (32 - (s.in % 32)) % 32;
  const countsTaps = form.signedActivations && (form.signedWeights || tail > 0);
  const pairs = range(form.weights).flatMap((m) => form.groups.map((_, g) => `count_${m}_${g}`));
  const sums = [
    ...pairs.map((name) => accumulators(tiling, name, "vec4<u32>")),
    ...(countsRows ? range(tiling.rows).flatMap((i) => form.groups.map((_, g) => `var row_${g}_${i} = 0u;`)) : []),
  ];
  const exact = (m: number, g: number, i: number, q: number, lane: string) => {
    const count = `i32(count_${m}_${g}_${i}_${q}${lane})`;
    if (countsRows) return `i32(row_${g}_${i}) - 2 * ${count}`;
    if (!form.signedActivations) return count;
    if (form.signedWeights) return `i32(taps * IN) - 2 * ${count}`;
    return m === 0 && tail > 0 ? `${count} - i32(taps * ${tail}u)` : count;
  };
  const value = (i: number, q: number, lane: string, column: string) =>
    combine(o, {
      sum: (m, g) => exact(m, g, i, q, lane),
      c: (m) => `c[${m}u${isScaledByOutput(o) ? ` * OUT + ${column}` : ""}]`,
      b: (g) => `b[${g}u]`,
    });
  return {
    product: {
      label: planesLabel({ ...o, shape: s }),
      tiling,
      extent: { rows: outputRows(s).rows, columns: s.out, outer: 1 },
      constants: windowConstants(s),
      declarations: declareCombined(o),
      storage: [
        read("a", words),
        read("w", words),
        read("c"),
        ...(o.activations.kind === "bases" ? [read("b")] : []),
        readWrite("y", vectorType(outputs)),
      ],
      fills: [
        wordFill(s, tiling, cut, "a", { count: form.activations }),
        // Beyond the outputs and the taps no weight is there, whatever its sign.
        wordFill(s, tiling, cut, "b", { count: form.weights, ...(form.signedWeights ? {} : { inverted: 1 }) }),
        ...(masked ? [maskFill(s, tiling, cut)] : []),
      ],
      setup: "",
      slabs: `${cut.slabs}u`,
      atSlab: "",
      sums: sums.join("\n"),
      multiply: countPlanes({ operands: o, tiling, cut, masked }),
      store: {
        width: outputs,
        locateRow: `let start = row * OUT;\n${countsTaps ? insideTaps(s) : ""}`,
        value: (i, q, lane, column) =>
          lane === ""
            ? `vec4<f32>(${LANES.map((name, l) => value(i, q, `.${name}`, `(${column} + ${l}u)`)).join(", ")})`
            : value(i, q, lane, column),
        write: (at, stored) => `y[${at}] = ${stored};`,
      },
    },
    after: [],
    scratchBytes: 0,
  };
}
