// What the lines of a history come to: numbers in rows, in a memory of about the file's own size however its columns
// come and go.

import type { HistoryEvaluation, HistoryLine, HistoryPass, HistoryRow, Table } from "./history-line.ts";

/** Of one table; each is a memory of its own. */
export const MOST_SEGMENTS = 10_000;
/** More than a person looks at; the oldest go. */
export const MOST_EVALUATIONS = 10_000;
/** As many; a run of more has its first ones. */
export const MOST_PASSES = 10_000;

const FIRST_ROWS = 64;

/** Rows with the same columns, one after the other: step, time, then the columns. */
export class Segment {
  readonly columns: readonly string[];
  readonly #place: ReadonlyMap<string, number>;
  readonly width: number;
  #numbers = new Float64Array(0);
  count = 0;

  constructor(columns: readonly string[]) {
    this.columns = columns;
    this.#place = new Map(columns.map((column, index) => [column, index + 2]));
    this.width = columns.length + 2;
  }

  /** Of rows and columns, row after row. */
  get numbers(): Float64Array {
    return this.#numbers;
  }

  /** A column's place in a row; nothing where there is no such column. */
  place(column: string): number | undefined {
    return this.#place.get(column);
  }

  step(row: number): number {
    return this.#numbers[row * this.width];
  }

  /** @returns false where the row has other columns */
  add({ step, time, values }: HistoryRow): boolean {
    if (values.length !== this.columns.length) return false;
    const at = this.count * this.width;
    if (at + this.width > this.#numbers.length) {
      const larger = new Float64Array(Math.max(FIRST_ROWS, this.count * 2) * this.width);
      larger.set(this.#numbers);
      this.#numbers = larger;
    }
    this.#numbers[at] = step;
    this.#numbers[at + 1] = time;
    this.#numbers.set(values, at + 2);
    this.count++;
    return true;
  }

  /** The first row of a step above this one. */
  rowAfter(step: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.step(middle) <= step) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export function samePass(one: HistoryPass | undefined, other: HistoryPass): boolean {
  return one?.phase === other.phase && one.network === other.network && one.epoch === other.epoch;
}

export class HistoryData {
  readonly #segments: Record<Table, Segment[]> = { steps: [], layers: [] };
  #passes: HistoryPass[] = [];
  #evaluations: HistoryEvaluation[] = [];
  /** Steps that were made before there was a history; undefined before its first line. */
  after: number | undefined;
  /** Lines that were none, or did not fit. */
  damaged = 0;

  /** Whether the line has its place here. */
  add(line: HistoryLine | undefined): boolean {
    const taken = line !== undefined && this.#take(line);
    if (!taken) this.damaged++;
    return taken;
  }

  #take(line: HistoryLine): boolean {
    switch (line.kind) {
      case "begin":
        this.after ??= line.after;
        return true;
      case "pass":
        // A run that is resumed within a pass says again which it is.
        if (samePass(this.#passes.at(-1), line.pass)) return true;
        if (this.#passes.length >= MOST_PASSES) return false;
        this.#passes.push(line.pass);
        return true;
      case "columns": {
        const segments = this.#segments[line.table];
        if (segments.length >= MOST_SEGMENTS) return false;
        segments.push(new Segment(line.columns));
        return true;
      }
      case "evaluation":
        this.#evaluations.push(line.evaluation);
        if (this.#evaluations.length > MOST_EVALUATIONS) this.#evaluations.shift();
        return true;
      case "row": {
        const segment = this.#segments[line.table].at(-1);
        // Rows stand in the order of their steps: what is looked for is found by halves.
        if (segment === undefined || line.step <= this.#last(line.table)) return false;
        return segment.add(line);
      }
      default:
        return line satisfies never;
    }
  }

  #last(table: Table): number {
    const segment = this.#segments[table].findLast(({ count }) => count > 0);
    return segment === undefined ? -1 : segment.step(segment.count - 1);
  }

  /** The newest step; 0 before the first. */
  get step(): number {
    return Math.max(0, this.#last("steps"));
  }

  segments(table: Table): readonly Segment[] {
    return this.#segments[table];
  }

  get passes(): readonly HistoryPass[] {
    return this.#passes;
  }

  get evaluations(): readonly HistoryEvaluation[] {
    return this.#evaluations;
  }
}
