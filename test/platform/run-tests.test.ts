// Rules of the plain line that closes a test run: it never looks better than the exit code.
import { expect, test } from "vitest";
import { closingLine } from "../../deploy/run-tests.mjs";

const file = (status: string, ...tests: string[]) => ({
  status,
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

test("closingLine counts a run without a report as one failure", () => {
  expect(closingLine(undefined, 1)).toBe("0 passed, 1 failed");
});
