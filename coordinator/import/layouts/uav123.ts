// UAV123: boxes in anno, frames in data_seq.

import type { Layout, Recognition } from "./layout.ts";
import type { Listing } from "./listing.ts";
import { openTracking } from "./tracking-split.ts";

async function recognise(source: Listing): Promise<Recognition | undefined> {
  if (source.single !== undefined) return undefined;
  const { files } = await source.folder("anno/UAV123");
  if (!files.some((name) => name.endsWith(".txt"))) return undefined;
  if ((await source.folder("data_seq/UAV123")).folders.length === 0) return undefined;
  return {
    strength: 3,
    why: "in it are anno/UAV123 and data_seq/UAV123",
    open: () => openTracking(source, "uav123"),
  };
}

export const uav123: Layout = {
  kind: "uav123",
  title: "UAV123",
  files: "anno/UAV123/NAME.txt and data_seq/UAV123/FOLDER/ with frames",
  recognise,
};
