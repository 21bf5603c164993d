// The lines of history.ndjson. Rows are arrays, since there are many of them; what their numbers mean stands in an
// object before them, and so does whatever comes seldom.

import { z } from "zod";

export const HISTORY_FILE = "history.ndjson";
export const HISTORY_FORMAT = 1;
/** Of the file: a hundred thousand steps are some 30 MiB. */
export const MOST_HISTORY_BYTES = 500 * 2 ** 20;
/** Of the columns of a row: four numbers of each layer of a deep network are a few hundred. */
export const MOST_COLUMNS = 4096;
/** Characters of a name in it. */
export const MOST_NAME = 256;
/** Of a line; a row of so many columns is shorter. */
export const MOST_LINE_BYTES = 2 ** 20;

const counting = z.int().min(0);
/** The last millisecond that a date may be of. */
const MOST_TIME = 8.64e15;
const time = counting.max(MOST_TIME);
const name = z.string().max(MOST_NAME);

/** What rows are of: the run's steps, or the layers of some of them. */
export const tables = ["steps", "layers"] as const;
export type Table = (typeof tables)[number];

/** One pass through the data, or a share of it: where the steps after `after` belong. */
export interface HistoryPass {
  readonly phase: string;
  /** Null where nobody wrote it down. */
  readonly network: string | null;
  /** Of the phase, from 0. */
  readonly epoch: number;
  /** Steps before it. */
  readonly after: number;
}

export interface HistoryEvaluation {
  /** Committed steps. */
  readonly step: number;
  /** Milliseconds since 1970; null where nobody wrote it down. */
  readonly time: number | null;
  readonly network: string;
  /** The score's name. */
  readonly score: string;
  readonly value: number;
  /** What is told beside it, by name. */
  readonly others: Readonly<Record<string, number>>;
}

const passSchema = z.strictObject({ phase: name, network: name.nullable(), epoch: counting, after: counting });
const evaluationSchema = z.strictObject({
  step: counting,
  time: time.nullable(),
  network: name,
  score: name,
  value: z.number(),
  others: z.record(name, z.number()),
});
const lineSchema = z.union([
  z.strictObject({ history: z.literal(HISTORY_FORMAT), after: counting }),
  z.strictObject({ pass: passSchema }),
  z.strictObject({ table: z.enum(tables), columns: z.array(name).max(MOST_COLUMNS) }),
  z.strictObject({ evaluation: evaluationSchema }),
]);

/** A row as it is written: which table, the step, when, and a number for each of the table's columns. */
export interface HistoryRow {
  readonly table: Table;
  readonly step: number;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** NaN where there is none. */
  readonly values: readonly number[];
}

export type HistoryLine =
  /** The first line: steps up to `after` were made before there was a history. */
  | { readonly kind: "begin"; readonly after: number }
  | { readonly kind: "pass"; readonly pass: HistoryPass }
  /** What the numbers of the table's rows are from here on. */
  | { readonly kind: "columns"; readonly table: Table; readonly columns: readonly string[] }
  | { readonly kind: "evaluation"; readonly evaluation: HistoryEvaluation }
  | ({ readonly kind: "row" } & HistoryRow);

/** Significant digits of a written number: more than float32 has. */
const DIGITS = 9;

function shortened(value: number): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(DIGITS)) : null;
}

/** With its newline. */
export function writtenLine(line: HistoryLine): string {
  return `${JSON.stringify(written(line))}\n`;
}

function written(line: HistoryLine): unknown {
  switch (line.kind) {
    case "begin":
      return { history: HISTORY_FORMAT, after: line.after };
    case "pass":
      return { pass: line.pass };
    case "columns":
      return { table: line.table, columns: line.columns };
    case "evaluation":
      return { evaluation: line.evaluation };
    case "row":
      return [tables.indexOf(line.table), line.step, line.time, ...line.values.map(shortened)];
    default:
      return line satisfies never;
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function readRow(numbers: readonly unknown[]): HistoryLine | undefined {
  const [table, step, when] = numbers;
  if (table !== 0 && table !== 1) return undefined;
  if (!isCount(step) || !isCount(when) || when > MOST_TIME) return undefined;
  if (numbers.length > MOST_COLUMNS + 3) return undefined;
  const values = new Array<number>(numbers.length - 3);
  for (let at = 3; at < numbers.length; at++) {
    const value = numbers[at];
    if (value !== null && typeof value !== "number") return undefined;
    values[at - 3] = value ?? Number.NaN;
  }
  return { kind: "row", table: tables[table], step, time: when, values };
}

/** What a line says; nothing where it is none of this format. */
export function readLine(text: string): HistoryLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (Array.isArray(value)) return readRow(value);
  const parsed = lineSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const line = parsed.data;
  if ("history" in line) return { kind: "begin", after: line.after };
  if ("pass" in line) return { kind: "pass", pass: line.pass };
  if ("table" in line) return { kind: "columns", table: line.table, columns: line.columns };
  return { kind: "evaluation", evaluation: line.evaluation };
}
