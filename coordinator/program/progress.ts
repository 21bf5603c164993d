// The live view in the terminal: a block that is redrawn below the lines of events; without a terminal, a line every
// few seconds.

import type { WriteStream } from "node:tty";
import type { RunStatus } from "../../shared/wire/protocol.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { eventLine, statusBlock, statusLine } from "./progress-text.ts";

/** Between two status lines where nothing can be redrawn. */
const LINE_EVERY_MS = 5000;
const CLEAR_BELOW = "\x1b[J";

export type ProgressStream = Pick<WriteStream, "write"> & { readonly isTTY?: boolean; readonly columns?: number };

export class Progress {
  readonly #stream: ProgressStream;
  readonly #now: () => number;
  /** Lines of the block that stand on the screen. */
  #drawn = 0;
  #block: readonly string[] = [];
  #lastLine = "";
  #lastLineAt = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds on a monotonic clock */
  constructor(stream: ProgressStream, now: () => number) {
    this.#stream = stream;
    this.#now = now;
  }

  /** Prints a line, or several, that stay. */
  line(text: string): void {
    if (!this.#stream.isTTY) {
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
    if (this.#stream.isTTY) {
      const erase = this.#erase();
      this.#block = statusBlock(status, this.#stream.columns ?? 80);
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
    if (this.#stream.isTTY) this.#stream.write(this.#erase());
    this.#block = [];
  }

  #erase(): string {
    const up = this.#drawn === 0 ? "" : `\x1b[${this.#drawn}A\r${CLEAR_BELOW}`;
    this.#drawn = 0;
    return up;
  }

  #draw(): void {
    if (this.#block.length === 0) return;
    this.#stream.write(`${this.#block.join("\n")}\n`);
    this.#drawn = this.#block.length;
  }
}
