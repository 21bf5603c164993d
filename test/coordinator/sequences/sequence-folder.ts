// Folders of a tracking data set whose frames are empty files: readers name frames, and decode none.

import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";

const padded = (value: number, digits: number) => String(value).padStart(digits, "0");

interface Numbering {
  readonly first?: number;
  readonly digits?: number;
  readonly ending?: string;
}

/** Files of so many frames. */
export async function emptyFrames(
  folder: string,
  count: number,
  { first = 1, digits = 4, ending = "jpg" }: Numbering = {},
) {
  await mkdir(folder, { recursive: true });
  for (let i = 0; i < count; i++) await writeFile(path.join(folder, `${padded(first + i, digits)}.${ending}`), "");
}

export async function textFile(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, text);
}

/** Box n of a file begins at n, so that a line is known again. */
export function boxLines(count: number, from = 1, between = ","): string {
  return Array.from({ length: count }, (_, i) => [from + i, 2, 30, 40].join(between)).join("\n");
}

/** The numbers in the names of frames. */
export function numbersOf(frames: readonly string[]): number[] {
  return frames.map((frame) => Number.parseInt(path.basename(frame), 10));
}
