// An image folder as torchvision's ImageFolder reads it: split/CLASS/**, or CLASS/** alone; also ImageNette and
// ImageNet-100, whose training folders are train.X1 to train.X4.

import { basename } from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { joinPath, some } from "./class-folders.ts";
import { type FolderSplit, hasPictures, isImageName, openFolderSplit, type Part } from "./folder-split.ts";
import type { Layout, LayoutOptions, OpenSource, Recognition, SourceSplit } from "./layout.ts";
import { boundedLeft } from "./left.ts";
import type { Listing } from "./listing.ts";
import { classesOf, isWnid, namesBeside, requireClasses, sortedSet } from "./wordnet.ts";

/** Folders of splits by what they are called. */
const splitNames = {
  train: /^(train|training)(\.X?\d+)?$/i,
  val: /^(val|valid|validation)(\.X?\d*)?$/i,
  test: /^(test|testing)(\.X?\d*)?$/i,
} as const;
type SplitName = keyof typeof splitNames;
const splits = Object.keys(splitNames) as SplitName[];

/** Inner folders of which one may be the data set's own, as archives unpack to. */
const FEW = 8;

interface Found {
  /** The folder with the splits' or classes' folders. */
  readonly base: string;
  /** The folders of each split, none where the classes lie in the base. */
  readonly splits: Readonly<Record<SplitName, readonly string[]>>;
}

/** Classes of a split's folders: the folders in them. */
async function classFolders(source: Listing, folders: readonly string[]): Promise<readonly string[]> {
  const inner = await Promise.all(folders.map((folder) => source.folder(folder)));
  return sortedSet(inner.flatMap((one) => one.folders));
}

/** Whether a few of the first folders have pictures. */
async function arePictures(source: Listing, base: string, folders: readonly string[]): Promise<boolean> {
  for (const folder of folders.slice(0, FEW)) if (await hasPictures(source, joinPath(base, folder))) return true;
  return false;
}

async function look(source: Listing, base: string): Promise<Found | undefined> {
  const { folders } = await source.folder(base);
  const of = (split: SplitName) =>
    folders.filter((name) => splitNames[split].test(name)).map((name) => joinPath(base, name));
  const found = { base, splits: { train: of("train"), val: of("val"), test: of("test") } };
  if (found.splits.train.length > 0) {
    const classes = await classFolders(source, found.splits.train);
    const first = found.splits.train[0];
    return classes.length > 0 && (await arePictures(source, first, classes)) ? found : undefined;
  }
  // One list of GOT-10k is no folder of classes: the folder above it is its data set.
  if (folders.some((name) => name.startsWith("GOT-10k_"))) return undefined;
  const none: readonly string[] = [];
  const flat = { base, splits: { train: none, val: none, test: none } };
  return folders.length > 1 && (await arePictures(source, base, folders)) ? flat : undefined;
}

/** In the source, or in the one of its few folders that has splits. */
async function find(source: Listing): Promise<Found | undefined> {
  if (source.single !== undefined) return undefined;
  const here = await look(source, "");
  if (here !== undefined && here.splits.train.length > 0) return here;
  const { folders } = await source.folder("");
  if (folders.length <= FEW) {
    const inner = await Promise.all(folders.map((folder) => look(source, folder)));
    const complete = inner.filter((one) => one !== undefined && one.splits.train.length > 0);
    if (complete.length === 1) return complete[0];
    // A folder of one folder of classes: what an archive unpacks to.
    if (folders.length === 1 && inner[0] !== undefined) return inner[0];
  }
  return here;
}

