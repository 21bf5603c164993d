// WordNet ids and the names that go with them: the one order of ImageNet's classes, and the small text files that
// people have beside pictures.

import { z } from "zod";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { readPlainFile } from "../../disk/plain-file.ts";
import type { SourceClass } from "./layout.ts";
import type { Listing } from "./listing.ts";

/** Most bytes of a text file with names or labels: all of WordNet's take 3 MB, Kaggle's solution 9. */
export const MAX_TEXT_BYTES = 2 ** 26;
/** Longest name of a class that is kept. */
export const MAX_CLASS_NAME = 200;

const wnid = /^n\d{8}$/;

export function isWnid(text: string): boolean {
  return wnid.test(text);
}

/** The WordNet id that a file's name begins with, as in `n01440764_10026.JPEG`. */
export function wnidAtStart(name: string): string | undefined {
  return /^(n\d{8})(?:_|$)/.exec(name)?.[1];
}

/** The WordNet id behind the last `_` of a file's name, as in `ILSVRC2012_val_00000001_n01751748.JPEG`. */
export function wnidAtEnd(name: string): string | undefined {
  return /_(n\d{8})\.[^./]+$/.exec(name)?.[1];
}

/** Different texts in the order of their code units: for WordNet ids the order that models have their classes in. */
export function sortedSet(ids: Iterable<string>): string[] {
  return [...new Set(ids)].sort();
}

/** A text file of the source. @throws DATA_INVALID where it is too large or no file, the system's errors */
export async function readText(source: Listing, relative: string): Promise<string> {
  return readTextAt(source.absolute(relative));
}

/** As `readText`, of a whole path. */
export async function readTextAt(path: string): Promise<string> {
  const bytes = await readPlainFile(path, { code: "DATA_INVALID", mostBytes: MAX_TEXT_BYTES });
  return bytes.toString("utf8").replace(/^\ufeff/, "");
}

export const linesOf = (text: string) => text.split(/\r?\n/).filter((line) => line.trim() !== "");

const labelsJson = z.record(z.string().max(64), z.string().max(2000));

/** Names by id of one file: `n01440764 tench, Tinca tinca`, the same with a tab, or JSON. */
function namesIn(file: string, text: string): Map<string, string> {
  if (!file.endsWith(".json")) {
    return new Map(
      linesOf(text).flatMap((line) => {
        const [, id, name] = /^(\S+)[ \t]+(.+?)\s*$/.exec(line) ?? [];
        return id === undefined ? [] : [[id, name]];
      }),
    );
  }
  try {
    return new Map(Object.entries(labelsJson.parse(JSON.parse(text))));
  } catch {
    return new Map();
  }
}

const nameFiles = ["LOC_synset_mapping.txt", "words.txt", "synset_words.txt", "Labels.json"];

/** Names of classes by id from the files that lie in one of the folders; none where there are no such files. */
export async function namesBeside(source: Listing, folders: readonly string[]): Promise<ReadonlyMap<string, string>> {
  for (const folder of new Set(folders)) {
    const { files } = await source.folder(folder);
    for (const file of nameFiles.filter((name) => files.includes(name))) {
      const names = namesIn(file, await readText(source, folder === "" ? file : `${folder}/${file}`));
      if (names.size > 0) return names;
    }
  }
  return new Map();
}

/** Classes by the names of their folders: these are ids where they are WordNet's. */
export function classesOf(folders: readonly string[], names: ReadonlyMap<string, string>): SourceClass[] {
  return folders.map((folder) => {
    const name = (names.get(folder) ?? folder).slice(0, MAX_CLASS_NAME);
    return isWnid(folder) ? { name, id: folder } : { name };
  });
}

/** Most classes: labels are u16. */
export const MOST_CLASSES = 65_536;

/** @throws DATA_INVALID for fewer than two classes, or more than labels can tell */
export function requireClasses(count: number, where: string): void {
  if (count >= 2 && count <= MOST_CLASSES) return;
  const what = count > MOST_CLASSES ? `the limit is ${MOST_CLASSES}` : "a training set has at least 2";
  throw new BitswarmError(
    "DATA_INVALID",
    `${where} has ${count} ${count === 1 ? "class" : "classes"}; ${what}: is it the right folder?`,
  );
}
