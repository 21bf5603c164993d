// metrics.csv: a line a step and a line an evaluation, for spreadsheets and data frames (RFC 4180). A column that comes
// up later has its place in the head of a file that is written anew.

import type { HistoryEvaluation, HistoryLine, HistoryPass } from "./history-line.ts";

export const CSV_FILE = "metrics.csv";
/** Of the numbers; a run has some twenty. */
export const MOST_CSV_COLUMNS = 128;

/** Before the numbers: `score` is of a step's own samples, of an evaluation of held-out ones. */
const fixed = ["step", "event", "time", "phase", "epoch", "network", "score_name"] as const;

function field(value: string | number | null | undefined): string {
  if (value === null || value === undefined || (typeof value === "number" && Number.isNaN(value))) return "";
  const text = String(value);
  // A spreadsheet takes what begins so for a formula.
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function numbersOf({ value, others }: HistoryEvaluation): Readonly<Record<string, number>> {
  return { ...Object.fromEntries(Object.entries(others).map(([name, one]) => [`score.${name}`, one])), score: value };
}

/** Which columns the lines of a history have, in the order in which they come up. */
export class CsvColumns {
  readonly #names = new Set<string>(["score"]);

  hear(line: HistoryLine): void {
    if (line.kind === "columns" && line.table === "steps") this.#add(line.columns);
    if (line.kind === "evaluation") this.#add(Object.keys(numbersOf(line.evaluation)));
  }

  #add(names: readonly string[]): void {
    for (const name of names) if (this.#names.size < MOST_CSV_COLUMNS) this.#names.add(name);
  }

  get names(): readonly string[] {
    return [...this.#names];
  }
}

/** Lines of history as lines of the table. */
export class MetricsCsv {
  readonly #columns: readonly string[];
  #rowColumns: readonly string[] = [];
  #pass: HistoryPass | undefined;

  constructor(columns: readonly string[]) {
    this.#columns = columns;
  }

  get head(): string {
    return this.#line([...fixed, ...this.#columns]);
  }

  /** Text for a line, which may be none; undefined where it has a column that the head does not name. */
  textOf(line: HistoryLine): string | undefined {
    switch (line.kind) {
      case "begin":
        return "";
      case "pass":
        this.#pass = line.pass;
        return "";
      case "columns":
        if (line.table !== "steps") return "";
        if (this.#lacks(line.columns)) return undefined;
        this.#rowColumns = line.columns;
        return "";
      case "row": {
        if (line.table !== "steps") return "";
        const named = Object.fromEntries(this.#rowColumns.map((name, i) => [name, line.values[i]]));
        return this.#record(line.step, "step", line.time, this.#pass?.network, undefined, named);
      }
      case "evaluation": {
        const { step, time, network, score } = line.evaluation;
        const numbers = numbersOf(line.evaluation);
        if (this.#lacks(Object.keys(numbers))) return undefined;
        return this.#record(step, "evaluation", time, network, score, numbers);
      }
      default:
        return line satisfies never;
    }
  }

  /** There is room for a column that is not there. */
  #lacks(names: readonly string[]): boolean {
    return this.#columns.length < MOST_CSV_COLUMNS && names.some((name) => !this.#columns.includes(name));
  }

  #record(
    step: number,
    event: string,
    time: number | null,
    network: string | null | undefined,
    score: string | undefined,
    numbers: Readonly<Record<string, number>>,
  ): string {
    const when = time === null ? null : new Date(time).toISOString();
    const { phase, epoch } = this.#pass ?? {};
    const first = [step, event, when, phase, epoch, network, score];
    return this.#line([...first, ...this.#columns.map((name) => numbers[name])]);
  }

  #line(values: readonly (string | number | null | undefined)[]): string {
    return `${values.map(field).join(",")}\r\n`;
  }
}
