// A matrix product whose workgroups share operand tiles in workgroup memory: V. Volkov and J. Demmel, "Benchmarking GPUs to
// tune dense linear algebra" (SC 2008). The next slab of the operands is on its way while the last one is multiplied.
import { gridFor, kernel, type Storage } from "./dispatch.ts";
import { LANES, multiplyAdd } from "./gemm.ts";
import type { Kernel } from "./kernel.ts";
import { range } from "./range.ts";
import type { Extent } from "./tile-space.ts";
import type { WorkgroupTiling } from "./tiling.ts";
import { columnsInMemory, type Fill, type Operand, operandFill, rowsInMemory, tileLines } from "./workgroup-memory.ts";

export interface WorkgroupProduct {
  readonly label: string;
  readonly tiling: WorkgroupTiling;
  /** Rows and columns of the result, for each of `outer`. */
  readonly extent: Extent;
  readonly constants: Readonly<Record<string, number>>;
  readonly declarations?: string;
  readonly storage: readonly Storage[];
  readonly fills: readonly Fill[];
  /** Statements ahead of all; `row0`, `column0`, `outer` of the workgroup's tile are known, and uniform. */
  readonly setup: string;
  /** Slabs of the sum: a WGSL expression, uniform in the workgroup. */
  readonly slabs: string;
  /** Statements at slab `slab`, which may be the one after the last. */
  readonly atSlab: string;
  /** Statements that declare the sums, and those that add slab `slab` − 1 to them. */
  readonly sums: string;
  readonly multiply: string;
  readonly store: WorkgroupStore;
}

export interface WorkgroupStore {
  /** Elements a store: 4 when the columns of a row divide so. */
  readonly width: 4 | 1;
  /** Declares `start`, the element address of (row, column 0); and `held`, whether the row exists, unless all below the extent do. */
  readonly locateRow: string;
  readonly holes?: boolean;
  /** The value of four columns (width 4; lane is empty) or of one (lane is `.x` …). */
  readonly value: (row: number, quad: number, lane: string, column: string) => string;
  /** Stores `value` at `at`, an address in units of `width` elements. */
  readonly write: (at: string, value: string, column: string) => string;
}

/** A verb's product, the kernels after it and their scratch buffer. */
export interface WorkgroupPlan {
  readonly product: WorkgroupProduct;
  readonly after: readonly Kernel[];
  readonly scratchBytes: number;
}

/** Bytes of workgroup memory. */
export function workgroupBytes(o: WorkgroupProduct): number {
  return o.fills.reduce((sum, fill) => sum + fill.bytes * fill.length, 0);
}

/** Elements of the operand tiles that an invocation fetches for a slab. */
export function fetchedAtOnce(o: WorkgroupProduct): number {
  return o.fills.reduce((sum, fill) => sum + Math.ceil(fill.elements / workgroupInvocations(o.tiling)), 0);
}

export function workgroupInvocations(tiling: WorkgroupTiling): number {
  return tiling.down * tiling.across;
}

/** Workgroups of a product of this extent. */
export function workgroupCount(tiling: WorkgroupTiling, extent: Extent): number {
  return (
    Math.ceil(extent.rows / tileLines(tiling, "a")) * Math.ceil(extent.columns / tileLines(tiling, "b")) * extent.outer
  );
}

/** The tiles and the products of two float operands. */
export function floatProduct(
  tiling: WorkgroupTiling,
  a: Operand,
  b: Operand,
): Pick<WorkgroupProduct, "fills" | "multiply"> {
  const steps = multiplyAdd(tiling, 4, rowsInMemory(a, tiling), columnsInMemory(b, tiling));
  return {
    fills: [operandFill(a, tiling), operandFill(b, tiling)],
    multiply: `for (var quad = 0u; quad < ${tiling.depth / 4}u; quad++) {\n${steps}\n}`,
  };
}

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

/** One more turn than slabs: each fetches a slab and multiplies the one before. */
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

export function workgroupKernel(o: WorkgroupProduct): Kernel {
  const invocations = workgroupInvocations(o.tiling);
  const count = workgroupCount(o.tiling, o.extent);
  const { grid } = gridFor(count, 1);
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
