// VOT's challenges up to 2019: a list, a folder a sequence, and in groundtruth.txt rectangles or polygons of four
// corners.

import { readdir } from "node:fs/promises";
import path from "node:path";
import { type Polygon, polygonBox } from "../../shared/tracking/polygon.ts";
import { storageError } from "../disk/storage-error.ts";
import { allFrames, framesIn } from "./frame-files.ts";
import { isFolder, isThere, linesOf, parseNames, parseNumbers, requireText, textOf } from "./read-lines.ts";
import { invalid, missing, requireCount, type Sequence, type SequenceSet } from "./sequence.ts";

/** How a polygon becomes a box: its extremes, or those made smaller until they have its area. */
export const polygonRules = ["extremes", "same-area"] as const;
export type PolygonRule = (typeof polygonRules)[number];

const TRUTH = "groundtruth.txt";

async function readSequence(root: string, name: string, rule: PolygonRule): Promise<Sequence> {
  const folder = path.join(root, name);
  if (!(await isFolder(folder))) throw missing(`${folder} is not there: unpack the sequence ${name} into ${root}`);
  const truth = path.join(folder, TRUTH);
  const text = await requireText(truth, "the boxes of a sequence");
  if (linesOf(text).some((line) => line.startsWith("m"))) {
    throw invalid(`${truth} has masks, as VOT's challenges from 2020 on; rectangles and polygons are read`);
  }
  const boxes = parseNumbers(text, truth, [4, 8]).map((numbers) => {
    const [x, y, w, h] = numbers;
    return numbers.length === 4 ? { x, y, w, h } : polygonBox(numbers as unknown as Polygon, rule);
  });
  // From 2018 on frames lie in a folder named by their kind.
  const colour = path.join(folder, "color");
  const images = (await isFolder(colour)) ? colour : folder;
  const frames = allFrames(await framesIn(images, name), images, name);
  requireCount(name, `lines of ${TRUTH}`, boxes.length, frames.length);
  return { name, video: name, frames, boxes, secret: false };
}

async function foldersIn(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") {
      throw missing(`${root} is not there: give the folder that has VOT's sequences in a folder each`);
    }
    throw storageError(error, root, undefined, "read");
  });
  const names: string[] = [];
  for (const entry of entries) {
    if (entry.isDirectory() && (await isThere(path.join(root, entry.name, TRUTH)))) names.push(entry.name);
  }
  return names.sort();
}

/** @param rule pysot's and the challenge's own trackers' unless given */
export async function openVot(root: string, rule: PolygonRule = "same-area"): Promise<SequenceSet> {
  const file = path.join(root, "list.txt");
  const list = await textOf(file);
  const names = list === undefined ? await foldersIn(root) : parseNames(list, file);
  if (names.length === 0) throw missing(`${root} has no sequence, a folder with ${TRUTH} in it`);
  return {
    kind: "vot",
    list: "all",
    names,
    videoOf: (name) => name,
    protocol: "all",
    flawed: new Map(),
    read: (name) => readSequence(root, name, rule),
  };
}
