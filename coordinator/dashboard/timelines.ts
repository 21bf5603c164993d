// What workers did in the last minutes, taken down whether somebody looks on or not: a page that is opened late shows
// it too. A digit of text for each worker and every few seconds, so that a thousand of them take 60 kB.

import { type PastCells, TIMELINE_CELL_MS, TIMELINE_CELLS, type WorkerState, workerStates } from "./feed-message.ts";

interface Line {
  /** Number of the first cell since 1970. */
  readonly first: number;
  /** A digit for each cell: the state's place in the list. */
  readonly digits: string;
}

export class Timelines {
  #lines = new Map<string, Line>();
  #cell = Number.NEGATIVE_INFINITY;

  /** Whether a cell has begun since the last note. @param time milliseconds since 1970 */
  due(time: number): boolean {
    return Math.floor(time / TIMELINE_CELL_MS) > this.#cell;
  }

  /** Takes down what everybody does now, once a cell; who is not among them is forgotten. */
  note(time: number, workers: Iterable<readonly [worker: string, state: WorkerState]>): void {
    if (!this.due(time)) return;
    const cell = Math.floor(time / TIMELINE_CELL_MS);
    const lines = new Map<string, Line>();
    for (const [worker, state] of workers) lines.set(worker, longer(this.#lines.get(worker), cell, state));
    this.#lines = lines;
    this.#cell = cell;
  }

  /** As a page that comes now is told. */
  get cells(): PastCells {
    return [...this.#lines].map(([worker, { first, digits }]) => [worker, first, digits]);
  }
}

/** What was not looked at meanwhile went on as it was. */
function longer(line: Line | undefined, cell: number, state: WorkerState): Line {
  const digit = String(workerStates.indexOf(state));
  if (!line) return { first: cell, digits: digit };
  const { first, digits } = line;
  const missed = Math.min(cell - first - digits.length, TIMELINE_CELLS);
  const all = digits + digits[digits.length - 1].repeat(missed) + digit;
  const kept = all.slice(-TIMELINE_CELLS);
  return { first: cell + 1 - kept.length, digits: kept };
}
