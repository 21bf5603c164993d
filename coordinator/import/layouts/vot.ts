// VOT's challenges up to 2019: a folder a sequence, with frames and groundtruth.txt.

import type { Layout, Recognition } from "./layout.ts";
import type { Listing } from "./listing.ts";
import { openTracking } from "./tracking-split.ts";

/** Folders that are looked at: all but a few are sequences. */
const LOOKED_AT = 20;

async function recognise(source: Listing): Promise<Recognition | undefined> {
  if (source.single !== undefined) return undefined;
  const { folders } = await source.folder("");
  for (const name of folders.slice(0, LOOKED_AT)) {
    // One list of GOT-10k lies alike: the folder above it is its data set.
    if (name.startsWith("GOT-10k_")) return undefined;
    if (!(await source.folder(name)).files.includes("groundtruth.txt")) continue;
    return { strength: 3, why: `in ${name} is groundtruth.txt`, open: () => openTracking(source, "vot") };
  }
  return undefined;
}

export const vot: Layout = {
  kind: "vot",
  title: "VOT",
  files: "a folder a sequence, with frames, in it or in color/, and groundtruth.txt",
  recognise,
};
