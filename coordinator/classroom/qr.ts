// A link as a QR code (ISO/IEC 18004): for a page as a path of SVG, for a terminal in half blocks.

import { correction, generate } from "lean-qr";

/** Modules of empty space that readers need around it. */
const QUIET = 4;

export interface QrShape {
  /** Modules of a side, the quiet ones with them. */
  readonly size: number;
  /** SVG path data of the dark ones. */
  readonly path: string;
}

/** Takes a quarter of its surface being covered or blurred: a projector's picture is seen from the last row. */
const onSlides = { minCorrectionLevel: correction.Q };

export function qrShape(text: string): QrShape {
  const code = generate(text, onSlides);
  let path = "";
  for (let y = 0; y < code.size; y++) {
    for (let x = 0; x < code.size; x++) {
      let wide = 0;
      while (code.get(x + wide, y)) wide++;
      if (wide > 0) path += `M${x + QUIET} ${y + QUIET}h${wide}v1h-${wide}z`;
      x += wide;
    }
  }
  return { size: code.size + 2 * QUIET, path };
}

const BLACK_ON_WHITE = "\x1b[30;107m";
const AS_BEFORE = "\x1b[0m";

/**
 * Lines for a terminal, two rows of modules in one of text.
 * @param coloured whether black on white can be asked for; else light modules are drawn, for a dark terminal
 */
export function qrLines(text: string, coloured: boolean): string[] {
  const code = generate(text);
  const ink = (x: number, y: number) => code.get(x, y) === coloured;
  const lines: string[] = [];
  for (let y = -QUIET; y < code.size + QUIET; y += 2) {
    let line = "";
    for (let x = -QUIET; x < code.size + QUIET; x++) {
      const [upper, lower] = [ink(x, y), ink(x, y + 1)];
      line += upper ? (lower ? "█" : "▀") : lower ? "▄" : " ";
    }
    lines.push(coloured ? `${BLACK_ON_WHITE}${line}${AS_BEFORE}` : line);
  }
  return lines;
}

/** Columns that the lines take. */
export function qrColumns(text: string): number {
  return generate(text).size + 2 * QUIET;
}

/** Before each line where it is printed. */
const INDENT = 2;

export interface QrTerminal {
  readonly isTTY?: boolean;
  readonly columns: number;
  readonly coloured: boolean;
  /** `TERM` of the environment. */
  readonly term: string | undefined;
}

/** The code where a person with a camera looks at a terminal that can show it; no lines anywhere else. */
export function terminalQr(text: string, { isTTY, columns, coloured, term }: QrTerminal): string[] {
  if (isTTY !== true || term === "dumb" || qrColumns(text) + INDENT >= columns) return [];
  return qrLines(text, coloured);
}
