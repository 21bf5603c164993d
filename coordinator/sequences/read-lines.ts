// Numbers and names out of the text files of tracking data sets: separated by commas, tabs or blanks, ended by LF or
// CRLF, with blanks behind.

import { lstat, stat } from "node:fs/promises";
import type { Box } from "../../shared/tracking/box.ts";
import { printable } from "../base/printable.ts";
import { readPlainText } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { invalid, missing } from "./sequence.ts";

/** Of a file of boxes: a sequence of 100,000 frames takes less. */
export const MOST_TEXT_BYTES = 2 ** 24;

/** Lines without what stands around them, and without empty ones. */
export function linesOf(text: string): string[] {
  return text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** "1.5", "-1", "NaN" in any case; undefined for what is no number. */
function numberOf(field: string): number | undefined {
  if (/^[+-]?nan$/i.test(field)) return Number.NaN;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(field) ? Number(field) : undefined;
}

/**
 * The numbers of each line.
 * @param counts how many a line may have
 * @throws DATA_INVALID naming file and line
 */
export function parseNumbers(text: string, file: string, counts: readonly number[]): number[][] {
  return linesOf(text).map((line, at) => {
    const numbers = line
      .split(/[\s,]+/)
      .filter((field) => field !== "")
      .map(numberOf);
    if (counts.includes(numbers.length) && numbers.every((number) => number !== undefined)) return numbers as number[];
    throw invalid(
      `${file}: line ${at + 1} is ${JSON.stringify(printable(line, 60))}; expected ${counts.join(" or ")} numbers`,
    );
  });
}

/** x, y, w, h a line. @throws DATA_INVALID */
export function parseBoxes(text: string, file: string): Box[] {
  return parseNumbers(text, file, [4]).map(([x, y, w, h]) => ({ x, y, w, h }));
}

/** One whole number a line, of a range. @throws DATA_INVALID */
export function parseLabels(text: string, file: string, most: number): number[] {
  return parseNumbers(text, file, [1]).map(([value], at) => {
    if (Number.isInteger(value) && value >= 0 && value <= most) return value;
    throw invalid(`${file}: line ${at + 1} is ${value}; expected a whole number from 0 to ${most}`);
  });
}

/** Whether a name is one file or folder, and none somewhere else. */
function isPlainName(name: string): boolean {
  return name !== "." && name !== ".." && !/[/\\]/.test(name) && printable(name, 255) === name;
}

/** Names of sequences, one a line. @throws DATA_INVALID for what is no name, or stands there twice */
export function parseNames(text: string, file: string): string[] {
  const names = linesOf(text);
  const seen = new Set<string>();
  const wrong = names.findIndex((name) => !isPlainName(name) || seen.size === seen.add(name).size);
  if (wrong < 0) return names;
  throw invalid(
    `${file}: name ${wrong + 1} is ${JSON.stringify(printable(names[wrong], 60))}; expected the name of a folder that is not listed before`,
  );
}

/** @returns undefined where there is no such file. @throws DATA_INVALID, STORAGE_FAILED */
export async function textOf(file: string): Promise<string | undefined> {
  return readPlainText(file, { code: "DATA_INVALID", mostBytes: MOST_TEXT_BYTES });
}

/** @throws DATA_MISSING */
export async function requireText(file: string, what: string): Promise<string> {
  const text = await textOf(file);
  if (text !== undefined) return text;
  throw missing(`${file}, ${what}, is not there: unpack the data set again, all of its archives`);
}

export async function isFolder(folder: string): Promise<boolean> {
  return (await stat(folder).catch(() => undefined))?.isDirectory() === true;
}

export async function isThere(file: string): Promise<boolean> {
  const facts = await lstat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw storageError(error, file, undefined, "read");
  });
  return facts !== undefined;
}
