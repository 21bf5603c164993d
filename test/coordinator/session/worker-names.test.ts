// Names of workers where one process names them, and where several do.

import { expect, test } from "vitest";
import { numberedFrom } from "../../../coordinator/session/worker-names.ts";

const five = (names: () => string) => Array.from({ length: 5 }, names);

test("workers are called w1, w2 and so on", () => {
  expect(five(numberedFrom(1))).toEqual(["w1", "w2", "w3", "w4", "w5"]);
});

test("gateways that count beside one another give no name twice", () => {
  const names = [1, 2, 3].flatMap((gateway) => five(numberedFrom(gateway, 3)));
  expect(new Set(names).size).toBe(15);
});
