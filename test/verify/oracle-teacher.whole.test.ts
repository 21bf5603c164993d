// Every oracle case of a pre-trained teacher in every runtime that workers have.
import { describe, expect, test } from "vitest";
import { caseFiles, computedBefore, expectAgreement, runtimes } from "./case-reports.ts";

const names = caseFiles("oracle-teacher");

describe.each(runtimes)("in %s", (runtime) => {
  const reports = computedBefore(runtime, "oracle-teacher", names);

  test.each(names)("%s: a teacher from PyTorch gives PyTorch's logits and maps", (name) => {
    // Logits twice, and each map with its mean.
    expectAgreement(reports().get(name), 6);
  });

  test("there are four cases", () => {
    expect(names.length).toBe(4);
  });
});
