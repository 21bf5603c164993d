// When a plan gives a run up whose numbers are lost: after refusals of everybody who is there, and never while
// somebody's work counts.

import { expect, test } from "vitest";
import { STALLED_REFUSALS, STALLED_RETURNS, Stall } from "../../../coordinator/compare/stall.ts";
import type { RunEvent } from "../../../coordinator/engine/run-event.ts";
import type { WorkerId } from "../../../shared/base/ids.ts";

const refused = (worker: string, code = "CONTRIBUTION_OUTLIER") =>
  ({ type: "refused", worker, code, message: "the peak is 3e+13" }) as RunEvent;
const joined = (worker: string) => ({ type: "joined", worker: worker as WorkerId }) as RunEvent;
const left = (worker: string) => ({ type: "left", worker: worker as WorkerId }) as RunEvent;
const step = { type: "step" } as RunEvent;

/** The word of each of so many refusals of a worker. */
const refusals = (stall: Stall, worker: string, times: number, code?: string) =>
  Array.from({ length: times }, () => stall.take(refused(worker, code)));

test("a run is given up at so many refusals in a row of all who are there, over however many connections", () => {
  const stall = new Stall();
  const said = ["w1", "w2", "w3"].flatMap((worker) => {
    stall.take(joined(worker));
    const words = refusals(stall, worker, STALLED_REFUSALS / 3);
    stall.take(left(worker));
    return words;
  });
  expect(said.slice(0, -1).every((word) => word === undefined)).toBe(true);
  expect(said.at(-1)).toBe("the peak is 3e+13");
});

test("a step in between begins the count anew", () => {
  const stall = new Stall();
  stall.take(joined("w1"));
  refusals(stall, "w1", STALLED_REFUSALS - 1);
  stall.take(step);
  expect(refusals(stall, "w1", STALLED_REFUSALS - 1).at(-1)).toBeUndefined();
});

test("liars alone give no run up: who has not been refused may be at work", () => {
  const stall = new Stall();
  for (const worker of ["honest", "liar"]) stall.take(joined(worker));
  expect(refusals(stall, "liar", 5 * STALLED_REFUSALS).every((word) => word === undefined)).toBe(true);
  stall.take(left("honest"));
  expect(stall.take(refused("liar"))).toBeDefined();
});

test.each(["CONTRIBUTION_OUTLIER", "CONTRIBUTION_MISMATCH", "CONTRIBUTION_DISPUTED", "GRADIENT_NOT_FINITE"])(
  "a run is given up for %s, or any mix of what is said of values",
  (code) => {
    const alone = new Stall();
    alone.take(joined("w1"));
    expect(refusals(alone, "w1", STALLED_REFUSALS, code).at(-1)).toBeDefined();
    const mixed = new Stall();
    mixed.take(joined("w1"));
    mixed.take(refused("w1"));
    expect(refusals(mixed, "w1", STALLED_REFUSALS - 1, code).at(-1)).toBeDefined();
  },
);

test("refused workers that come back under new names hold nothing up, though one has always just come", () => {
  const stall = new Stall();
  for (const worker of ["a0", "b0"]) stall.take(joined(worker));
  stall.take(refused("b0"));
  const words: (string | undefined)[] = [];
  for (let turn = 0; turn < 2 * STALLED_RETURNS; turn++) {
    words.push(stall.take(refused(`a${turn}`)));
    for (const name of ["a", "b"]) {
      stall.take(left(`${name}${turn}`));
      stall.take(joined(`${name}${turn + 1}`));
    }
  }
  expect(words.findIndex((word) => word !== undefined)).toBe(STALLED_RETURNS - 2);
});

test("what is refused for its form says nothing of the numbers", () => {
  const stall = new Stall();
  expect(refusals(stall, "w1", 2 * STALLED_REFUSALS, "MESSAGE_INVALID").at(-1)).toBeUndefined();
  expect(refusals(stall, "w1", 2 * STALLED_REFUSALS, "CONTRIBUTION_STALE").at(-1)).toBeUndefined();
});
