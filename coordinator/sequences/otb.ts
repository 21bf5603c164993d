// OTB: a folder a video, with img/ and groundtruth_rect.txt, and the exceptions that every toolkit has a table of.

import { readdir } from "node:fs/promises";
import path from "node:path";
import type { Box } from "../../shared/tracking/box.ts";
import { storageError } from "../disk/storage-error.ts";
import { allFrames, framesFrom, framesIn } from "./frame-files.ts";
import { type OtbList, otbLists } from "./otb-lists.ts";
import { isFolder, isThere, parseBoxes, requireText } from "./read-lines.ts";
import { invalid, missing, requireCount, type Sequence, type SequenceSet } from "./sequence.ts";

const ALL = "all";

/** Targets of videos whose boxes are in numbered files: those files that are sequences, and what they are called. */
const targets: Readonly<Record<string, readonly number[]>> = { Jogging: [1, 2], Skating2: [1, 2], Human4: [2] };

/** Numbers of the frames that have boxes, of videos with more frames than boxes. */
const marked: Readonly<Record<string, readonly [first: number, last: number]>> = {
  David: [300, 770],
  Football1: [1, 74],
  Freeman3: [1, 460],
  Freeman4: [1, 283],
  Diving: [1, 215],
};

/** Videos of so many frames whose first few are left out with their boxes, as the official Matlab code does. */
const leftOut: Readonly<Record<string, { readonly of: number; readonly first: number }>> = {
  Tiger1: { of: 354, first: 5 },
};

/** Names of the sequences of a video. */
export function otbNames(video: string): string[] {
  return (targets[video] ?? [undefined]).map((target) => (target === undefined ? video : `${video}-${target}`));
}

/** The names under which toolkits write a sequence's results, ours first. */
export function otbSpellings(name: string): string[] {
  const [, video, target] = /^(.+)[-._](\d)$/.exec(name) ?? [];
  if (video === undefined || !(targets[video] ?? []).includes(Number(target))) return [name];
  const spelt = ["-", ".", "_"].map((between) => `${video}${between}${target}`);
  return targets[video].length === 1 ? [...spelt, video] : spelt;
}

interface Part {
  readonly boxes: readonly Box[];
  /** Of the frames: which numbers, or all there are. */
  readonly from?: number;
}

/**
 * Which frames a video's boxes are of.
 * @param frames that there are @param first their first number
 */
export function otbPart(video: string, boxes: readonly Box[], frames: number, first: number): Part {
  const left = leftOut[video];
  // Of copies in which they are gone already nothing is left out again.
  if (left && frames === left.of) {
    if (boxes.length === frames) return { boxes: boxes.slice(left.first), from: first + left.first };
    if (boxes.length === frames - left.first) return { boxes, from: first + left.first };
  }
  const range = marked[video];
  if (range && boxes.length !== frames && boxes.length === range[1] - range[0] + 1) return { boxes, from: range[0] };
  return { boxes };
}

async function truthOf(folder: string, target: number | undefined): Promise<string> {
  const numbered = path.join(folder, `groundtruth_rect.${target}.txt`);
  if (target !== undefined && (await isThere(numbered))) return numbered;
  return path.join(folder, "groundtruth_rect.txt");
}

/** A sequence as we spell it, its video, and the number of its target where the video has several. */
function otbPlace(name: string): { readonly ours: string; readonly video: string; readonly target?: number } {
  const [ours] = otbSpellings(name);
  const [, base, number] = /^(.+)-(\d)$/.exec(ours) ?? [];
  return base !== undefined && targets[base] ? { ours, video: base, target: Number(number) } : { ours, video: ours };
}

async function readSequence(root: string, name: string): Promise<Sequence> {
  const { ours, video, target } = otbPlace(name);
  const folder = path.join(root, video);
  if (!(await isFolder(folder))) throw missing(`${folder} is not there: unpack ${video}.zip of OTB into ${root}`);
  const truth = await truthOf(folder, target ?? targets[video]?.[0]);
  const all = parseBoxes(await requireText(truth, "the boxes of a sequence"), truth);
  const images = path.join(folder, "img");
  const files = await framesIn(images, ours);
  const { boxes, from } = otbPart(video, all, files.numbers.length, files.numbers[0]);
  const frames =
    from === undefined ? allFrames(files, images, ours) : framesFrom(files, from, boxes.length, images, ours);
  requireCount(ours, `boxes in ${path.basename(truth)}`, boxes.length, frames.length);
  return { name: ours, video, frames, boxes, secret: false };
}

async function videosIn(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") {
      throw missing(`${root} is not there: give the folder that has OTB's videos in a folder each`);
    }
    throw storageError(error, root, undefined, "read");
  });
  const videos: string[] = [];
  for (const entry of entries) {
    if (entry.isDirectory() && (await isFolder(path.join(root, entry.name, "img")))) videos.push(entry.name);
  }
  return videos.sort();
}

/** @param list every video that is there, unless one of OTB's lists is named */
export async function openOtb(root: string, list = ALL): Promise<SequenceSet> {
  if (list !== ALL && !Object.hasOwn(otbLists, list)) {
    throw invalid(`OTB has the lists ${Object.keys(otbLists).join(", ")}, and ${ALL} for what is there; got ${list}`);
  }
  const videos = list === ALL ? await videosIn(root) : otbLists[list as OtbList];
  if (videos.length === 0) {
    throw missing(`${root} has no video, a folder with img in it: give the folder that has OTB's videos`);
  }
  return {
    kind: "otb",
    list,
    names: videos.flatMap(otbNames),
    videoOf: (name) => otbPlace(name).video,
    protocol: "all",
    flawed: new Map(),
    read: (name) => readSequence(root, name),
  };
}
