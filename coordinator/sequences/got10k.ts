// GOT-10k (Huang, Zhao and Huang, "GOT-10k: a large high-diversity benchmark for generic object tracking in the wild",
// TPAMI 2021): train, val and test, each with a list and a folder a sequence.

import { readdir } from "node:fs/promises";
import path from "node:path";
import { storageError } from "../disk/storage-error.ts";
import { allFrames, framesIn } from "./frame-files.ts";
import { isFolder, linesOf, parseBoxes, parseLabels, parseNames, requireText, textOf } from "./read-lines.ts";
import { invalid, missing, requireCount, type Sequence, type SequenceSet } from "./sequence.ts";

export const got10kLists = ["train", "val", "test"] as const;

/** Highest level of cover.label. */
export const MOST_COVER = 8;

const off = "its boxes are off";
/** As the authors of the toolkit and of trackers say. */
const flaws: ReadonlyMap<string, string> = new Map([
  ...Array.from({ length: 15 }, (_, i) => [`GOT-10k_Train_00${8623 + i}`, off] as const),
  ["GOT-10k_Train_009058", off],
  ["GOT-10k_Train_009059", off],
  ["GOT-10k_Train_000385", "its cover is 0 in all frames"],
  ["GOT-10k_Train_000602", "its cover is 0 in all frames"],
]);

/** `key: value` lines behind a `[METAINFO]`. */
export function parseMeta(text: string): ReadonlyMap<string, string> {
  const pairs = linesOf(text).flatMap((line) => {
    const at = line.indexOf(":");
    return at <= 0 ? [] : [[line.slice(0, at).trim(), line.slice(at + 1).trim()] as const];
  });
  return new Map(pairs);
}

/** "(1920, 1080)"; undefined for what is none. */
export function parseResolution(text: string | undefined): Sequence["resolution"] {
  const [, width, height] = /^\(\s*(\d+)\s*,\s*(\d+)\s*\)$/.exec(text ?? "") ?? [];
  return width === undefined ? undefined : { width: Number(width), height: Number(height) };
}

async function metaOf(folder: string): Promise<ReadonlyMap<string, string>> {
  return parseMeta((await textOf(path.join(folder, "meta_info.ini"))) ?? "");
}

/** The names of its list; of a folder without one, the folders in it. */
async function namesIn(folder: string): Promise<string[]> {
  const file = path.join(folder, "list.txt");
  const list = await textOf(file);
  if (list !== undefined) return parseNames(list, file);
  const entries = await readdir(folder, { withFileTypes: true }).catch((error) => {
    throw storageError(error, folder, undefined, "read");
  });
  const names = entries.filter((entry) => entry.isDirectory() && entry.name.startsWith("GOT-10k_"));
  return names.map(({ name }) => name).sort();
}

/** What is said of a list's sequence whose folder is not there. */
function notThere(folder: string, name: string): string {
  const archives = name.includes("_Train_")
    ? "; train comes as archives GOT-10k_Train_split_NN.zip, each whole on its own: unpack every one of them into that folder, and do not join them"
    : ": unpack the data set again";
  return `${name} is in ${path.join(folder, "list.txt")} and not in ${folder}${archives}`;
}

async function readSequence(folder: string, name: string, test: boolean): Promise<Sequence> {
  const own = path.join(folder, name);
  if (!(await isFolder(own))) throw missing(notThere(folder, name));
  const frames = allFrames(await framesIn(own, name), own, name);
  const truth = path.join(own, "groundtruth.txt");
  const boxes = parseBoxes(await requireText(truth, "the boxes of a sequence"), truth);
  const secret = test && boxes.length === 1;
  if (!secret) requireCount(name, "lines of groundtruth.txt", boxes.length, frames.length);
  const labels = async (file: string, most: number) => {
    const text = await textOf(path.join(own, file));
    if (text === undefined) return undefined;
    const values = parseLabels(text, path.join(own, file), most);
    requireCount(name, `lines of ${file}`, values.length, frames.length);
    return values;
  };
  const [absence, cover, cut] = [
    await labels("absence.label", 1),
    await labels("cover.label", MOST_COVER),
    await labels("cut_by_image.label", 1),
  ];
  const meta = await metaOf(own);
  const resolution = parseResolution(meta.get("resolution"));
  const objectClass = meta.get("object_class");
  return {
    name,
    video: name,
    frames,
    boxes,
    secret,
    ...(absence && { absent: absence.map((value) => value === 1) }),
    ...(cover && { cover }),
    ...(cut && { cut: cut.map((value) => value === 1) }),
    ...(objectClass !== undefined && objectClass !== "" && { objectClass }),
    ...(resolution && { resolution }),
  };
}

/** @param root the folder with train, val and test, or one of these */
export async function openGot10k(root: string, list = "val"): Promise<SequenceSet> {
  if (!(got10kLists as readonly string[]).includes(list)) {
    throw invalid(`GOT-10k has the lists ${got10kLists.join(", ")}; got ${list}`);
  }
  const inner = path.join(root, list);
  const folder = (await isFolder(inner)) || path.basename(root) !== list ? inner : root;
  if (!(await isFolder(folder))) {
    throw missing(`${folder} is not there: give the folder that has GOT-10k's ${got10kLists.join(", ")}`);
  }
  const names = await namesIn(folder);
  if (names.length === 0) throw missing(`${folder} has no sequence and no list.txt: unpack GOT-10k's ${list} into it`);
  return {
    kind: "got10k",
    list,
    names,
    videoOf: (name) => name,
    protocol: "got10k",
    flawed: new Map([...flaws].filter(([name]) => names.includes(name))),
    classOf: async (name) => (await metaOf(path.join(folder, name))).get("object_class") || undefined,
    read: (name) => readSequence(folder, name, list === "test"),
  };
}
