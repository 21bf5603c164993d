// The live view in the terminal: a block that is redrawn below the lines of events; where nothing can be redrawn, a
// line every few seconds.

import type { WriteStream } from "node:tty";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { eventLine, statusBlock, statusLine } from "./progress-text.ts";
import { PLAIN_COLUMNS, rowsOf } from "./terminal-text.ts";

/** Between two status lines where nothing can be redrawn. */
const LINE_EVERY_MS = 5000;
const CLEAR_BELOW = "\x1b[J";

export type ProgressStream = Pick<WriteStream, "write"> & { readonly isTTY?: boolean; readonly columns?: number };

type Environment = Readonly<Record<string, string | undefined>>;

const isSet = (value: string | undefined) => value !== undefined && value !== "" && value !== "0" && value !== "false";

/**
 * Whether a block may be redrawn in place: on a terminal that moves its cursor, and where nobody asks for plain text
 * (https://no-color.org, and the CI of build services).
 */
export function redraws({ isTTY }: ProgressStream, { TERM, NO_COLOR, CI }: Environment): boolean {
  return isTTY === true && TERM !== "dumb" && !isSet(NO_COLOR) && !isSet(CI);
}

export class Progress {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  readonly #redraws: boolean;
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
  }

  /** Of the window, which may change. */
  get columns(): number {
    const { columns } = this.#stream;
    return columns === undefined || columns < 1 ? PLAIN_COLUMNS : columns;
  }

  /** Prints a line, or several, that stay. */
  line(text: string): void {
    if (!this.#redraws) {
      this.#stream.write(`${text}\n`);
      return;
    }
    this.#stream.write(`${this.#erase()}${text}\n`);
    this.#draw();
  }

  event(event: RunEvent): void {
    const text = eventLine(event);
    if (text !== undefined) this.line(text);
  }

  update(status: RunStatus): void {
    if (this.#redraws) {
      const erase = this.#erase();
      this.#block = statusBlock(status, this.columns);
      this.#stream.write(erase);
      this.#draw();
      return;
    }
    const text = statusLine(status);
    if (text === this.#lastLine || this.#now() - this.#lastLineAt < LINE_EVERY_MS) return;
    this.#lastLine = text;
    this.#lastLineAt = this.#now();
    this.#stream.write(`${text}\n`);
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
    this.#stream.write(`${this.#block.join("\n")}\n`);
    this.#drawn = this.#block;
  }
}
