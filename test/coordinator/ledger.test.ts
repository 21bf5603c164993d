// Rules of the ledger: each sample of each pass exactly once.
import fc from "fast-check";
import { expect, test } from "vitest";
import { Ledger } from "../../coordinator/ledger.ts";
import { advance, tinyState } from "../fixtures/tiny-run.ts";

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

test("after each step it holds exactly that many batches, and any other step is refused", () => {
  const state = tinyState();
  const ledger = new Ledger();
  while (state.step < program.steps) {
    advance(state, ledger);
    for (let step = 0; step <= program.steps; step++) {
      if (step === state.step) ledger.check(program, step, config.batch);
      else expect(() => ledger.check(program, step, config.batch)).toThrow(violation(/pass \d/));
    }
  }
  ledger.commit({ ...teacher, index: 99 }, [[0, 1]]);
  expect(() => ledger.check(program, program.steps, config.batch)).toThrow(violation(/pass 99/));
});
