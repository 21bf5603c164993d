import { expect, test } from "vitest";
import { roundHalfEven } from "../../../../shared/model/methods/round-half-even.ts";

test("a tie goes to the even neighbour, everything else to the nearest", () => {
  expect([0.5, 1.5, 2.5, -0.5, -1.5, 0.49, 2.51, -2.4, 7].map((x) => roundHalfEven(x) + 0)).toEqual([
    0, 2, 2, 0, -2, 0, 3, -2, 7,
  ]);
});
