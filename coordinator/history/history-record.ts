// What of a run's events its history keeps, and in which lines: columns are told before the first row that has them.

import type { RunEvent } from "../engine/run-event.ts";
import { samePass } from "./history-data.ts";
import type { HistoryLine, HistoryPass, Table } from "./history-line.ts";

type StepEvent = Extract<RunEvent, { type: "step" }>;

function prefixed(prefix: string, values: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(values).map(([name, value]) => [`${prefix}.${name}`, value]);
}

/** The numbers of a step by the names of their series. */
export function stepSeries(event: StepEvent): Readonly<Record<string, number>> {
  const { loss, score, rates, stepSamples, workedMs, workers, bytes } = event;
  return Object.fromEntries([
    ...prefixed("loss", loss),
    ["score", score.value],
    ...prefixed("rate", rates),
    ["samples", stepSamples],
    ["samplesPerSecond", (stepSamples * 1000) / Math.max(1, workedMs)],
    ["workers", workers],
    ["bytes.down", bytes.down],
    ["bytes.up", bytes.up],
  ]);
}

function sameNames(one: readonly string[] | undefined, other: readonly string[]): boolean {
  return one?.length === other.length && one.every((name, i) => name === other[i]);
}

/** Turns events into lines; knows what the lines so far have said. */
export class HistoryRecorder {
  #pass: HistoryPass | undefined;
  readonly #columns: Partial<Record<Table, readonly string[]>> = {};

  /** Lines of an event; none of one that history does not keep. @param time milliseconds since 1970 */
  linesOf(event: RunEvent, time: number): HistoryLine[] {
    switch (event.type) {
      case "step": {
        const { step, phase, network, epoch, layers } = event;
        return [
          ...this.#passLines({ phase, network, epoch, after: step - 1 }),
          ...this.#rowLines("steps", step, time, stepSeries(event)),
          ...(layers ? this.#rowLines("layers", step, time, layers) : []),
        ];
      }
      case "evaluation": {
        const { step, network, score } = event;
        const { name, value } = score;
        const others = Object.fromEntries((score.others ?? []).map((other) => [other.name, other.value]));
        return [{ kind: "evaluation", evaluation: { step, time, network, score: name, value, others } }];
      }
      default:
        return [];
    }
  }

  /** What stood before is gone: everything is said again. */
  forget(): void {
    this.#pass = undefined;
    this.#columns.steps = undefined;
    this.#columns.layers = undefined;
  }

  #passLines(pass: HistoryPass): HistoryLine[] {
    if (samePass(this.#pass, pass)) return [];
    this.#pass = pass;
    return [{ kind: "pass", pass }];
  }

  #rowLines(table: Table, step: number, time: number, numbers: Readonly<Record<string, number>>): HistoryLine[] {
    const columns = Object.keys(numbers);
    const row: HistoryLine = { kind: "row", table, step, time, values: Object.values(numbers) };
    if (sameNames(this.#columns[table], columns)) return [row];
    this.#columns[table] = columns;
    return [{ kind: "columns", table, columns }, row];
  }
}

/** Newest evaluation of each network that stands, by the step that it was made at. */
export type Evaluated = Readonly<Record<string, number | null>>;

/** Whether a line tells of what was before this place; what does not is computed again. */
export function stands(line: HistoryLine, step: number, evaluatedAt: Evaluated): boolean {
  switch (line.kind) {
    case "begin":
      return line.after <= step;
    case "pass":
      return line.pass.after < step;
    case "columns":
      return true;
    case "row":
      return line.step <= step;
    case "evaluation": {
      const { evaluation } = line;
      return evaluation.step < step || (evaluation.step === step && evaluatedAt[evaluation.network] === step);
    }
    default:
      return line satisfies never;
  }
}
