// OTB, or any films in its layout: a folder each, with frames in img and boxes beside it.

import type { Layout, Recognition } from "./layout.ts";
import type { Listing } from "./listing.ts";
import { openTracking } from "./tracking-split.ts";

/** Folders that are looked at: all but a few are videos. */
const LOOKED_AT = 20;

async function recognise(source: Listing): Promise<Recognition | undefined> {
  if (source.single !== undefined) return undefined;
  const { folders } = await source.folder("");
  for (const name of folders.slice(0, LOOKED_AT)) {
    const { files, folders: inner } = await source.folder(name);
    const truth = files.find((file) => /^groundtruth_rect(\.\d)?\.txt$/.test(file));
    if (truth === undefined || !inner.includes("img")) continue;
    return { strength: 3, why: `in ${name} are img and ${truth}`, open: () => openTracking(source, "otb") };
  }
  return undefined;
}

export const otb: Layout = {
  kind: "otb",
  title: "OTB",
  files: "a folder a video, with img/ and groundtruth_rect.txt",
  recognise,
};
