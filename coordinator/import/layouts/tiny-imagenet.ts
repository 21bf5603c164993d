// tiny-imagenet-200 of Stanford's CS231n: 64×64 pictures, train/WNID/images, and the labels of val in a table. Its
// wnids.txt is in no order: classes are sorted.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { joinPath, type Labels, openClassFolders, openTabled, type Told } from "./class-folders.ts";
import type { Layout, LayoutOptions, OpenSource, Recognition, SourceSplit } from "./layout.ts";
import { boundedLeft } from "./left.ts";
import type { Listing } from "./listing.ts";
import { classesOf, isWnid, linesOf, namesBeside, readText, requireClasses, sortedSet } from "./wordnet.ts";

const IDS = "wnids.txt";
const TABLE = "val_annotations.txt";
/** Inner folders of which one may be the data set's own. */
const FEW = 8;

async function look(source: Listing, base: string): Promise<boolean> {
  const { files, folders } = await source.folder(base);
  if (!files.includes(IDS) || !folders.includes("train")) return false;
  const [first] = (await source.folder(joinPath(base, "train"))).folders.filter(isWnid);
  return first !== undefined && (await source.folder(joinPath(base, "train", first))).folders.includes("images");
}

async function find(source: Listing): Promise<string | undefined> {
  if (source.single !== undefined) return undefined;
  if (await look(source, "")) return "";
  const { folders } = await source.folder("");
  for (const folder of folders.length <= FEW ? folders : []) if (await look(source, folder)) return folder;
  return undefined;
}

function invalid(file: string, line: number, text: string, expected: string): BitswarmError {
  return new BitswarmError(
    "DATA_INVALID",
    `${file}: line ${line} is ${JSON.stringify(text.slice(0, 60))}; expected ${expected}: unpack tiny-imagenet-200.zip again`,
  );
}

async function tableOf(source: Listing, file: string, labels: Labels): Promise<ReadonlyMap<string, number>> {
  const table = new Map<string, number>();
  for (const [at, line] of linesOf(await readText(source, file)).entries()) {
    const [name, id = ""] = line.split("\t");
    const label = labels.get(id.trim());
    if (label === undefined || table.has(name)) {
      throw invalid(source.absolute(file), at + 1, line, `a picture that is not yet there, a tab, and an id of ${IDS}`);
    }
    table.set(name, label);
  }
  return table;
}

async function openVal(source: Listing, base: string, labels: Labels, told: Told): Promise<SourceSplit | undefined> {
  const at = joinPath(base, "val");
  const { files, folders } = await source.folder(at);
  if (files.includes(TABLE) && (await source.folder(joinPath(at, "images"))).files.length > 0) {
    const table = await tableOf(source, joinPath(at, TABLE), labels);
    return openTabled(source, joinPath(at, "images"), table, TABLE, told);
  }
  if (folders.some(isWnid)) return openClassFolders(source, at, labels, "validation", told);
  if (folders.includes("images")) {
    throw new BitswarmError(
      "DATA_MISSING",
      `${source.absolute(at)} has no ${TABLE}, so no labels: unpack tiny-imagenet-200.zip again`,
    );
  }
  told.notices.push("there are no validation pictures");
  return undefined;
}

async function open(source: Listing, base: string, { tell }: LayoutOptions): Promise<OpenSource> {
  const file = joinPath(base, IDS);
  const lines = linesOf(await readText(source, file)).map((line) => line.trim());
  const wrong = lines.findIndex((line) => !isWnid(line));
  if (wrong >= 0) throw invalid(source.absolute(file), wrong + 1, lines[wrong], "a WordNet id");
  const ids = sortedSet(lines);
  requireClasses(ids.length, source.absolute(file));
  const labels = new Map(ids.map((id, label) => [id, label]));
  const told: Told = { notices: [], left: [], tell };
  const train = await openClassFolders(source, joinPath(base, "train"), labels, "training", told, "images");
  const val = await openVal(source, base, labels, told);
  if ((await source.folder(base)).folders.includes("test")) told.notices.push("passed over: test, which has no labels");
  return {
    classes: classesOf(ids, await namesBeside(source, [base])),
    media: "encoded",
    splits: { train, val },
    notices: told.notices,
    left: boundedLeft(told.left),
  };
}

async function recognise(source: Listing): Promise<Recognition | undefined> {
  const base = await find(source);
  if (base === undefined) return undefined;
  return {
    strength: 3,
    why: `in ${base || "it"} are ${IDS} and train/WNID/images`,
    open: (options) => open(source, base, options),
  };
}

export const tinyImagenet: Layout = {
  kind: "tiny-imagenet",
  title: "tiny-imagenet-200",
  files: `${IDS}, train/WNID/images, val/images and val/${TABLE}`,
  recognise,
};
