// The rows of a tile that are contiguous across it, as a weight gradient reads dy: four a load, or four neighbours a
// load each.

import { quadReads } from "../text/quads.ts";
import { range } from "../text/range.ts";
import { LANES, type Rows } from "./gemm.ts";
import { acrossTile, type Floats } from "./operands.ts";
import type { Tile } from "./tile-space.ts";

/**
 * Rows at load `base(k)` + elementOffsets; 0 of a step that is not `present(k)`. Reads `offsets_quad`, `base(k)`,
 * `present(k)`, and `quad_lane` where the tile has quads; declares `g_…`.
 */
export function rowsAcrossTile(o: {
  readonly source: Floats;
  readonly tile: Tile;
  readonly offsets: string;
  readonly base: (k: number) => string;
  readonly depth: number;
  readonly present?: (k: number) => string;
}): Rows {
  const { source, tile, offsets, base, depth, present } = o;
  if (tile.quads) {
    const own = (k: number, q: number) => `${source.name}[${base(k)} + ${offsets}_${q}][quad_lane]`;
    const read = (k: number, q: number) => (present ? `select(0.0, ${own(k, q)}, ${present(k)})` : own(k, q));
    const load = range(depth).map((k) => quadReads(`g_${k}`, tile.rows, (q) => read(k, q)));
    return { load: load.join("\n"), at: (i, k) => `g_${k}_${i}` };
  }
  const load = acrossTile({ source, prefix: "g", offsets, count: tile.rows, base, depth });
  if (!present) return { load, at: (i, k) => `g_${i >> 2}_${k}.${LANES[i & 3]}` };
  const held = range(depth).flatMap((k) =>
    range(tile.rows / 4).map((q) => `let p_${q}_${k} = select(vec4<f32>(), g_${q}_${k}, ${present(k)});`),
  );
  return { load: [load, ...held].join("\n"), at: (i, k) => `p_${i >> 2}_${k}.${LANES[i & 3]}` };
}
