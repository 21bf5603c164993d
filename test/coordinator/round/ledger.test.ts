// Rules of the ledger: each sample of each pass exactly once.
import fc from "fast-check";
import { expect, test } from "vitest";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { placeOf } from "../../../shared/run/program.ts";
import { advance, tinyState } from "../../fixtures/tiny-run.ts";

const { program, config } = tinyState();
const [teacher, student] = program.passes;
const violation = (message: string | RegExp) =>
  expect.objectContaining({ code: "LEDGER_VIOLATION", message: expect.stringMatching(message) });

test("a range that is committed already is refused with both records, and none of its call is committed", () => {
  const ledger = new Ledger();
  ledger.commit(teacher, [[0, 4]]);
  expect(() =>
    ledger.commit(teacher, [
      [4, 5],
      [3, 6],
    ]),
  ).toThrow(violation(/pass 0 \(teacher, epoch 0, 7 samples\).*\[3, 6\).*\[3, 5\).*\[0, 5\)/));
  expect(ledger.committed(teacher).toJSON()).toEqual([[0, 4]]);
  ledger.commit(student, [[0, 4]]);
  expect(ledger.samples).toBe(8);
});

test("a range outside of the pass, empty or not of integers is refused", () => {
  const ranges = [
    [-1, 2],
    [6, 8],
    [3, 3],
    [4, 2],
    [0.5, 2],
    [0, NaN],
  ] as const;
  for (const range of ranges)
    expect(() => new Ledger().commit(teacher, [range])).toThrow(violation(/outside \[0, 7\)/));
});

test("a pass ends only when every sample is committed", () => {
  const ledger = new Ledger();
  expect(() => ledger.finishPass(teacher)).toThrow(violation(/7 samples uncommitted: \[0, 7\)/));
  ledger.commit(teacher, [
    [5, 7],
    [0, 3],
  ]);
  expect(() => ledger.finishPass(teacher)).toThrow(violation(/2 samples uncommitted: \[3, 5\)/));
  ledger.commit(teacher, [[3, 5]]);
  ledger.finishPass(teacher);
});

test("whatever is tried, the committed samples are those of the calls that were not refused", () => {
  const range = fc.tuple(fc.integer({ min: -1, max: 8 }), fc.integer({ min: -1, max: 8 }));
  fc.assert(
    fc.property(fc.array(fc.array(range, { maxLength: 3 }), { maxLength: 10 }), (calls) => {
      const ledger = new Ledger();
      const counted = new Set<number>();
      for (const ranges of calls) {
        const positions = ranges.flatMap(([from, to]) =>
          Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i),
        );
        const valid =
          ranges.every(([from, to]) => from >= 0 && from < to && to <= 7) &&
          new Set(positions).size === positions.length &&
          positions.every((p) => !counted.has(p));
        if (!valid) expect(() => ledger.commit(teacher, ranges)).toThrow();
        else ledger.commit(teacher, ranges);
        if (valid) for (const p of positions) counted.add(p);
      }
      const held = ledger
        .committed(teacher)
        .ranges.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i));
      expect(held).toEqual([...counted].sort((a, b) => a - b));
    }),
  );
});

test("it comes back from JSON as it was, and what breaks the rule is refused", () => {
  const state = tinyState();
  const ledger = new Ledger();
  for (let i = 0; i < 5; i++) advance(state, ledger);
  const json = JSON.parse(JSON.stringify(ledger));
  expect(Ledger.fromJSON(json).toJSON()).toEqual(ledger.toJSON());
  const bad = [
    {},
    [{ pass: 0, samples: 7 }],
    [{ pass: 0, samples: 7, ranges: [[0, 8]] }],
    [
      {
        pass: 0,
        samples: 7,
        ranges: [
          [0, 4],
          [3, 7],
        ],
      },
    ],
    [
      { pass: 0, samples: 7, ranges: [] },
      { pass: 0, samples: 7, ranges: [] },
    ],
  ];
  for (const value of bad)
    expect(() => Ledger.fromJSON(value)).toThrow(expect.objectContaining({ code: "LEDGER_VIOLATION" }));
});

