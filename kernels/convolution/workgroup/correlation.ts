// A correlation over workgroup memory: both operands' values at the same steps, zero beyond the last.

import { accumulators } from "../../product/gemm.ts";
import type { CorrelationPass } from "../pass/correlation.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { correlationLabel, correlationSums } from "../registers/correlation-sums.ts";
import type { Operand } from "./memory.ts";
import { floatProduct, type WorkgroupPlan } from "./product.ts";

export function workgroupCorrelation(pass: CorrelationPass, tiling: WorkgroupTiling): WorkgroupPlan {
  const sums = correlationSums(pass);
  const { extent, storage, constants, write } = sums;
  const [first, second, third] = sums.steps;
  const steps = first * second * third;
  const operand = (name: Operand["name"], lines: number, value: (line: string) => string): Operand => ({
    name,
    // Channels lie side by side: along the sum of a response, and across the tile of a gradient.
    layout: pass.verb === "xcorrForward" ? "steps" : "lines",
    width: 1,
    element: (_id, step, line) => ({
      // Beyond the sum and the tile nothing is read that is not there, though it is left out.
      statements: `let at_step = slab * ${tiling.depth}u + ${step};
let term = min(at_step, ${steps - 1}u);
let s = vec3<u32>(term / ${second * third}u, (term / ${third}u) % ${second}u, term % ${third}u);`,
      inside: `(at_step < ${steps}u) & (${line} < ${lines}u)`,
      at: line,
      value: (at) => value(at),
    }),
  });
  const a = operand("a", extent.rows, (line) => `row_at(outer, place_of(${line}), s)`);
  const b = operand("b", extent.columns, (line) => `column_at(outer, ${line}, s)`);
  return {
    product: {
      label: correlationLabel(pass),
      tiling,
      extent,
      constants,
      declarations: sums.declarations,
      storage,
      ...floatProduct(tiling, a, b),
      setup: "",
      slabs: `${Math.ceil(steps / tiling.depth)}u`,
      atSlab: "",
      sums: accumulators(tiling),
      store: {
        width: 1,
        locateRow: `let start = (outer * ${extent.rows}u + row) * ${extent.columns}u;`,
        value: (i, q, lane) => `sum_${i}_${q}${lane}`,
        write,
      },
    },
    after: [],
    scratchBytes: 0,
  };
}
