// Boxes and times in files, as the GOT-10k toolkit writes and reads them for each data set (its `experiments`): for
// GOT-10k a folder a sequence, for all others a file each.

import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { Box } from "../../shared/tracking/box.ts";
import type { TrackedFrame } from "../../shared/wire/tracking.ts";
import { makeFolders, writeDurably } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";

/** How results lie: `got10k` as its server takes them, `flat` as OTB's and UAV123's scripts read them. */
export type ResultLayout = "got10k" | "flat";

/** Of one file of results: 20,000 lines of four numbers. */
export const MOST_RESULT_BYTES = 4 << 20;

/** Where the boxes and the times of a sequence are, below a folder of results. */
export function resultPaths(layout: ResultLayout, name: string, repetition = 1) {
  if (layout === "flat") return { boxes: `${name}.txt`, times: path.join("times", `${name}_time.txt`) };
  const number = String(repetition).padStart(3, "0");
  return { boxes: path.join(name, `${name}_${number}.txt`), times: path.join(name, `${name}_time.txt`) };
}

/** Lines of `x,y,w,h` with three decimals. */
export function boxesText(boxes: readonly Box[]): string {
  return boxes.map(({ x, y, w, h }) => `${[x, y, w, h].map((value) => value.toFixed(3)).join(",")}\n`).join("");
}

/** Seconds of a frame a line, with eight decimals. */
export function timesText(seconds: readonly number[]): string {
  return seconds.map((value) => `${value.toFixed(8)}\n`).join("");
}

/** Writes both, the boxes last: where they are, the sequence is done. @throws STORAGE_FAILED */
export async function writeResult(
  folder: string,
  layout: ResultLayout,
  name: string,
  frames: readonly TrackedFrame[],
): Promise<void> {
  const { boxes, times } = resultPaths(layout, name);
  const put = async (file: string, text: string) => {
    const whole = path.join(folder, file);
    try {
      await makeFolders(path.dirname(whole));
      await writeDurably(whole, text);
    } catch (error) {
      throw storageError(error, whole, undefined, "written");
    }
  };
  await put(times, timesText(frames.map(({ seconds }) => seconds)));
  await put(boxes, boxesText(frames.map(({ box }) => box)));
}

/** Results of a sequence, one list of boxes a repetition, and what was told of times. */
export interface Results {
  readonly repetitions: readonly (readonly Box[])[];
  /** Seconds of each frame, where they are known. */
  readonly seconds: readonly number[];
}

function invalid(message: string): BitswarmError {
  return new BitswarmError("DATA_INVALID", message);
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    const bytes = await readFile(file);
    if (bytes.length > MOST_RESULT_BYTES) {
      throw invalid(`${file} has ${bytes.length} bytes; results of at most ${MOST_RESULT_BYTES} are read`);
    }
    return bytes.toString("utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    if (error instanceof BitswarmError) throw error;
    throw storageError(error, file, undefined, "read");
  }
}

const numbersOf = (line: string) =>
  line
    .trim()
    .split(/[\s,]+/)
    .map((text) => (/^nan$/i.test(text) ? Number.NaN : text === "" ? Number.POSITIVE_INFINITY : Number(text)));

/** Boxes of a file, whatever it separates them by; NaN where it says so. @throws DATA_INVALID naming the line */
export function parseResultBoxes(text: string, file: string): readonly Box[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  return lines.map((line, i) => {
    const numbers = numbersOf(line);
    if (
      numbers.length !== 4 ||
      numbers.some((value, j) => Number.isNaN(value) && !/nan/i.test(line.split(/[\s,]+/)[j] ?? "nan"))
    ) {
      throw invalid(`${file}, line ${i + 1}: four numbers are due, x,y,w,h; got ${JSON.stringify(line.slice(0, 80))}`);
    }
    const [x, y, w, h] = numbers;
    return { x, y, w, h };
  });
}

/** The first column of a file of times; of a stochastic tracker there are several. */
function parseTimes(text: string): readonly number[] {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  return lines.map((line) => numbersOf(line)[0]).filter((seconds) => Number.isFinite(seconds) && seconds > 0);
}

/** @param spellings of the sequence's name: data sets and toolkits disagree */
export async function readResult(
  folder: string,
  layout: ResultLayout,
  spellings: readonly string[],
  frames: number,
): Promise<Results | undefined> {
  for (const name of spellings) {
    const { boxes: first, times } = resultPaths(layout, name);
    const files = layout === "flat" ? [first] : await repetitionsOf(folder, name);
    const repetitions: (readonly Box[])[] = [];
    for (const file of files) {
      const whole = path.join(folder, file);
      const text = await textOf(whole);
      if (text === undefined) continue;
      const boxes = parseResultBoxes(text, whole);
      if (boxes.length !== frames) {
        throw invalid(
          `${whole} has ${boxes.length} boxes and ${name} ${frames} frames; there must be as many: take it away, and track it anew`,
        );
      }
      repetitions.push(boxes);
    }
    if (repetitions.length === 0) continue;
    const told = await textOf(path.join(folder, times));
    return { repetitions, seconds: told === undefined ? [] : parseTimes(told) };
  }
  return undefined;
}

/** `SEQ/SEQ_001.txt` and so on, in order. */
async function repetitionsOf(folder: string, name: string): Promise<readonly string[]> {
  const names = await readdir(path.join(folder, name)).catch(() => []);
  const numbered = new RegExp(`^${name.replace(/[^\w-]/g, "\\$&")}_\\d{3}\\.txt$`);
  return names
    .filter((file) => numbered.test(file))
    .sort()
    .map((file) => path.join(name, file));
}

/** Frames a second: the mean over frames, as the toolkit has it; undefined where no time is known. */
export function framesPerSecond(seconds: readonly number[]): number | undefined {
  const known = seconds.filter((value) => value > 0);
  if (known.length === 0) return undefined;
  return known.reduce((sum, value) => sum + 1 / value, 0) / known.length;
}
