// How the invocations of a workgroup read its operand tiles back into registers.
import { type Columns, LANES, type Rows } from "../../product/gemm.ts";
import { range } from "../../text/range.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { type Operand, oddStride, ownLine, tileLines } from "./memory.ts";

/**
 * Reads steps 4·`quad` … 4·`quad` + 3 of an invocation's rows. Reads `tile_a`, `lane_row`, `quad`; declares `a_row`, or
 * `a_quad_k`.
 */
export function rowsInMemory(o: Operand, tiling: WorkgroupTiling): Rows {
  if (o.layout === "steps") {
    const loads = range(tiling.rows).map((i) => `let a_${i} = ${stepsOfLine(o, tiling, i)};`);
    return { load: loads.join("\n"), at: (i, k) => `a_${i}.${LANES[k]}` };
  }
  return { load: quadsAcross(o, tiling, tiling.rows / 4), at: (i, k) => `a_${i >> 2}_${k}.${LANES[i & 3]}` };
}

/**
 * Reads steps 4·`quad` … 4·`quad` + 3 of an invocation's columns. Reads `tile_b`, `lane_column`, `quad`; declares
 * `b_quad_k`, and `w_column` on the way.
 */
export function columnsInMemory(o: Operand, tiling: WorkgroupTiling): Columns {
  if (o.layout === "lines") {
    return { load: quadsAcross(o, tiling, tiling.columns / 4), at: (q, k) => `b_${q}_${k}` };
  }
  const loads = range(tiling.columns).map((j) => `let w_${j} = ${stepsOfLine(o, tiling, j)};`);
  const quads = range(tiling.columns / 4).flatMap((q) =>
    LANES.map((lane, k) => {
      const lines = range(4).map((l) => `w_${4 * q + l}.${lane}`);
      return `let b_${q}_${k} = vec4<f32>(${lines.join(", ")});`;
    }),
  );
  return { load: [...loads, ...quads].join("\n"), at: (q, k) => `b_${q}_${k}` };
}

function fromMemory(o: Operand, at: string): string {
  return o.half ? `vec4<f32>(tile_${o.name}[${at}])` : `tile_${o.name}[${at}]`;
}

/** Steps 4·quad … 4·quad + 3 of the i-th line of an invocation. */
function stepsOfLine(o: Operand, tiling: WorkgroupTiling, i: number): string {
  return fromMemory(o, `${ownLine(tiling, o.name, i)} * ${oddStride(tiling.depth / 4)}u + quad`);
}

/**
 * Declares `name_q_k`, quad q of an invocation's lines at step 4·quad + k. Reads the operand's tile, `quad`, and
 * `lane_row` or `lane_column`.
 */
function quadsAcross(o: Operand, tiling: WorkgroupTiling, count: number): string {
  const quads = tileLines(tiling, o.name) / 4;
  const [lane, apart] = o.name === "a" ? ["lane_row", tiling.down] : ["lane_column", tiling.across];
  return range(4)
    .flatMap((k) =>
      range(count).map((q) => {
        const at = `(4u * quad + ${k}u) * ${quads}u + ${lane} + ${q * apart}u`;
        return `let ${o.name}_${q}_${k} = ${fromMemory(o, at)};`;
      }),
    )
    .join("\n");
}
