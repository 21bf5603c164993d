// A split that lies in a folder for each class whose labels are known already, and flat pictures beside a table.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { printable } from "../../base/printable.ts";
import { type FolderSplit, isImageName, openFolderSplit } from "./folder-split.ts";
import type { Left } from "./left.ts";
import type { Listing } from "./listing.ts";

/** Names that a message shows of a list. */
const SHOWN = 5;

export const joinPath = (...parts: readonly string[]) => parts.filter((part) => part !== "").join("/");

/** The first few of a list of names. */
export function some(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN).map((name) => printable(name, 60));
  return `${shown.join(", ")}${names.length > SHOWN ? ` and ${names.length - SHOWN} more` : ""}`;
}

/** Labels by WordNet id or folder. */
export type Labels = ReadonlyMap<string, number>;

/** What is collected while a source is opened. */
export interface Told {
  readonly notices: string[];
  readonly left: Left[];
  readonly tell?: (what: string) => void;
}

/** What lies beside folders of classes. */
async function straysIn(source: Listing, at: string): Promise<Left[]> {
  const { files, left } = await source.folder(at);
  const pictures = files.filter(isImageName);
  return [
    ...left,
    ...pictures.map((name) => ({ source: joinPath(at, name), why: "a picture in no folder of a class" })),
  ];
}

/**
 * Opens folders of classes.
 * @param what "training" or "validation"
 * @param inner where the pictures lie in the folder of a class, when not in itself
 * @throws DATA_INVALID where there are classes that have no label
 */
export async function openClassFolders(
  source: Listing,
  at: string,
  labels: Labels,
  what: string,
  { notices, left, tell }: Told,
  inner?: string,
): Promise<FolderSplit> {
  const { folders } = await source.folder(at);
  const extra = folders.filter((name) => !labels.has(name));
  if (extra.length > 0) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${source.absolute(at)} has folders that are none of the ${labels.size} classes, ${some(extra)}: labels would not agree; are both of one data set?`,
    );
  }
  const parts = folders.map((folder) => ({
    base: at,
    folder: joinPath(folder, inner ?? ""),
    label: labels.get(folder) as number,
    deep: inner === undefined,
  }));
  const split = await openFolderSplit(source, parts, tell);
  const filled = new Set(parts.flatMap(({ label }, i) => (split.counts[i] > 0 ? [label] : [])));
  const lacks = [...labels].flatMap(([name, label]) => (filled.has(label) ? [] : [name]));
  if (lacks.length > 0) {
    notices.push(`there are no ${what} pictures of ${lacks.length} of ${labels.size} classes: ${some(lacks)}`);
  }
  left.push(...(await straysIn(source, at)), ...split.left);
  return split;
}

/**
 * Opens flat pictures whose labels stand in a table.
 * @param table by the name of a picture's file
 * @param written what the table's file is called
 * @throws DATA_INVALID where a picture is in no line, or a line has no picture
 */
export async function openTabled(
  source: Listing,
  at: string,
  table: ReadonlyMap<string, number>,
  written: string,
  { left }: Told,
): Promise<FolderSplit> {
  const { files } = await source.folder(at);
  const pictures = files.filter(isImageName);
  const unlabelled = pictures.filter((name) => !table.has(name));
  const there = new Set(pictures);
  const missing = [...table.keys()].filter((name) => !there.has(name));
  if (unlabelled.length > 0 || missing.length > 0) {
    const what =
      unlabelled.length > 0
        ? `${unlabelled.length} pictures that ${written} has no label of: ${some(unlabelled)}`
        : `not the ${missing.length} pictures that ${written} has labels of: ${some(missing)}`;
    throw new BitswarmError(
      "DATA_INVALID",
      `${source.absolute(at)} has ${what}; ${pictures.length} pictures and ${table.size} labels must be of each other: get both again`,
    );
  }
  const split = await openFolderSplit(source, [
    { base: at, folder: "", label: (file) => table.get(file), deep: false },
  ]);
  left.push(...split.left);
  return split;
}
