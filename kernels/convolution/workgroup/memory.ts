// The operand tiles of a workgroup: how they lie in workgroup memory, how its invocations fill them together.
import { LANES } from "../../product/gemm.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";

/** An array in workgroup memory that is filled anew for each slab of the sum. */
export interface Fill {
  /** The array is `tile_${name}`. */
  readonly name: string;
  /** WGSL type of an element in the array, and of the value that is fetched for it. */
  readonly type: string;
  readonly fetched: string;
  /** Bytes of an element. */
  readonly bytes: number;
  /** Elements filled for a slab, and elements of the array. */
  readonly elements: number;
  readonly length: number;
  /** Address in the array of the element whose number is the WGSL expression `e`. */
  readonly address: (e: string) => string;
  /** Statements ahead of the slabs for element `e`; what they declare ends in `_${id}`. */
  readonly setup: (id: string, e: string) => string;
  /** Statements that assign `next_${id}`, the element's value in slab `slab`; all zero beyond the last slab. */
  readonly fetch: (id: string) => string;
}

/**
 * What a vec4 of an operand's tile holds: four consecutive steps of one line (row or column of the result), as operands
 * that are contiguous along the sum are read; or one step of four consecutive lines, as those contiguous across the
 * tile.
 */
export type Layout = "steps" | "lines";

/** A value of an operand as WGSL: zero unless `inside`, and then `value(at)`. */
export interface Element {
  readonly statements: string;
  readonly inside: string;
  readonly at: string;
  readonly value: (at: string) => string;
}

/** A side of the product: `a` has the rows, `b` the columns. */
export interface Operand {
  readonly name: "a" | "b";
  readonly layout: Layout;
  /** Kept as f16, which must be exact. */
  readonly half?: boolean;
  /** 4 where one value is a whole vec4 of the tile, 1 where it is one number. */
  readonly width: 4 | 1;
  /** Statements ahead of the slabs; `line_${id}` is the first line of the vec4. */
  readonly setup?: (id: string) => string;
  /**
   * The value at step `step` of the slab and line `line` of the result; its statements stand in a block of their own.
   */
  readonly element: (id: string, step: string, line: string) => Element;
}

/** Rows (a) or columns (b) of a workgroup's tile. */
export function tileLines(tiling: WorkgroupTiling, name: "a" | "b"): number {
  return name === "a" ? tiling.rows * tiling.down : tiling.columns * tiling.across;
}

/** Elements from line to line: odd, so that neighbours read from different banks. */
export function oddStride(elements: number): number {
  return elements | 1;
}

/**
 * Where line `line` of a tile lies, in lines: quads apart, so that neighbours, which are a quad apart, read
 * neighbouring lines.
 */
export function linePlace(line: string, lines: number): string {
  return `((${line}) % 4u) * ${lines / 4}u + (${line}) / 4u`;
}

/** The place (linePlace) of the i-th line of an invocation. Reads `lane_row` or `lane_column`. */
export function ownLine(tiling: WorkgroupTiling, name: "a" | "b", i: number): string {
  const [lane, apart] = name === "a" ? ["lane_row", tiling.down] : ["lane_column", tiling.across];
  return `(${lane} + ${(i & 3) * (tileLines(tiling, name) / 4) + (i >> 2) * apart}u)`;
}

/** Reads `step_id` and `line_id`; declares `inside_now` and `at_now`; assigns `next_id`. */
function fetchQuad(o: Operand, id: string): string {
  const assign = (target: string, zero: string, e: Element) => `{
${e.statements}
let inside_now = ${e.inside};
let at_now = select(0u, ${e.at}, inside_now);
${target} = select(${zero}, ${e.value("at_now")}, inside_now);
}`;
  if (o.width === 4) return assign(`next_${id}`, "vec4<f32>()", o.element(id, `step_${id}`, `line_${id}`));
  return LANES.map((lane, l) => {
    const [step, line] =
      o.layout === "steps" ? [`(step_${id} + ${l}u)`, `line_${id}`] : [`step_${id}`, `(line_${id} + ${l}u)`];
    return assign(`next_${id}.${lane}`, "0.0", o.element(id, step, line));
  }).join("\n");
}

/**
 * The vec4 tile of a float operand. Reads `row0` or `column0`; declares `line_id` and `step_id`, and fills `tile_a` or
 * `tile_b`.
 */
export function operandFill(o: Operand, tiling: WorkgroupTiling): Fill {
  const lines = tileLines(tiling, o.name);
  const first = o.name === "a" ? "row0" : "column0";
  const steps = o.layout === "steps";
  const quads = steps ? tiling.depth / 4 : lines / 4;
  const stride = oddStride(quads);
  return {
    name: o.name,
    type: o.half ? "vec4<f16>" : "vec4<f32>",
    fetched: "vec4<f32>",
    bytes: o.half ? 8 : 16,
    elements: (lines * tiling.depth) / 4,
    length: steps ? lines * stride : quads * tiling.depth,
    address: (e) => (steps ? `(${linePlace(`${e} / ${quads}u`, lines)}) * ${stride}u + ${e} % ${quads}u` : e),
    setup: (id, e) => {
      const [line, step] = steps
        ? [`${e} / ${quads}u`, `(${e} % ${quads}u) * 4u`]
        : [`(${e} % ${quads}u) * 4u`, `${e} / ${quads}u`];
      return `let line_${id} = ${first} + ${line};\nlet step_${id} = ${step};\n${o.setup?.(id) ?? ""}`;
    },
    fetch: (id) => fetchQuad(o, id),
  };
}
