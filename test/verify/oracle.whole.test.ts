// Every oracle case of the repository in the runtimes that workers have: in Deno each, in Chromium one of two in turn,
// with `npm run test:long` each.
import { describe, expect, test } from "vitest";
import { inRotation } from "../fixtures/in-rotation.ts";
import { caseFiles, computedBefore, expectAgreement, runtimes } from "./case-reports.ts";

const all = caseFiles("oracle");

describe.each(runtimes)("in %s", (runtime) => {
  const names = runtime === "deno" ? all : inRotation(all, 0, 2);
  const reports = computedBefore(runtime, "oracle", names);

  test.each(names)("%s agrees with PyTorch in float64", (name) => {
    expectAgreement(reports().get(name));
  });

  test("all of them were compared", () => {
    expect(all.length).toBeGreaterThan(20);
    expect(reports().size).toBe(names.length);
  });
});
