// Text on a terminal: how many columns it takes, and where a line is broken so that no word is.

/** Widths of text where nothing says how wide the reader's window is. */
export const PLAIN_COLUMNS = 80;

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });
/** Two columns wide: East Asian wide and full-width characters, and emoji. */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}/u;

/** Columns that a line takes. */
export function displayWidth(line: string): number {
  // Most lines are plain.
  if (/^[\x20-\x7e]*$/.test(line)) return line.length;
  let columns = 0;
  for (const { segment } of segmenter.segment(line)) {
    if (wide.test(segment)) columns += 2;
    else if (!/^[\p{M}\p{C}]+$/u.test(segment)) columns += 1;
  }
  return columns;
}

/** Rows that a line takes in a window of so many columns. */
export function rowsOf(line: string, columns: number): number {
  return Math.max(1, Math.ceil(displayWidth(line) / Math.max(1, columns)));
}

/** The beginning of a line that takes at most so many columns, with an ellipsis where there was more. */
export function cut(line: string, columns: number): string {
  if (displayWidth(line) <= columns) return line;
  let kept = "";
  for (const { segment } of segmenter.segment(line)) {
    if (displayWidth(kept + segment) > columns - 1) break;
    kept += segment;
  }
  return columns < 1 ? "" : `${kept}…`;
}

/**
 * Parts, such as words, in lines of at most so many columns; a part that is wider stands alone in its line, whole.
 * @param separator between parts of a line
 * @param indent before every line but the first
 */
export function filled(parts: readonly string[], columns: number, separator = " ", indent = ""): string[] {
  const lines: string[] = [];
  let line: string | undefined;
  for (const part of parts) {
    const longer: string = line === undefined ? part : line + separator + part;
    if (line === undefined || displayWidth(longer) <= columns) {
      line = longer;
      continue;
    }
    lines.push(line);
    line = indent + part;
  }
  return line === undefined ? lines : [...lines, line];
}

/** A sentence or more in lines, all behind the same indent. */
export function paragraph(text: string, columns: number, indent = "  "): string[] {
  const [first, ...rest] = text.split(" ");
  return filled([indent + first, ...rest], columns, " ", indent);
}

/** A command to its end or its quote, which is copied; a number with its %; and words, such as paths and links. */
const parts =
  /`[^`]*`\S*|(?:npx (?:-p \S+ )*(?:coordinator|bitswarm)|node \S*(?:bin|bitswarm)\.js\S*) .*|\S+(?: %\S*)?/g;

/** A sentence in lines of at most so many columns, behind its own indent; what is copied of it stays whole. */
export function wrapped(text: string, columns: number): string[] {
  return text.split("\n").flatMap((line) => {
    if (displayWidth(line) <= columns) return [line];
    const [indent] = /^ */.exec(line)!;
    const [first, ...rest] = line.match(parts) ?? [];
    return filled([`${indent}${first}`, ...rest], columns, " ", `${indent}  `);
  });
}