function requireOneFolder(split: SplitName, folders: readonly string[]): void {
  const kinds = new Set(folders.map((folder) => folder.replace(/\.X?\d*$/i, "")));
  if (kinds.size > 1) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${some(folders)} may each be the ${split} split: leave the one that is meant under that name, and move the other away`,
    );
  }
}

async function partsOf(
  source: Listing,
  folders: readonly string[],
  labels: ReadonlyMap<string, number>,
): Promise<Part[]> {
  const parts: Part[] = [];
  for (const base of folders) {
    for (const folder of (await source.folder(base)).folders) {
      const label = labels.get(folder);
      if (label !== undefined) parts.push({ base, folder, label, deep: true });
    }
  }
  return parts;
}

/** Pictures that lie beside the folders of classes have no class. */
async function strays(source: Listing, folders: readonly string[]) {
  const all = await Promise.all(folders.map(async (folder) => ({ folder, ...(await source.folder(folder)) })));
  return all.flatMap(({ folder, files, left }) => [
    ...left,
    ...files.map((file) => ({
      source: joinPath(folder, file),
      why: isImageName(file) ? "a picture in no folder of a class" : "no picture by its name",
    })),
  ]);
}

async function openSplit(
  source: Listing,
  split: SplitName,
  folders: readonly string[],
  classes: readonly string[],
  tell?: (what: string) => void,
) {
  requireOneFolder(split, folders);
  const labels = new Map(classes.map((name, label) => [name, label]));
  const there = await classFolders(source, folders);
  const extra = there.filter((name) => !labels.has(name));
  if (extra.length > 0) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${source.absolute(folders[0])} has classes that the training folder lacks, ${some(extra)}: labels would not agree; put both from one data set`,
    );
  }
  const parts = await partsOf(source, folders, labels);
  const opened = await openFolderSplit(source, parts, tell);
  const filled = new Set(parts.flatMap(({ folder }, i) => (opened.counts[i] > 0 ? [folder] : [])));
  const lacks = classes.filter((name) => !filled.has(name));
  const notices =
    lacks.length === 0
      ? []
      : [`the ${split} split has no pictures of ${lacks.length} of ${classes.length} classes: ${some(lacks)}`];
  return { opened, notices, left: [...(await strays(source, folders)), ...opened.left] };
}

/** Folders 0 to 999 sort as text: 0, 1, 10. A person who knows them as numbers must be told. */
function numberNotice(classes: readonly string[]): string[] {
  const numbers = classes.every((name) => /^\d{1,9}$/.test(name));
  const at = numbers ? classes.findIndex((name, label) => Number(name) !== label) : -1;
  if (at < 0) return [];
  return [
    `the names of the classes are numbers, and are in the order of text: folder ${classes[at]} is class ${at}; write them with as many digits each (007) to have them in the order of numbers`,
  ];
}

async function open(source: Listing, found: Found, { tell }: LayoutOptions): Promise<OpenSource> {
  const { base } = found;
  if (found.splits.train.length === 0 && [splitNames.val, splitNames.test].some((name) => name.test(basename(base)))) {
    throw new BitswarmError(
      "DATA_MISSING",
      `${source.given} has no training folder, only ${base}: give the folder of both, or ${source.absolute(base)} itself to train on it`,
    );
  }
  const trainFolders = found.splits.train.length > 0 ? found.splits.train : [base];
  const classes = await classFolders(source, trainFolders);
  requireClasses(classes.length, source.absolute(trainFolders[0]));
  const train = await openSplit(source, "train", trainFolders, classes, tell);
  if (train.opened.samples === 0) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${source.absolute(trainFolders[0])} has no pictures: is it the right folder?`,
    );
  }
  const notices = [...numberNotice(classes), ...train.notices];
  const left = [...train.left];
  const opened: { train: FolderSplit; val?: SourceSplit; test?: SourceSplit } = { train: train.opened };
  for (const split of ["val", "test"] as const) {
    const folders = found.splits[split];
    if (folders.length === 0) continue;
    const sorted = await classFolders(source, folders);
    if (sorted.length === 0 || (split === "test" && !sorted.some((name) => classes.includes(name)))) {
      notices.push(`${some(folders)} has no folders of classes, so no labels: it is passed over`);
      continue;
    }
    const one = await openSplit(source, split, folders, classes, tell);
    opened[split] = one.opened;
    notices.push(...one.notices);
    left.push(...one.left);
  }
  const parent = base.includes("/") ? base.slice(0, base.lastIndexOf("/")) : "";
  const names = await namesBeside(source, [base, parent, ""]);
  return {
    classes: classesOf(classes, names),
    media: "encoded",
    splits: opened,
    notices,
    left: boundedLeft(left),
  };
}

async function recognise(source: Listing): Promise<Recognition | undefined> {
  const found = await find(source);
  if (found === undefined) return undefined;
  const folders = splits.flatMap((split) => found.splits[split]);
  const flat = folders.length === 0;
  const classes = await classFolders(source, flat ? [found.base] : found.splits.train);
  const kind = classes.every(isWnid) ? "named by WordNet ids" : "named by their folders";
  const where = flat ? found.base || "it" : some(folders);
  return {
    strength: flat ? 1 : 2,
    why: `in ${where} are folders of pictures, ${classes.length} classes ${kind}`,
    open: (options) => open(source, found, options),
  };
}

export const imagefolder: Layout = {
  kind: "imagefolder",
  title: "an image folder",
  files: "train/CLASS/*.JPEG and val/CLASS/*.JPEG, or CLASS/*.JPEG alone",
  recognise,
};
