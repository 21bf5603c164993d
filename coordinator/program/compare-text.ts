// What a comparison says in a terminal: how far it is, and what came out.

import { displayWidth, PLAIN_COLUMNS, wrapped } from "../../shared/base/terminal-text.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { CellResult } from "../compare/cell-result.ts";
import type { Comparison } from "../compare/comparison.ts";
import { countText, estimateText, kibText, relativeText, scoreScale } from "../compare/numbers.ts";
import { duration } from "./progress-text.ts";

/** Where in a plan a run stands. */
export interface PlaceInPlan {
  readonly name: string;
  /** From 1, of all runs of the plan. */
  readonly index: number;
  readonly of: number;
}

function left(seconds: number | undefined): string {
  return seconds === undefined ? "" : `, about ${duration(seconds)} left`;
}

/** The line above the run's own status. @param secondsLeft of the whole plan; undefined while nothing tells */
export function planHeading({ name, index, of }: PlaceInPlan, secondsLeft: number | undefined): string {
  return `cell ${index} of ${of}: ${name}${left(secondsLeft)}`;
}

/** What is left of a plan, by what the runs took so far and what they count. */
export function planSecondsLeft(
  done: { readonly seconds: number; readonly pairs: number },
  pairsLeft: number,
): number | undefined {
  return done.pairs > 0 && done.seconds > 0 ? (done.seconds / done.pairs) * pairsLeft : undefined;
}

/** Of a run in hand, how much of its work is done. */
export function shareDone({ step, steps }: Pick<RunStatus, "step" | "steps">): number {
  return steps === 0 ? 1 : Math.min(1, step / steps);
}

/** A line of a cell that is done. */
export function cellLine({ cell, score, seconds, message }: CellResult, { index, of }: PlaceInPlan): string {
  const what = score ? `${score.name} ${score.text}` : `diverged: ${message ?? "no reason was given"}`;
  return `cell ${index} of ${of}, ${cell}: ${what}, ${duration(seconds)}`;
}

type Row = readonly string[];

const GAP = 2;
const padding = (cell: string, width: number) => " ".repeat(width - displayWidth(cell));

/** Rows one below the other; columns that have no room beside the others follow below, behind the first again. */
function aligned(rows: readonly Row[], most: number): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => displayWidth(row[column]))));
  const blocks: number[][] = [];
  let room = 0;
  for (let column = 1; column < widths.length; column++) {
    const taken = GAP + widths[column];
    if (blocks.length === 0 || room < taken) {
      blocks.push([]);
      room = most - GAP - widths[0];
    }
    blocks.at(-1)?.push(column);
    room -= taken;
  }
  return blocks.flatMap((columns) =>
    rows.map((row) => {
      const others = columns.map((i) => " ".repeat(GAP) + padding(row[i], widths[i]) + row[i]);
      return `${" ".repeat(GAP)}${row[0]}${padding(row[0], widths[0])}${others.join("")}`.trimEnd();
    }),
  );
}

const none = "–";

/** The table of a comparison, a line a method, in a window of so many columns. */
export function comparisonLines(comparison: Comparison, columns = PLAIN_COLUMNS): string[] {
  const { methods, score, reference, done, cells, bitsAFloat } = comparison;
  const scale = scoreScale(comparison);
  const name = `${score?.name ?? "score"}${scale.unit === "" ? "" : ` ${scale.unit}`}`;
  const head: Row = ["method", name, "runs", `from ${reference}`, "rate", "compute", "down/step", "up/step"];
  const rows = methods.map((method): Row => {
    const { score: own, difference, rate, ratesTried, cost } = method;
    return [
      method.method,
      own ? estimateText(own, scale) : none,
      String(own?.n ?? 0),
      difference ? estimateText(difference, scale, true) : none,
      rate === null ? none : ratesTried > 1 ? `${rate} of ${ratesTried}` : String(rate),
      cost ? relativeText(cost.relative) : none,
      cost ? kibText(cost.bytes.down) : none,
      cost ? kibText(cost.bytes.up) : none,
    ];
  });
  const samples = Math.max(...methods.map(({ cost }) => cost?.samples ?? 0));
  return [
    ...wrapped(`${done} of ${cells} cells are done; ± is the interval of 95 % by Student's t`, columns - 1),
    ...aligned([head, ...rows], columns - 1),
    ...wrapped(
      `compute: passes over samples (${countText(samples)} at most), teachers included, full precision = 1, ${bitsAFloat} 1-bit multiplications as one`,
      columns - 1,
    ),
  ];
}
