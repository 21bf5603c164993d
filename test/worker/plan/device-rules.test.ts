// The two halves of a method agree: who says that workers have its rule has one in the workers' table, and nobody else.
import { expect, test } from "vitest";
import { methods } from "../../../shared/model/methods/methods.ts";
import { deviceRules } from "../../../worker/plan/device-rules.ts";

test("the methods with a device rule are those in the workers' table", () => {
  const able = methods.entries.filter(({ deviceRule }) => deviceRule).map(({ kind }) => kind);
  expect(able).toEqual(deviceRules.kinds);
});
