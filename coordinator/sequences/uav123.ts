// UAV123 and UAV20L (Mueller, Smith and Ghanem, "A benchmark and simulator for UAV tracking", ECCV 2016): boxes in
// anno, frames in folders that several sequences share.

import { readdir } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { storageError } from "../disk/storage-error.ts";
import { framesFrom, framesIn } from "./frame-files.ts";
import { linesOf, parseBoxes, parseNames, requireText, textOf } from "./read-lines.ts";
import { invalid, missing, type Sequence, type SequenceSet } from "./sequence.ts";

export const uavLists = { uav123: "UAV123", uav20l: "UAV20L" } as const;

/** Parts that do not begin where the part before ends. */
const begins: Readonly<Record<string, number>> = { bird1_2: 775, bird1_3: 1573, uav1_3: 2473 };

export interface UavPlace {
  readonly folder: string;
  /** Number of the first frame. */
  readonly start: number;
}

/** A part of a folder's frames: `X_2` is the second of X; `car1_s` is a name. */
function partOf(name: string): { readonly folder: string; readonly part: number } | undefined {
  const [, folder, part] = /^(.+)_(\d+)$/.exec(name) ?? [];
  return folder === undefined ? undefined : { folder, part: Number(part) };
}

/**
 * Where the frames of a sequence lie.
 * @param linesOf lines of the boxes of a sequence; of the parts before this one they are asked
 */
export async function uavPlace(name: string, linesOf: (name: string) => Promise<number>): Promise<UavPlace> {
  const part = partOf(name);
  if (part === undefined) return { folder: name, start: 1 };
  const { folder } = part;
  if (Object.hasOwn(begins, name)) return { folder, start: begins[name] };
  if (part.part <= 1) return { folder, start: 1 };
  const before = `${folder}_${part.part - 1}`;
  const { start } = await uavPlace(before, linesOf);
  // The last frame of a part is the first of the next.
  return { folder, start: start + (await linesOf(before)) - 1 };
}

const tableSchema = z.record(
  z.string(),
  z.object({ folder: z.string(), start: z.number().int().min(0), end: z.number().int().min(0) }),
);

/** A table of folder, start and end by name, of a data set that is not the published one. @throws DATA_INVALID */
async function tableIn(root: string): Promise<z.output<typeof tableSchema> | undefined> {
  const file = path.join(root, "sequences.json");
  const text = await textOf(file);
  if (text === undefined) return undefined;
  try {
    const table = tableSchema.parse(JSON.parse(text));
    for (const { folder } of Object.values(table)) parseNames(folder, file);
    return table;
  } catch (cause) {
    throw invalid(
      `${file} is no table of sequences, {"NAME": {"folder": "FOLDER", "start": 1, "end": 60}}: ${(cause as Error).message.split("\n")[0]}`,
    );
  }
}

/** @param root the folder with anno and data_seq */
export async function openUav(root: string, list = "uav123"): Promise<SequenceSet> {
  if (!Object.hasOwn(uavLists, list)) {
    throw invalid(`UAV123 has the lists ${Object.keys(uavLists).join(", ")}; got ${list}`);
  }
  const anno = path.join(root, "anno", uavLists[list as keyof typeof uavLists]);
  const files = await readdir(anno).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") {
      throw missing(`${anno} is not there: give the folder that has UAV123's anno and data_seq`);
    }
    throw storageError(error, anno, undefined, "read");
  });
  const names = files
    .filter((file) => file.endsWith(".txt"))
    .map((file) => path.basename(file, ".txt"))
    .sort();
  if (names.length === 0) throw missing(`${anno} has no boxes, NAME.txt: unpack UAV123 again`);
  const table = list === "uav123" ? await tableIn(root) : undefined;
  const truthOf = async (name: string) => {
    const file = path.join(anno, `${name}.txt`);
    return { file, text: await requireText(file, "the boxes of a sequence") };
  };
  const countOf = async (name: string) => linesOf((await truthOf(name)).text).length;

  const read = async (name: string): Promise<Sequence> => {
    const { file, text } = await truthOf(name);
    const boxes = parseBoxes(text, file);
    if (boxes.length === 0) throw invalid(`${file} has no box: unpack UAV123 again`);
    const listed = table?.[name];
    const { folder, start } =
      listed ?? (list === "uav20l" ? { folder: name, start: 1 } : await uavPlace(name, countOf));
    if (listed && listed.end - listed.start + 1 !== boxes.length) {
      throw invalid(
        `${name} has ${boxes.length} boxes, and sequences.json has it from frame ${listed.start} to ${listed.end}; there must be as many`,
      );
    }
    const images = path.join(root, "data_seq", "UAV123", folder);
    const frames = framesFrom(await framesIn(images, name), start, boxes.length, images, name);
    return { name, video: folder, frames, boxes, secret: false };
  };
  const videoOf = (name: string) =>
    table?.[name]?.folder ?? (list === "uav20l" ? name : (partOf(name)?.folder ?? name));
  return { kind: "uav123", list, names, videoOf, protocol: "drop", flawed: new Map(), read };
}
