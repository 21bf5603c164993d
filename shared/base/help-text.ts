// Help as it is written, in lines of 120 columns, for a window that may be narrower.

import { displayWidth, filled } from "./terminal-text.ts";

/** Of a line of help, as it is written. */
export const MOST_COLUMNS = 120;
/** A description beside a name is folded where it has so many columns at least. */
export const LEAST_DESCRIPTION = 20;

const indentOf = (line: string) => /^ */.exec(line)![0];
/** A command, which is copied, or a name with what it means beside it. */
const isOwn = (line: string) => /^ *\$ /.test(line) || besideOf(line) !== undefined;
/** A name and the gap behind it. */
const besideOf = (line: string) => /^ +\S+ {2,}(?=\S)/.exec(line)?.[0];

/** Lines that were broken only because their next word had no room are one again. */
function joined(lines: readonly string[]): string[] {
  const paragraphs: string[] = [];
  let newest: string | undefined;
  for (const line of lines) {
    const [word = ""] = line.trim().split(" ");
    const full = newest !== undefined && displayWidth(newest) + 1 + displayWidth(word) > MOST_COLUMNS;
    const last = paragraphs.at(-1);
    if (full && last !== undefined && word !== "" && !isOwn(line) && indentOf(line) === indentOf(newest!)) {
      paragraphs[paragraphs.length - 1] = `${last} ${line.trim()}`;
    } else paragraphs.push(line);
    newest = line.trimStart().startsWith("$ ") ? undefined : line;
  }
  return paragraphs;
}

/** Help in lines of at most so many columns; commands stay whole. */
export function helpText(text: string, columns = Number.POSITIVE_INFINITY): string {
  if (columns >= MOST_COLUMNS) return text;
  const lines = joined(text.split("\n")).flatMap((line) => {
    if (displayWidth(line) <= columns || /^ *\$ /.test(line)) return [line];
    const beside = besideOf(line);
    const indent = indentOf(line);
    const head = beside ?? indent;
    const [first = "", ...rest] = line.slice(head.length).split(" ");
    return filled([head + first, ...rest], columns, " ", beside === undefined ? indent : " ".repeat(beside.length));
  });
  return lines.join("\n");
}
