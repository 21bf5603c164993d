// Which gateways give back work, so that all of them end together.

import { expect, test } from "vitest";
import { type GatewayLoad, givingBack } from "../../../coordinator/gateway/balance.ts";

const gateway = (id: string, fields: Partial<GatewayLoad> = {}): GatewayLoad => ({
  id,
  speed: 1000,
  workers: 10,
  open: 5000,
  free: 3000,
  ...fields,
});
const back = (...loads: GatewayLoad[]) => Object.fromEntries(givingBack(loads));

test("Q71 nothing is moved while everybody has enough before it, or all of them end together", () => {
  expect(back()).toEqual({});
  expect(back(gateway("a"), gateway("b", { open: 9000, free: 8000 }))).toEqual({});
  expect(back(gateway("a", { open: 800, free: 0 }), gateway("b", { open: 900, free: 400 }))).toEqual({});
});

test("Q71 what others would be done with sooner is given back, of what nobody has begun", () => {
  // All of them together need 2.5 s more.
  expect(back(gateway("a", { open: 500, free: 0 }), gateway("b", { open: 4500, free: 4000 }))).toEqual({ b: 2000 });
  // Volunteers hold the most of it.
  expect(back(gateway("a", { open: 500, free: 0 }), gateway("b", { open: 4500, free: 1000 }))).toEqual({ b: 0 });
  // Twice as fast, it has no more than its part.
  expect(back(gateway("a", { open: 500, free: 0 }), gateway("b", { speed: 9000, open: 4500, free: 4000 }))).toEqual({});
});

test("Q71 volunteers that nobody has measured count as the mean, and where nobody was nothing is moved", () => {
  const fresh = gateway("b", { speed: 0, workers: 20, open: 9000, free: 9000 });
  // 9,500 samples of 3,000 a second: the newcomers' part of them is 6,333.
  expect(back(gateway("a", { open: 500, free: 0 }), fresh)).toEqual({ b: 6334 });
  expect(back(gateway("a", { speed: 0, open: 500, free: 0 }), fresh)).toEqual({});
  expect(back(gateway("a", { open: 500, free: 0 }), gateway("b", { speed: 0, workers: 0, free: 0 }))).toEqual({});
});
