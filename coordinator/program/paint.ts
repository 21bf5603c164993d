// What a terminal can show beyond plain lines: a block that is redrawn in its place, and colour.

import type { WriteStream } from "node:tty";
import { styleText } from "node:util";

export type ProgressStream = Pick<WriteStream, "write"> & { readonly isTTY?: boolean; readonly columns?: number };

export type Environment = Readonly<Record<string, string | undefined>>;

const isSaid = (value: string | undefined) => value !== undefined && value !== "0" && value !== "false";

/**
 * Whether a block may be redrawn in place: on a terminal that moves its cursor, and where nobody asks for plain text
 * (https://no-color.org, and the CI of build services).
 */
export function redraws(
  { isTTY }: Pick<ProgressStream, "isTTY">,
  { TERM, NO_COLOR = "", CI = "" }: Environment,
): boolean {
  return isTTY === true && TERM !== "dumb" && NO_COLOR === "" && !(CI !== "" && isSaid(CI));
}

/** Whether text has colour: as FORCE_COLOR says, whatever else does, as Node has it; else where a block is redrawn. */
export function hasColour(stream: Pick<ProgressStream, "isTTY">, environment: Environment): boolean {
  const { FORCE_COLOR } = environment;
  return FORCE_COLOR === undefined ? redraws(stream, environment) : isSaid(FORCE_COLOR);
}

export type Style = Parameters<typeof styleText>[0];
/** The text as it is written; it takes as many columns as without a style. */
export type Paint = (style: Style | undefined, text: string) => string;

export function painter(stream: Pick<ProgressStream, "isTTY">, environment: Environment = process.env): Paint {
  if (!hasColour(stream, environment)) return (_, text) => text;
  return (style, text) =>
    style === undefined || text === "" ? text : styleText(style, text, { validateStream: false });
}

/** A block of lines: what it is about is bold, and what is done of a bar is green. */
export function paintedBlock(lines: readonly string[], paint: Paint): string[] {
  return lines.map((line, at) => {
    if (!/[█░]/.test(line)) return paint(at === 0 ? "bold" : undefined, line);
    return line.replace(/█+/, (done) => paint("green", done));
  });
}
