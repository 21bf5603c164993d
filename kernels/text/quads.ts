// Four neighbours in a subgroup read different words and share them. A software adapter, whose subgroup is a vector of
// four lanes, reads memory lane by lane: what all lanes want costs as much as four different words, and `quadBroadcast`
// next to nothing.

import type { AdapterTraits } from "./adapter-traits.ts";
import { range } from "./range.ts";

/** Whether an adapter is likely to like quads where no tuner chooses. */
export function quadsFor({ software, subgroups }: AdapterTraits): boolean {
  return software && subgroups;
}

/** Before everything else in a text: a quad's control flow is uniform, but the analysis cannot know. */
export const QUAD_DIRECTIVES = ["enable subgroups;", "diagnostic(off, subgroup_uniformity);"] as const;

/**
 * Invocations of a workgroup: no subgroup is smaller, so they are one quad, whatever the order in which subgroups are
 * formed. (Larger workgroups could take places by an atomic; SwiftShader sets that to 0 anew for each subgroup unless a
 * barrier follows.)
 */
export const QUAD = 4;

/**
 * Declares `name_0` … `name_count−1`. Lane `quad_lane` reads every fourth of them: `read(g)` is number 4g + quad_lane.
 * Reads `quad_lane`, by what `read` says, and declares `name_own_g` on the way.
 */
export function quadReads(name: string, count: number, read: (group: number) => string): string {
  const groups = Math.ceil(count / 4);
  return [
    ...range(groups).map((g) => `let ${name}_own_${g} = ${read(g)};`),
    ...range(count).map((i) => `let ${name}_${i} = quadBroadcast(${name}_own_${i >> 2}, ${i & 3}u);`),
  ].join("\n");
}
