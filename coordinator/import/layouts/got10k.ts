// GOT-10k: train and val, each with a list and a folder a sequence. Its test has no boxes, so nothing to learn from.

import type { Layout, Recognition } from "./layout.ts";
import type { Listing } from "./listing.ts";
import { openTrackingLists } from "./tracking-split.ts";

async function isList(source: Listing, list: string): Promise<boolean> {
  const { files, folders } = await source.folder(list);
  const first = folders.find((name) => name.startsWith("GOT-10k_"));
  if (first !== undefined) return (await source.folder(`${list}/${first}`)).files.includes("groundtruth.txt");
  return files.includes("list.txt") && folders.length === 0;
}

async function recognise(source: Listing): Promise<Recognition | undefined> {
  if (source.single !== undefined || !(await isList(source, "train"))) return undefined;
  const val = await isList(source, "val");
  return {
    strength: 3,
    why: `in it ${val ? "are train and val" : "is train"} with sequences GOT-10k_…, and groundtruth.txt in each`,
    open: ({ tell }) => openTrackingLists(source, { train: "train", ...(val && { val: "val" }) }, tell),
  };
}

export const got10k: Layout = {
  kind: "got10k",
  title: "GOT-10k",
  files: "train/ and val/, each with list.txt and GOT-10k_…/ with frames and groundtruth.txt",
  recognise,
};
