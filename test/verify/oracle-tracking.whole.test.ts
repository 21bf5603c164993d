// Every oracle case of tracking in the runtimes that workers have: in Deno each, in Chromium what has kernels, one of
// two in turn, with `npm run test:long` each.
import { describe, expect, test } from "vitest";
import { inRotation } from "../fixtures/in-rotation.ts";
import { caseFiles, computedBefore, expectAgreement, runtimes } from "./case-reports.ts";

const all = caseFiles("oracle-tracking");
const onDevices = all.filter((name) => /xcorr|balanced_logistic|siamfc/.test(name));

describe.each(runtimes)("in %s", (runtime) => {
  const names = runtime === "deno" ? all : inRotation(onDevices, 0, 2);
  const reports = computedBefore(runtime, "oracle-tracking", names);

  test.each(names)("%s agrees with PyTorch and NumPy in float64", (name) => {
    expectAgreement(reports().get(name));
  });

  test("all of them were compared", () => {
    expect([all.length, onDevices.length]).toEqual([40, 10]);
    expect(reports().size).toBe(names.length);
  });
});
