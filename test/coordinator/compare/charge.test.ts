// What a cell is charged: its whole program where it was finished, and what was committed where it diverged.

import { expect, test } from "vitest";
import { chargeOf, chargeOfNetwork } from "../../../coordinator/compare/charge.ts";
import { comparisonCsv } from "../../../coordinator/compare/csv.ts";
import { outcomeOf } from "../../../coordinator/compare/outcome.ts";
import { tinyState } from "../../fixtures/tiny-run.ts";

const run = tinyState();
const { program, config } = run;

test("of a run that ended early each pass is charged as far as it came, and none that never began", () => {
  const whole = chargeOf(run);
  const last = program.passes.at(-1)!;
  const early = chargeOf(run, last.firstStep);
  expect(whole.steps).toBe(program.steps);
  expect(early.steps).toBe(last.firstStep);
  expect(whole.samples - early.samples).toBe(last.samples);
  const one = chargeOf(run, 1);
  expect(one.samples).toBe(Math.min(config.batch, program.passes[0].samples));
  expect(one.phases.map(({ passes }) => passes)).toEqual([1, ...one.phases.slice(1).map(() => 0)]);
  expect(one.total.float).toBeCloseTo((one.samples / early.phases[0].samples) * early.phases[0].total.float, 3);
  expect(chargeOf(run, program.steps)).toEqual(whole);
});

test("of a run without a step nothing is charged, and what a step was to carry is known", () => {
  const none = chargeOf(run, 0);
  expect([none.samples, none.steps, none.total]).toEqual([0, 0, { float: 0, binary: 0 }]);
  expect(none.bytes).toEqual(chargeOf(run).bytes);
  expect(chargeOfNetwork(run, program.primary, 0).samples).toBe(0);
});

test("a cell that diverged says the steps that were committed, and is charged those alone", async () => {
  const ended = {
    eventsPath: "/nowhere/events.ndjson",
    program,
    batch: config.batch,
    charge: (steps?: number) => chargeOf(run, steps),
    network: program.primary,
  };
  const cell = { cell: "R-s0", method: "R", seed: 0, rate: 1 };
  const ending = { outcome: "diverged", message: "the peak is 4e+32", steps: 1 } as const;
  const result = await outcomeOf(cell, ended, ending, { down: 10, up: 20, steps: 1 });
  expect(result).toMatchObject({ outcome: "diverged", steps: 1, charge: { steps: 1, samples: config.batch } });
  const whole = await outcomeOf(
    { ...cell, cell: "R-s1", seed: 1 },
    ended,
    { ...ending, steps: program.steps },
    { down: 0, up: 0, steps: 0 },
  );
  const results = [result, whole].map((one) => ({ format: 1 as const, ...one }));
  const lines = comparisonCsv({ methods: [], results, bitsAFloat: 1, fullPrecisionPairs: 1000 }).split("\r\n");
  const [head, ...rows] = lines.map((line) => line.split(","));
  const column = (name: string) => rows.slice(0, 2).map((row) => Number(row[head.indexOf(name)]));
  expect(column("steps")).toEqual([1, program.steps]);
  expect(column("samples")).toEqual(results.map(({ charge }) => charge.samples));
  expect(column("relative_compute")).toEqual(
    results.map(({ charge: { total } }) => (total.float + total.binary) / 1000),
  );
});
