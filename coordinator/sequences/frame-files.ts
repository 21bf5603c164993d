// The frames of a folder, by the numbers that are their names: whatever the number of digits, and wherever counting
// begins.

import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { storageError } from "../disk/storage-error.ts";
import { invalid, missing } from "./sequence.ts";

export interface FrameFiles {
  /** Numbers, rising. */
  readonly numbers: readonly number[];
  fileOf(number: number): string | undefined;
}

const frame = /^(\d{1,9})\.(jpe?g|png)$/i;

/**
 * @param names of a folder; what is no frame is passed over
 * @throws DATA_INVALID for two frames of one number
 */
export function framesAmong(names: readonly string[], folder: string): FrameFiles {
  const files = new Map<number, string>();
  for (const name of names) {
    const number = Number(frame.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(number)) continue;
    const other = files.get(number);
    if (other !== undefined) {
      throw invalid(`${folder} has two frames ${number}, ${other} and ${name}: remove one`);
    }
    files.set(number, name);
  }
  const numbers = [...files.keys()].sort((a, b) => a - b);
  return {
    numbers,
    fileOf: (number) => {
      const name = files.get(number);
      return name === undefined ? undefined : path.join(folder, name);
    },
  };
}

/** @throws DATA_MISSING for a folder that is not there, or without a frame */
export async function framesIn(folder: string, sequence: string): Promise<FrameFiles> {
  const entries: Dirent[] = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") {
      throw missing(`${sequence}: its frames' folder ${folder} is not there: unpack the data set again`);
    }
    throw storageError(error, folder, undefined, "read");
  });
  const files = framesAmong(
    entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name),
    folder,
  );
  if (files.numbers.length > 0) return files;
  throw missing(`${sequence}: ${folder} has no frame, such as 00000001.jpg: unpack the data set again`);
}

/** All frames, in order. @throws DATA_MISSING naming the first number that is skipped */
export function allFrames(files: FrameFiles, folder: string, sequence: string): string[] {
  const [first] = files.numbers;
  const at = files.numbers.findIndex((number, i) => number !== first + i);
  if (at >= 0) {
    throw missing(
      `${sequence}: frame ${first + at} is not in ${folder}, though ${files.numbers.length - at} after it are: unpack it again`,
    );
  }
  return files.numbers.map((number) => files.fileOf(number) as string);
}

/** Frames of the numbers [begin, begin + count). @throws DATA_MISSING naming the first that is not there */
export function framesFrom(
  files: FrameFiles,
  begin: number,
  count: number,
  folder: string,
  sequence: string,
): string[] {
  return Array.from({ length: count }, (_, i) => {
    const file = files.fileOf(begin + i);
    if (file !== undefined) return file;
    throw missing(
      `${sequence}: frame ${begin + i} is not in ${folder}; its ${count} boxes are of frames ${begin} to ${begin + count - 1}: unpack it again`,
    );
  });
}
