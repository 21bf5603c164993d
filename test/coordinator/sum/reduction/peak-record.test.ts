// Rules of what a round remembers of its contributions' sizes.
import { expect, test } from "vitest";
import { PeakRecord } from "../../../../coordinator/sum/reduction/peak-record.ts";
import { codecs } from "../../../../shared/codecs/codecs.ts";
import { layoutOf } from "../../../fixtures/codec-cases.ts";

const layout = layoutOf({ n0: 4, w0: 64 });
const bits = (...values: number[]) => new Uint32Array(Float32Array.from(values).buffer);

function recorded(codec: "sign" | "int8", reports: readonly (readonly [number, number])[]) {
  const record = new PeakRecord(codecs.get(codec), layout);
  for (const report of reports) record.add(bits(...report));
  return [...record.values()];
}

test("the largest of each tensor is kept, in whatever order they come", () => {
  expect(
    recorded("int8", [
      [1, 5],
      [3, 2],
      [2, 9],
    ]),
  ).toEqual([3, 9]);
  expect(recorded("int8", [])).toEqual([0, 0]);
});

test("of means that signs report the lower median is kept: one wild report does not decide", () => {
  expect(
    recorded("sign", [
      [1, 5],
      [3, 1e30],
      [2, 2],
    ]),
  ).toEqual([3, 5]);
  expect(
    recorded("sign", [
      [2, 2],
      [3, 1e30],
      [1, 5],
      [0, 1],
    ]),
  ).toEqual([3, 2]);
});

test("what is not finite, is negative or of another number is refused with the tensor's name", () => {
  const record = new PeakRecord(codecs.get("sign"), layout);
  for (const wrong of [Infinity, NaN, -1, -0]) {
    expect(() => record.check(bits(1, wrong))).toThrow(
      expect.objectContaining({ code: "GRADIENT_NOT_FINITE", message: expect.stringContaining("w0") }),
    );
  }
  expect(() => record.check(bits(1))).toThrow(expect.objectContaining({ code: "CONTRIBUTION_MISMATCH" }));
});
