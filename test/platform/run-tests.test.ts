// Rules of the plain lines that close a test run: the last never looks better than the exit code.
import { expect, test } from "vitest";
import { closingLine, longestFiles } from "../../deploy/run-tests.mjs";

const file = (status: string, ...tests: string[]) => ({
  name: "/checkout/test/a.test.ts",
  status,
  startTime: 0,
  endTime: 0,
  assertionResults: tests.map((each) => ({ status: each })),
});

test.each([
  {
    what: "all that passed",
    files: [file("passed", "passed", "passed"), file("passed", "passed")],
    code: 0,
    line: "3 passed, 0 failed",
  },
  { what: "what failed", files: [file("failed", "passed", "failed")], code: 1, line: "1 passed, 1 failed" },
  {
    what: "what was skipped",
    files: [file("passed", "passed", "skipped", "todo")],
    code: 0,
    line: "1 passed, 0 failed, 2 skipped",
  },
  {
    what: "a file that did not load",
    files: [file("failed"), file("passed", "passed")],
    code: 1,
    line: "1 passed, 1 failed",
  },
  { what: "an error outside every test", files: [file("passed", "passed")], code: 1, line: "1 passed, 1 failed" },
])("closingLine counts $what", ({ files, code, line }) => {
  expect(closingLine({ testResults: files }, code)).toBe(line);
});

test("longestFiles names the twenty that took longest, the longest first, from where the checkout is", () => {
  const took = (name: string, endTime: number) => ({ ...file("passed"), name: `/checkout/test/${name}`, endTime });
  const short = Array.from({ length: 30 }, (_, i) => took(`short-${i}.test.ts`, i));
  const lines = longestFiles({ testResults: [...short, took("long.test.ts", 12_345)] }, "/checkout");
  expect(lines).toHaveLength(20);
  expect(lines.slice(0, 2)).toEqual(["   12.3 s  test/long.test.ts", "    0.0 s  test/short-29.test.ts"]);
  expect(longestFiles(undefined, "/checkout")).toEqual([]);
});

test("closingLine counts a run without a report as one failure", () => {
  expect(closingLine(undefined, 1)).toBe("0 passed, 1 failed");
});
