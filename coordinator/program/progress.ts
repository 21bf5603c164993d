// The live view in the terminal: a block that is redrawn below the lines of events; where nothing can be redrawn, a
// line every few seconds.

import { cut, filled, PLAIN_COLUMNS, rowsOf, wrapped } from "../../shared/base/terminal-text.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { RunEvent } from "../engine/run-event.ts";
import {
  type Environment,
  type Paint,
  type ProgressStream,
  paintedBlock,
  painter,
  redraws,
  type Style,
} from "./paint.ts";
import { eventLine, eventStyle, statusBlock, statusLine } from "./progress-text.ts";

/** Between two status lines where nothing can be redrawn. */
const LINE_EVERY_MS = 5000;
const CLEAR_BELOW = "\x1b[J";

export class Progress {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  readonly #redraws: boolean;
  readonly #paint: Paint;
  /** The block as it stands on the screen. */
  #drawn: readonly string[] = [];
  #block: readonly string[] = [];
  #lastLine = "";
  #lastLineAt = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds on a monotonic clock */
  constructor(stream: ProgressStream, now: () => number, environment: Environment = process.env) {
    this.#stream = stream;
    this.#now = now;
    this.#redraws = redraws(stream, environment);
    this.#paint = painter(stream, environment);
  }

  /** Of the window, which may change. */
  get columns(): number {
    const { columns } = this.#stream;
    return columns === undefined || columns < 1 ? PLAIN_COLUMNS : columns;
  }

  /** Prints a line, or several, that stay. */
  line(text: string, style?: Style): void {
    const painted = this.#paint(style, text);
    if (!this.#redraws) {
      this.#stream.write(`${painted}\n`);
      return;
    }
    this.#stream.write(`${this.#erase()}${painted}\n`);
    this.#draw();
  }

  /** Prints a sentence that stays: in a window broken between its words, to a pipe in one line. */
  sentence(text: string, style?: Style): void {
    for (const line of this.#stream.isTTY ? wrapped(text, this.columns - 1) : [text]) this.line(line, style);
  }

  event(event: RunEvent): void {
    const text = eventLine(event);
    if (text !== undefined) this.sentence(text, eventStyle(event));
  }

  /** @param heading stands above the status, or before its line */
  update(status: RunStatus, heading?: string): void {
    const above = heading === undefined ? [] : [heading];
    this.show(
      () => [...above.map((text) => cut(text, this.columns - 1)), ...statusBlock(status, this.columns)],
      () => [...above, statusLine(status)].join("  "),
    );
  }

  /** Draws a block, each of its lines narrower than the window; where nothing can be redrawn, now and then a line. */
  show(block: () => readonly string[], line: () => string): void {
    if (this.#redraws) {
      const erase = this.#erase();
      this.#block = block();
      this.#stream.write(erase);
      this.#draw();
      return;
    }
    const text = line();
    if (text === this.#lastLine || this.#now() - this.#lastLineAt < LINE_EVERY_MS) return;
    this.#lastLine = text;
    this.#lastLineAt = this.#now();
    // In a window it is broken between its parts first, and a part that is too wide between its words.
    const width = this.columns - 1;
    const lines = this.#stream.isTTY
      ? filled(text.split("  "), width, "  ", "  ").flatMap((line) => wrapped(line, width))
      : [text];
    for (const line of lines) this.line(line);
  }

  /** Takes the block off the screen. */
  close(): void {
    if (this.#redraws) this.#stream.write(this.#erase());
    this.#block = [];
  }

  #erase(): string {
    // A window that was made narrower has broken lines into rows since they were drawn.
    const rows = this.#drawn.reduce((sum, line) => sum + rowsOf(line, this.columns), 0);
    this.#drawn = [];
    return rows === 0 ? "" : `\x1b[${rows}A\r${CLEAR_BELOW}`;
  }

  #draw(): void {
    if (this.#block.length === 0) return;
    this.#stream.write(`${paintedBlock(this.#block, this.#paint).join("\n")}\n`);
    this.#drawn = this.#block;
  }
}
