// Files that are numbered, such as train-00003-of-00294.parquet: which of them are not there, as after a download that
// stopped.

import { basename } from "node:path";
import { MOST_SHARDS } from "./braces.ts";
import { some } from "./class-folders.ts";

interface Series {
  readonly numbers: Set<number>;
  readonly digits: number;
  /** How many the names say there are. */
  readonly total: number | undefined;
}

/** Head, number and tail of a file's name, whose last number it is. */
const NUMBERED = /^(.*?)(\d{1,9})(\D*)$/;
/** The same of a name that says how many there are; behind it each file may have a hash of its own. */
const COUNTED = /^(.*?)(\d{1,9})(-of-(\d{1,9}))/;

function gapsOf({ numbers, digits, total }: Series, nameOf: (number: string) => string): string[] {
  const inOrder = [...numbers].sort((a, b) => a - b);
  const last = total === undefined ? (inOrder.at(-1) as number) : total - 1;
  // Some count from 1; what begins later does not tell where its writer began.
  const first = total === undefined ? inOrder[0] : Math.min(inOrder[0], inOrder.at(-1) === total ? 1 : 0);
  if (last - first >= MOST_SHARDS) return [];
  const gaps: string[] = [];
  for (let number = first; number <= last; number++)
    if (!numbers.has(number)) gaps.push(nameOf(String(number).padStart(digits, "0")));
  return gaps;
}

/** Says which files of a numbered series are not there; nothing where all are, or the names are no series. */
export function missingNotice(paths: readonly string[]): string[] {
  const series = new Map<string, Series>();
  for (const path of paths) {
    const name = basename(path);
    const [, head, number, tail, total] = COUNTED.exec(name) ?? NUMBERED.exec(name) ?? [];
    if (number === undefined) continue;
    const key = JSON.stringify([head, tail, number.length]);
    const found = series.get(key) ?? {
      numbers: new Set<number>(),
      digits: number.length,
      total: total === undefined ? undefined : Number(total),
    };
    found.numbers.add(Number(number));
    series.set(key, found);
  }
  // `9` and `10` are of one series that is not padded, of which only whole widths can be told.
  const gaps = [...series].flatMap(([key, one]) => {
    const [head, tail] = JSON.parse(key) as [string, string];
    return gapsOf(one, (number) => `${head}${number}${tail}`);
  });
  if (gaps.length === 0) return [];
  const are = gaps.length === 1 ? "file is" : "files are";
  return [`by their numbers ${gaps.length} ${are} not there, and the store goes without: ${some(gaps)}`];
}
