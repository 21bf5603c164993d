// A kernel of one invocation a register tile: the head that every product in registers has.
import { type Dispatch, kernel } from "../text/dispatch.ts";
import type { Kernel } from "../text/kernel.ts";
import { locateTile } from "./gemm.ts";
import { type Extent, type Tile, tileCount, tileWorkgroup } from "./tile-space.ts";

/** `body` sees the place of its tile: `row0`, `column0` and `outer`, and its `own_group` where there are groups. */
export function tiledKernel(
  o: Pick<Dispatch, "label" | "constants" | "floats" | "declarations" | "storage" | "body"> & {
    readonly tile: Tile;
    readonly extent: Extent;
  },
): Kernel {
  const { tile, extent, body, ...rest } = o;
  const items = tileCount(tile, extent);
  const { groups } = extent;
  return kernel({
    ...rest,
    items,
    workgroupSize: tileWorkgroup(items * (groups ?? 1)),
    ...(groups === undefined ? {} : { groups }),
    quads: tile.quads === true,
    body: `\n${locateTile(tile, extent)}\n${body}`,
  });
}
