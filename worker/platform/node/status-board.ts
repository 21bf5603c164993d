// One line a worker at the foot of a terminal, each drawn anew in its place; what happens scrolls by above them.

import type { LineFrom, WorkerEvent } from "./supervise.ts";
import type { Given } from "./worker-report.ts";

/** What is known of one worker. */
export interface BoardRow {
  readonly slot: number;
  /** As the coordinator names it; none before it has joined. */
  readonly worker?: string | undefined;
  /** Of this life of it. */
  readonly given?: Given | undefined;
  /** What it said last, or what became of it. */
  readonly note: string;
}

/** What of a terminal it takes. */
export interface BoardOutput {
  write(text: string): unknown;
  readonly columns?: number | undefined;
}

const DEFAULT_COLUMNS = 80;
/** Between two drawings: more often nobody can read. */
const DRAW_MS = 250;
/** From here on letters may take two columns. */
const WIDE_FROM = 0x1100;
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

const columnsOf = (letter: string) => ((letter.codePointAt(0) ?? 0) >= WIDE_FROM ? 2 : 1);

/** One line of less than so many columns, whatever a worker was told to say: no letter of it moves the cursor. */
export function rowText({ slot, worker, given, note }: BoardRow, columns: number): string {
  const done =
    given === undefined
      ? note
      : `${whole.format(given.samples)} samples, ${whole.format(given.samplesPerSecond)}/s${note === "" ? "" : `; ${note}`}`;
  const line = `[${slot}] ${worker === undefined ? "" : `${worker}: `}${done}`.replace(/[\p{Cc}\p{Cf}]/gu, " ");
  let text = "";
  let used = 1;
  for (const letter of line) {
    used += columnsOf(letter);
    if (used > columns) break;
    text += letter;
  }
  return text;
}

/** A worker's line after another: what it said, and what was done about it. */
export function rowAfterLine(row: BoardRow, { by, text }: LineFrom): BoardRow {
  // It begins anew, or has ended.
  if (by === "launcher") return { slot: row.slot, note: text };
  return row.given === undefined ? { ...row, note: text } : row;
}

/** The same after what its launcher saw of it. */
export function rowAfterEvent(row: BoardRow, event: WorkerEvent): BoardRow {
  switch (event.event) {
    case "joined":
      return { ...row, worker: event.worker, note: row.given === undefined ? "joined" : "" };
    case "given": {
      const { samples, samplesPerSecond } = event;
      return { ...row, given: { samples, samplesPerSecond }, note: "" };
    }
    case "ended":
      return { ...row, note: "has left" };
    default:
      return event satisfies never;
  }
}

/** What a worker says once and people must not miss: it stays above the lines. */
export function staysAbove({ by, text }: LineFrom): boolean {
  return by === "launcher" || /^(error|trouble) /.test(text);
}

/** Whether lines may be drawn in place. */
export function canDraw(output: { readonly isTTY?: boolean | undefined }, env: NodeJS.ProcessEnv): boolean {
  return output.isTTY === true && env.TERM !== "dumb";
}

export class StatusBoard {
  readonly #output: BoardOutput;
  readonly #rows: Map<number, BoardRow>;
  /** Columns of each line that stands in the terminal, above the cursor. */
  #drawn: readonly number[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(output: BoardOutput, count: number) {
    this.#output = output;
    const slots = Array.from({ length: count }, (_, i) => i + 1);
    this.#rows = new Map(slots.map((slot) => [slot, { slot, note: "starting" }]));
    this.#draw();
  }

  line(line: string, from?: LineFrom): void {
    if (from !== undefined) this.#change(from.slot, (row) => rowAfterLine(row, from));
    if (from === undefined || staysAbove(from)) this.#draw(`${line}\n`);
  }

  event(event: WorkerEvent): void {
    this.#change(event.slot, (row) => rowAfterEvent(row, event));
  }

  /** Draws the last state, and leaves it there. */
  close(): void {
    this.#draw();
    this.#drawn = [];
    this.#rows.clear();
  }

  #change(slot: number, change: (row: BoardRow) => BoardRow): void {
    const row = this.#rows.get(slot);
    if (row === undefined) return;
    this.#rows.set(slot, change(row));
    this.#timer ??= setTimeout(() => this.#draw(), DRAW_MS);
  }

  #draw(above = ""): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const columns = this.#output.columns ?? DEFAULT_COLUMNS;
    const lines = [...this.#rows.values()].map((row) => rowText(row, columns));
    // A terminal that became narrower has broken them.
    const up = this.#drawn.reduce((rows, width) => rows + Math.max(1, Math.ceil(width / columns)), 0);
    this.#drawn = lines.map((line) => [...line].reduce((width, letter) => width + columnsOf(letter), 0));
    // Up to the first, and all below cleared (ECMA-48: CUU, ED).
    const back = up === 0 ? "" : `\x1b[${up}A\r\x1b[J`;
    this.#output.write(`${back}${above}${lines.map((line) => `${line}\n`).join("")}`);
  }
}
