// Every oracle case of the repository in every runtime that workers have, as part of the tests.
import { describe, test } from "vitest";
import { caseFiles, computedBefore, expectAgreement, runtimes } from "./case-reports.ts";

const names = caseFiles("oracle");

describe.each(runtimes)("in %s", (runtime) => {
  const reports = computedBefore(runtime, "oracle", names);

  test.each(names)("%s agrees with PyTorch in float64", (name) => {
    expectAgreement(reports().get(name));
  });
});
