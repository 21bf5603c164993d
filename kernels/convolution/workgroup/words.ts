// Sign words in workgroup memory: how a sum over taps is cut into slabs of them, and how they and the scales get there.
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import { vectorWidth } from "../../text/dispatch.ts";
import { atGroup, placeOfGroup } from "../../text/window-loops.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { outputRows } from "./forward.ts";
import { type Fill, linePlace, oddStride, tileLines } from "./memory.ts";
import { pixelAtTap, windowRow } from "./taps.ts";

/** How the words of the taps are cut into slabs: whole taps where they are short, parts of one where they are long. */
export interface Slabs {
  /** Taps of a slab, and slabs of a tap: one of them is 1. */
  readonly taps: number;
  readonly parts: number;
  /** Words of a tap in a slab. */
  readonly words: number;
  readonly slabs: number;
  /** Words of one load: u32 or vec4<u32>. */
  readonly width: 4 | 1;
}

export function cutSlabs(s: WindowShape, depth: number): Slabs {
  const all = s.kernel * s.kernel;
  const perTap = signWords(s.in);
  const words = Math.min(perTap, depth);
  const parts = Math.ceil(perTap / words);
  // As many slabs as the depth asks for, all of them equally full.
  const groups = parts > 1 ? all : Math.ceil(all / Math.floor(depth / words));
  const taps = Math.ceil(all / groups);
  return { taps, parts, words, slabs: groups * parts, width: vectorWidth(perTap, words) };
}

/** Declares `tap` and `word` (in loads) of load `step` of a slab. Reads `slab`. */
function wordAtStep(cut: Slabs, step: string): string {
  const loads = cut.words / cut.width;
  if (cut.parts === 1) return `let tap = slab * ${cut.taps}u + ${step} / ${loads}u;\nlet word = ${step} % ${loads}u;`;
  return `let tap = slab / ${cut.parts}u;\nlet word = (slab % ${cut.parts}u) * ${loads}u + ${step};`;
}

/** Several planes of words, which lie behind one another in memory and in each line of a tile. */
export interface WordPlanes {
  readonly count: number;
  /** The plane whose words are kept inverted, 0 beyond the operand's end all the same. */
  readonly inverted?: number;
}

const SPLIT_TAP = "let tap_y = tap / KERNEL;\nlet tap_x = tap % KERNEL;\n";

/**
 * The words of activations (a) or weights (b), line by line, and with `planes` plane by plane in each. Reads `row0` or
 * `column0`, and `slab`; declares `line_id`, `step_id` (`plane_id`) and windowRow's names, and fills `tile_a` or
 * `tile_b`.
 */
export function wordFill(
  s: WindowShape,
  tiling: WorkgroupTiling,
  cut: Slabs,
  name: "a" | "b",
  planes?: WordPlanes,
): Fill {
  const lines = tileLines(tiling, name);
  const steps = (cut.taps * cut.words) / cut.width;
  const perTap = signWords(s.in) / cut.width;
  const perLine = steps * (planes?.count ?? 1);
  const stride = oddStride(perLine);
  const type = cut.width === 4 ? "vec4<u32>" : "u32";
  const rows = outputRows(s);
  const length = (name === "a" ? s.n * s.h * s.w : s.out * s.kernel * s.kernel) * perTap;
  const plane = (id: string) => (planes ? ` + plane_${id} * ${length}u` : "");
  const inverted = (id: string) =>
    planes?.inverted === undefined ? "" : ` ^ ${type}(select(0u, 0xffffffffu, plane_${id} == ${planes.inverted}u))`;
  const [locate, at] =
    name === "a"
      ? [
          (id: string) => SPLIT_TAP + pixelAtTap(rows, id, "KERNEL * KERNEL"),
          `${placeOfGroup(s, "pixel")} * ${perTap}u + word`,
        ]
      : [
          (id: string) => `let inside = (tap < KERNEL * KERNEL) & (line_${id} < OUT);`,
          `(line * KERNEL * KERNEL + tap) * ${perTap}u + word${atGroup(s, s.out * s.kernel * s.kernel * perTap)}`,
        ];
  return {
    name,
    type,
    fetched: type,
    bytes: 4 * cut.width,
    elements: lines * perLine,
    length: lines * stride,
    address: (e) => `(${linePlace(`${e} / ${perLine}u`, lines)}) * ${stride}u + ${e} % ${perLine}u`,
    setup: (id, e) => `
let line_${id} = ${name === "a" ? "row0" : "column0"} + ${e} / ${perLine}u;
let step_${id} = ${e} % ${steps}u;${planes ? `\nlet plane_${id} = (${e} / ${steps}u) % ${planes.count}u;` : ""}
${name === "a" ? windowRow(rows, id) : ""}`,
    fetch: (id) => `{
${wordAtStep(cut, `step_${id}`)}
let line = line_${id};
${locate(id)}
let held = inside & (word < ${perTap}u);
let at_now = select(0u, ${at}${plane(id)}, held);
next_${id} = select(${type}(), ${name === "a" ? "a" : "w"}[at_now]${inverted(id)}, held);
}`,
  };
}

/**
 * A value of each row at each tap: `value`, or `zero` where the tap lies outside the image. Reads `row0`, `slab`, and
 * what `value` says (`tap`, `inside`); declares `step_id` and windowRow's names, and fills `tile_name`.
 */
function rowFill(
  s: WindowShape,
  tiling: WorkgroupTiling,
  cut: Slabs,
  o: { readonly name: string; readonly type: string; readonly zero: string; readonly value: string },
): Fill {
  const lines = tileLines(tiling, "a");
  const rows = outputRows(s);
  return {
    name: o.name,
    type: o.type,
    fetched: o.type,
    bytes: 4,
    elements: cut.taps * lines,
    length: cut.taps * lines,
    address: (e) => e,
    setup: (id, e) => `let step_${id} = ${e} / ${lines}u;\n${windowRow(rows, id, `row0 + ${e} % ${lines}u`)}`,
    fetch: (id) => `{
let tap = ${cut.parts === 1 ? `slab * ${cut.taps}u + step_${id}` : `slab / ${cut.parts}u`};
${SPLIT_TAP}${pixelAtTap(rows, id, "KERNEL * KERNEL")}
next_${id} = select(${o.zero}, ${o.value}, inside);
}`,
  };
}

/**
 * What a tap's count weighs in a row: nothing where the tap lies outside the image, so that zero padding is exact.
 * Fills `tile_scale`, as rowFill.
 */
export function scaleFill(s: WindowShape, tiling: WorkgroupTiling, cut: Slabs, scale: string): Fill {
  return rowFill(s, tiling, cut, { name: "scale", type: "f32", zero: "0.0", value: scale });
}

/** All bits set where a row's tap lies inside the image; fills `tile_mask`, as rowFill. */
export function maskFill(s: WindowShape, tiling: WorkgroupTiling, cut: Slabs): Fill {
  return rowFill(s, tiling, cut, { name: "mask", type: "u32", zero: "0u", value: "0xffffffffu" });
}
