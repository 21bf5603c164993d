// The checker of a cluster's logs sees what it is there for.

import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { checkLogs } from "../../deploy/cluster/check-run.mjs";

type Fields = Readonly<Record<string, unknown>>;

/** A log of these records, chained as coordinators chain them. */
function logOf(...records: readonly Fields[]): string {
  let head = createHash("sha256").update("bitswarm commit log 2").digest("hex");
  return records
    .map((record) => {
      head = createHash("sha256").update(head).update(JSON.stringify(record)).digest("hex");
      return `${JSON.stringify({ ...record, h: head })}\n`;
    })
    .join("");
}

const step = (n: number, ranges: [number, number][], more: Fields = {}): Fields => ({
  type: "step",
  step: n,
  pass: 0,
  ranges,
  samples: ranges.reduce((sum, [from, to]) => sum + to - from, 0),
  paramsHash: String(n),
  fence: 1,
  ...more,
});
const [first, second] = [step(1, [[0, 8]]), step(2, [[8, 16]])];
const third = step(3, [[0, 8]], { pass: 1 });
const problemsOf = (...texts: readonly string[]) =>
  checkLogs(texts.map((text, index) => ({ name: `c-${index}`, text }))).problems.join();

test("checkLogs finds a log that is whole, and another that stopped before, to be one history", () => {
  const whole = logOf(first, second, third);
  expect(
    checkLogs([
      { name: "c-0", text: logOf(first) },
      { name: "c-1", text: whole },
    ]),
  ).toEqual({
    problems: [],
    steps: 3,
    samples: 24,
    leaders: [1],
    paramsHashes: ["1", "2", "3"],
  });
  expect(problemsOf(`${whole}{"unfinished`)).toBe("");
});

test("checkLogs counts steps after a resume in place of those that it left", () => {
  const resume = { type: "resume", fromStep: 1, checkpoint: "x", fence: 2 };
  const again = step(2, [[8, 16]], { fence: 2 });
  expect(problemsOf(logOf(first, second, resume, again))).toBe("");
});

test.each([
  [
    "another's hash",
    logOf(first, second).replace('"samples":8', '"samples":9'),
    /its hash is not over the line before/,
  ],
  ["a sample twice", logOf(first, step(2, [[4, 16]])), /\[4, 8\) of pass 0 are in twice/],
  ["a sample that is missing", logOf(first, step(2, [[12, 16]]), third), /\[8, 12\) of pass 0 are missing/],
  ["a step that is missing", logOf(first, step(3, [[8, 16]])), /step 3 stands where step 2 is due/],
  ["a number of samples", logOf(first, step(2, [[8, 16]], { samples: 9 })), /tells of 9 samples and names 8/],
  ["a writer that was replaced", logOf(step(1, [[0, 8]], { fence: 2 }), second), /writer 1 after writer 2/],
  ["a line that is none", `${logOf(first)}rubbish\n${logOf(second)}`, /line 2: it is no JSON/],
  [
    "a pass that ends early",
    logOf(first, second, third, step(4, [[0, 8]], { pass: 2 })),
    /pass 1 \(\) ends with sample 8, and others of its phase with 16/,
  ],
])("checkLogs sees %s", (_what, text, problem) => {
  expect(problemsOf(text)).toMatch(problem);
});

test.each([
  ["what is due", [first, second, step(3, [[0, 6]], { pass: 1 })], ""],
  [
    "a step in pieces",
    [
      step(1, [
        [0, 3],
        [3, 8],
      ]),
      second,
    ],
    "",
  ],
  [
    "fewer than a batch amid a pass",
    [step(1, [[0, 6]]), step(2, [[6, 14]])],
    "step 1 is of [0, 6), 6 samples, where 8 from 0 on are due",
  ],
  [
    "others than are next",
    [first, step(2, [[16, 24]]), step(3, [[8, 16]])],
    "step 2 is of [16, 24), 8 samples, where 8 from 8 on are due",
  ],
] as const)(
  "where a step leaves nothing to the next, checkLogs holds each to its batch: %s",
  (_what, records, problem) => {
    const { problems } = checkLogs([{ name: "c-0", text: logOf(...records) }], 8);
    if (problem === "") expect(problems).toEqual([]);
    else expect(problems.join()).toContain(problem);
  },
);

test("checkLogs begins after a repair, before which its log does not tell all", () => {
  const repair = { type: "repair", fromStep: 4, checkpoint: "x", ledger: {}, fence: 2 };
  expect(problemsOf(logOf(repair, step(5, [[32, 40]], { fence: 2 })))).toBe("");
  expect(problemsOf(logOf(repair, step(6, [[40, 48]], { fence: 2 })))).toMatch(/step 6 stands where step 5 is due/);
});

test("checkLogs sees two histories", () => {
  const other = logOf(first, step(2, [[8, 16]], { paramsHash: "other" }));
  expect(problemsOf(other, logOf(first, second, third))).toMatch(/c-0, line 2: another history than that of c-1/);
});
