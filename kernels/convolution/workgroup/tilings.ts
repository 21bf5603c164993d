// Which workgroup tilings of a pass are worth measuring on an adapter.

import type { Extent } from "../../product/tile-space.ts";
import type { AdapterTraits } from "../../text/adapter-traits.ts";
import type { ConvolutionPass } from "../pass/pass.ts";
import { integerSums, planeForm } from "../pass/planes.ts";
import type { WorkgroupTiling } from "../pass/tiling.ts";
import { tileLines } from "./memory.ts";
import { workgroupPlan } from "./plan.ts";
import { fetchedAtOnce, fetchedWordsAtOnce, workgroupBytes, workgroupCount, workgroupInvocations } from "./product.ts";

/** [rows, columns, down, across] of an invocation and of a workgroup: a tile is rows·down × columns·across sums. */
const TILES: readonly (readonly [number, number, number, number])[] = [
  [8, 4, 16, 16],
  [8, 8, 8, 8],
  [4, 4, 16, 16],
  [4, 4, 16, 8],
  [4, 4, 8, 16],
  [4, 4, 8, 8],
  [8, 4, 16, 4],
  [4, 4, 16, 4],
  [4, 4, 4, 16],
];

/** Steps in workgroup memory at a time: the deepest that fits. */
const DEPTHS: readonly number[] = [16, 8];

/** Steps of a pass over planes, whose words take a multiple of the room. */
const PLANE_DEPTHS: readonly number[] = [...DEPTHS, 4];

/** Elements that an invocation fetches for a slab: they wait in registers, beside the sums. */
const MOST_FETCHED = 12;

/** Words of planes that an invocation fetches for a slab, for the same reason. */
const MOST_PLANE_WORDS = 48;

/** Integer sums of planes that an invocation keeps: more spill from its registers. */
const MOST_PLANE_SUMS = 160;

/** Most candidates for each kind of memory: measuring costs time. */
const MOST = 3;

/** Workgroups before tiles may grow: some for each core of a large GPU. */
const ENOUGH_WORKGROUPS = 192;

/**
 * Sums of an invocation that a loaded value should serve: below it the reads of workgroup memory hold up the products.
 */
function readsAProduct(t: WorkgroupTiling): number {
  return (t.rows + t.columns) / (t.rows * t.columns);
}

/**
 * Time of a tiling, up to a factor: sums beyond the border, reads of workgroup memory, the fill of the tiles, idle
 * cores.
 */
function cost(t: WorkgroupTiling, extent: Extent): number {
  const waste = (length: number, name: "a" | "b") =>
    (Math.ceil(length / tileLines(t, name)) * tileLines(t, name)) / length;
  const fills = 1 / tileLines(t, "a") + 1 / tileLines(t, "b");
  const idle = Math.max(1, ENOUGH_WORKGROUPS / (workgroupCount(t, extent) * (extent.groups ?? 1)));
  const work = waste(extent.rows, "a") * waste(extent.columns, "b") * (1 + readsAProduct(t) + 8 * fills);
  // Too few workgroups leave cores idle, but those at work share the caches and the memory.
  return work * Math.sqrt(idle);
}

/** Whether a pass has a ±1 operand that workgroup memory may hold as f16. */
function hasSigns(pass: ConvolutionPass): boolean {
  if (pass.verb === "binaryConvInputGradient") return pass.rectify !== "filter";
  return pass.verb === "binaryConvWeightGradient";
}

function fits(pass: ConvolutionPass, tiling: WorkgroupTiling, traits: AdapterTraits): boolean {
  const { product } = workgroupPlan(pass, tiling);
  return (
    workgroupInvocations(tiling) <= traits.invocations &&
    workgroupBytes(product) <= traits.workgroupMemory &&
    (pass.verb === "planesConvForward"
      ? fetchedWordsAtOnce(product) <= MOST_PLANE_WORDS &&
        tiling.rows * tiling.columns * integerSums(planeForm(pass)) <= MOST_PLANE_SUMS
      : fetchedAtOnce(product) <= MOST_FETCHED)
  );
}

/**
 * Two to six candidates that fit the adapter, the most promising for a GPU first; none where even the smallest does not
 * fit. Where the adapter has f16 and the pass a ±1 operand, each with it and without.
 */
export function workgroupTilings(pass: ConvolutionPass, traits: AdapterTraits): readonly WorkgroupTiling[] {
  const ranked = TILES.flatMap(([rows, columns, down, across]) => {
    const depths = pass.verb === "planesConvForward" ? PLANE_DEPTHS : DEPTHS;
    const sized = depths.map(
      (depth): WorkgroupTiling => ({ kind: "workgroup", rows, columns, down, across, depth, half: false }),
    );
    const tiling = sized.find((t) => fits(pass, t, traits));
    if (!tiling) return [];
    return [{ tiling, cost: cost(tiling, workgroupPlan(pass, tiling).product.extent) }];
  }).sort((a, b) => a.cost - b.cost);
  const best = ranked.slice(0, MOST).map(({ tiling }) => tiling);
  if (!traits.f16 || !hasSigns(pass)) return best;
  return best.flatMap((tiling) => [{ ...tiling, half: true }, tiling]);
}