test.each(["complete", "deadline"] as const)(
  "after each step it holds that many batches, and any other step is refused, with the seal %s",
  (seal) => {
    const state = tinyState();
    const ledger = new Ledger();
    while (state.step < program.steps) {
      advance(state, ledger);
      for (let step = 0; step <= program.steps; step++) {
        if (step === state.step) ledger.check(program, step, config.batch, seal);
        else expect(() => ledger.check(program, step, config.batch, seal)).toThrow(violation(/pass \d/));
      }
    }
    ledger.commit({ ...teacher, index: 99 }, [[0, 1]]);
    expect(() => ledger.check(program, program.steps, config.batch, seal)).toThrow(violation(/pass 99/));
  },
);

const long = { ...student, index: 0, firstStep: 0, samples: 30, steps: 8 };
const stepAt = (step: number) => placeOf({ passes: [long], steps: 8 }, step, 4);

test("what a step leaves is carried to the next, and is less than a batch", () => {
  const ledger = new Ledger();
  ledger.commitStep(stepAt(0), [[0, 2]], 4, "deadline");
  expect(ledger.carried(stepAt(1))).toEqual([{ from: 2, to: 4 }]);
  expect(() => ledger.commitStep(stepAt(1), [[4, 6]], 4, "deadline")).toThrow(
    violation(
      /4 samples are not committed after 2 of its 8 steps: \[2, 4\) \[6, 8\); at most 3.*before: \[0, 2\); this step: \[4, 6\)/,
    ),
  );
  ledger.commitStep(
    stepAt(1),
    [
      [3, 4],
      [6, 8],
    ],
    4,
    "deadline",
  );
  expect(ledger.carried(stepAt(2))).toEqual([
    { from: 2, to: 3 },
    { from: 4, to: 6 },
  ]);
});

test("a step commits nothing of the steps after it, and with the seal complete it leaves nothing", () => {
  const ledger = new Ledger();
  expect(() => ledger.commitStep(stepAt(0), [[2, 6]], 4, "deadline")).toThrow(violation(/reaches to 6; 1 steps of 4/));
  expect(() => ledger.commitStep(stepAt(0), [[0, 3]], 4, "complete")).toThrow(violation(/at most 0 may be carried/));
  expect(ledger.samples).toBe(0);
});

test("any history of partial steps commits each sample once, and only the number of its steps fits it", () => {
  const program = { passes: [long], steps: 8 };
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.5, max: 1, noNaN: true }), { minLength: 8, maxLength: 8 }), (shares) => {
      const ledger = new Ledger();
      shares.forEach((share, step) => {
        const place = stepAt(step);
        const wanted = [...ledger.carried(place), place].flatMap(({ from, to }) =>
          Array.from({ length: to - from }, (_, i) => from + i),
        );
        const count = place.last ? wanted.length : Math.ceil(share * wanted.length);
        // The late ones are the carried, which is the worst case.
        const kept = wanted.slice(wanted.length - count).map((at) => [at, at + 1] as const);
        ledger.commitStep(place, kept, 4, "deadline");
        for (let steps = 0; steps <= 8; steps++) {
          if (steps === step + 1) ledger.check(program, steps, 4, "deadline");
          else expect(() => ledger.check(program, steps, 4, "deadline")).toThrow(violation(/pass 0/));
        }
      });
      ledger.finishPass(long);
    }),
  );
});

test("a ledger that is not what the commit log tells is refused with both records", () => {
  const ledger = new Ledger();
  ledger.commit(long, [[0, 7]]);
  const passes = { passes: [long], steps: 8 };
  ledger.requireSteps(passes, [
    { pass: 0, ranges: [[0, 3]] },
    { pass: 0, ranges: [[3, 7]] },
  ]);
  expect(() => ledger.requireSteps(passes, [{ pass: 0, ranges: [[0, 4]] }])).toThrow(
    violation(/checkpoint holds \[0, 7\) as committed; the commit log, \[0, 4\)/),
  );
  expect(() => ledger.requireSteps(passes, [{ pass: 3, ranges: [[0, 4]] }])).toThrow(violation(/tells of pass 3/));
});
