// What a leader tells of the pass at hand to those who look on elsewhere.

import type { Range } from "../../../shared/base/intervals.ts";
import { MOST_WATCHED, type WatchedRun } from "../../cluster/messages.ts";
import type { RunWatch } from "../run-watch.ts";

export function toldWatch({ paused, checkpointStep, checkpointWanted, pass }: RunWatch): WatchedRun {
  const { title, samples } = pass;
  const told = (ranges: readonly Range[]) => coarser(ranges, samples);
  const { committed, collected, leased } = pass;
  return {
    paused,
    checkpointStep,
    checkpointWanted,
    pass: { title, samples, committed: told(committed), collected: told(collected), leased: told(leased) },
  };
}

/** At most so many ranges as may be told: of more, the cells of which at least half are in them. */
function coarser(ranges: readonly Range[], samples: number): Range[] {
  if (ranges.length <= MOST_WATCHED) return ranges.map(({ from, to }) => ({ from, to }));
  const each = samples / MOST_WATCHED;
  const covered = new Float64Array(MOST_WATCHED);
  for (const { from, to } of ranges) {
    for (let cell = Math.floor(from / each); cell < MOST_WATCHED && cell * each < to; cell++) {
      covered[cell] += Math.min(to, (cell + 1) * each) - Math.max(from, cell * each);
    }
  }
  const cells: Range[] = [];
  for (const [cell, count] of covered.entries()) {
    if (2 * count < each) continue;
    const [from, to] = [Math.round(cell * each), Math.round((cell + 1) * each)];
    const last = cells.at(-1);
    if (last?.to === from) cells[cells.length - 1] = { from: last.from, to };
    else cells.push({ from, to });
  }
  return cells;
}

/** The same at whoever hears it, with its own workers. */
export function heardWatch(own: RunWatch, told: WatchedRun | undefined): RunWatch {
  return told ? { ...own, ...told } : own;
}
