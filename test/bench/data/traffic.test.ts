// What the bench of traffic must find, as DATA's own simulation did: first come fetches the set once, and who is asked
// first by what it holds fetches less the more it keeps.

import { expect, test } from "vitest";
import type { Line } from "../line.ts";
import { benchTraffic } from "./traffic.ts";

test("whom holders of large caches are asked first fetches half of the set, who comes first nearly all", async () => {
  const sets = new Map<string, number>();
  const emit = async (line: Line) => {
    if (line.record === "traffic") sets.set(line.name, line.sets);
  };
  await benchTraffic(emit, [50], [4], [32]);
  expect(sets.get("chunks of 32, first come")).toBeCloseTo(0.96, 1);
  expect(sets.get("chunks of 32, holders first")).toBeLessThan(0.6);
});
