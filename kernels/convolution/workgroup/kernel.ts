// The text of a workgroup product: each invocation fetches its share of the next slab while the last one is multiplied.

import { LANES } from "../../product/gemm.ts";
import type { Extent } from "../../product/tile-space.ts";
import { gridFor, kernel } from "../../text/dispatch.ts";
import type { Kernel } from "../../text/kernel.ts";
import { range } from "../../text/range.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { type Fill, tileLines } from "./memory.ts";
import { type WorkgroupProduct, workgroupCount, workgroupInvocations } from "./product.ts";

/** The elements of a fill that one invocation takes care of. */
interface Share {
  readonly fill: Fill;
  readonly id: string;
  readonly element: string;
  /** Wraps statements for the invocations that have such an element. */
  readonly guard: (statements: string) => string;
}

function shares(fill: Fill, invocations: number): readonly Share[] {
  return range(Math.ceil(fill.elements / invocations)).map((i) => {
    const element = i === 0 ? "local" : `(local + ${i * invocations}u)`;
    const full = (i + 1) * invocations <= fill.elements;
    return {
      fill,
      id: `${fill.name}${i}`,
      element,
      guard: (statements) => (full ? statements : `if (${element} < ${fill.elements}u) {\n${statements}\n}`),
    };
  });
}

/** Reads `workgroup` and `local`; declares `tile`, `row0`, `column0`, `outer`, `lane_row`, `lane_column`. */
function locate(tiling: WorkgroupTiling, extent: Extent, count: number, columnsOfGrid: number): string {
  const columnTiles = Math.ceil(extent.columns / tileLines(tiling, "b"));
  const rowTiles = Math.ceil(extent.rows / tileLines(tiling, "a"));
  const folded = count > columnsOfGrid;
  return `
let tile = ${folded ? `workgroup.y * ${columnsOfGrid}u + workgroup.x` : "workgroup.x"};
${folded ? `if (tile >= ${count}u) { return; }` : ""}
let column0 = (tile % ${columnTiles}u) * ${tileLines(tiling, "b")}u;
let row0 = ((tile / ${columnTiles}u) % ${rowTiles}u) * ${tileLines(tiling, "a")}u;
let outer = tile / ${columnTiles * rowTiles}u;
let lane_column = local % ${tiling.across}u;
let lane_row = local / ${tiling.across}u;`;
}

/**
 * One more turn than slabs: each fetches a slab and multiplies the one before. Reads `slabs` and what the fills'
 * `setup` declared; declares `slab` and `next_id`.
 */
function eachSlab(o: WorkgroupProduct, parts: readonly Share[]): string {
  const fetch = parts.map(({ fill, id, guard }) => `var next_${id} = ${fill.fetched}();\n${guard(fill.fetch(id))}`);
  const keep = parts.map(({ fill, id, element, guard }) => {
    const value = fill.type === fill.fetched ? `next_${id}` : `${fill.type}(next_${id})`;
    return guard(`tile_${fill.name}[${fill.address(element)}] = ${value};`);
  });
  return `
for (var slab = 0u; slab <= slabs; slab++) {
${o.atSlab}
${fetch.join("\n")}
if (slab > 0u) {
${o.multiply}
}
workgroupBarrier();
${keep.join("\n")}
workgroupBarrier();
}`;
}

/**
 * Reads `row0`, `column0`, `lane_row`, `lane_column` and the sums; declares `row`, and `start` (`held`) by `locateRow`.
 */
function storeSums({ tiling, extent, store }: WorkgroupProduct): string {
  const fullRows = extent.rows % tileLines(tiling, "a") === 0;
  const fullColumns = extent.columns % tileLines(tiling, "b") === 0;
  const quad = (i: number, q: number) => {
    const first = `column0 + (lane_column + ${q * tiling.across}u) * 4u`;
    const parts = store.width === 4 ? [""] : LANES.map((lane) => `.${lane}`);
    return parts
      .map((lane, l) => {
        const column = `(${first} + ${l}u)`;
        const at = store.width === 4 ? `(start + ${first}) / 4u` : `start + ${column}`;
        const write = store.write(at, store.value(i, q, lane, column), column);
        return fullColumns ? write : `if (${column} < ${extent.columns}u) { ${write} }`;
      })
      .join("\n");
  };
  const conditions = [...(fullRows ? [] : [`(row < ${extent.rows}u)`]), ...(store.holes ? ["held"] : [])];
  return range(tiling.rows)
    .map((i) => {
      const writes = range(tiling.columns / 4).map((q) => quad(i, q));
      return `{
let row = row0 + (lane_row + ${(i >> 2) * tiling.down}u) * 4u + ${i & 3}u;
${store.locateRow}
${conditions.length > 0 ? `if (${conditions.join(" & ")}) {` : "{"}
${writes.join("\n")}
}
}`;
    })
    .join("\n");
}

/**
 * Declares `tile_${name}` of each fill in workgroup memory; the parts below say what else their statements may read.
 */
export function workgroupKernel(o: WorkgroupProduct): Kernel {
  const invocations = workgroupInvocations(o.tiling);
  const count = workgroupCount(o.tiling, o.extent);
  const { grid } = gridFor(count, 1);
  const { groups } = o.extent;
  const parts = o.fills.flatMap((fill) => shares(fill, invocations));
  const memory = o.fills.map((fill) => `var<workgroup> tile_${fill.name}: array<${fill.type}, ${fill.length}>;`);
  const built = kernel({
    label: o.label,
    constants: o.constants,
    declarations: [...memory, o.declarations ?? ""].join("\n"),
    storage: o.storage,
    items: count * invocations,
    workgroupSize: invocations,
    barriers: true,
    ...(groups === undefined ? {} : { groups }),
    body: `
${locate(o.tiling, o.extent, count, grid[0])}
${o.setup}
${parts.map(({ fill, id, element }) => fill.setup(id, element)).join("\n")}
${o.sums}
let slabs = ${o.slabs};
${eachSlab(o, parts)}
${storeSums(o)}`,
  });
  const half = o.fills.some((fill) => fill.type.includes("f16"));
  return half ? { ...built, wgsl: `enable f16;\n${built.wgsl}` } : built;
}
