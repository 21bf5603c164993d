// Rules of the error feedback that a worker keeps.
import { expect, test } from "vitest";
import { Residuals } from "../../../worker/trainer/residuals.ts";

test("a residual is handed on from lease to lease of its kind", () => {
  const residuals = new Residuals();
  residuals.of("student", 8, 5).fill(3);
  residuals.of("teacher", 4, 5).fill(7);
  expect([...residuals.of("student", 8, 5)]).toEqual(Array(8).fill(3));
});

test("a new era starts at zero, and so do another layout and what was forgotten", () => {
  const residuals = new Residuals();
  residuals.of("student", 8, 5).fill(3);
  expect([...residuals.of("student", 8, 6)]).toEqual(Array(8).fill(0));
  residuals.of("student", 8, 6).fill(3);
  expect([...residuals.of("student", 9, 6)]).toEqual(Array(9).fill(0));
  residuals.of("student", 9, 6).fill(3);
  residuals.forget("student");
  residuals.forget("never seen");
  expect([...residuals.of("student", 9, 6)]).toEqual(Array(9).fill(0));
});
