// TTQ's partition, its two planes and the gradients of its two values.
import { describe, expect, test } from "vitest";
import { methods } from "../../../../shared/model/methods/methods.ts";
import { ternaryCodes } from "../../../../shared/model/methods/ttq.ts";

const weight = Float32Array.of(1, 0.25, 0.2, 0, -0.2, -0.25, -0.75, 0.5);
const layer = { shape: [2, 1, 1, 4] as const, weight, companions: { c: Float32Array.of(2, 3) } };
const gradient = Float64Array.of(1, 10, 100, 1000, 1e4, 1e5, 1e6, 1e7);

function ruleOf(options: Record<string, unknown> = {}) {
  const plugin = methods.get("ttq");
  const { rule } = plugin.create(plugin.schema.parse({ kind: "ttq", threshold: 0.25, ...options }) as { kind: string });
  return rule!;
}

test("a weight beyond the threshold's share of the greatest is + or −, one on it or below is 0", () => {
  expect([...ternaryCodes(weight, 0.25)]).toEqual([1, 0, 0, 0, 0, 0, -1, 1]);
  expect([...ternaryCodes(weight, 0)]).toEqual([1, 1, 1, 0, -1, -1, -1, 1]);
});

test("the planes are signs, and a mask whose −1 is a weight of 0; both values begin at 1", () => {
  const planes = [...ruleOf().companion("planes", layer)];
  expect(planes.slice(0, 8)).toEqual([1, 1, 1, 1, 1, 1, -1, 1]);
  expect(planes.slice(8)).toEqual([1, -1, -1, -1, -1, -1, 1, 1]);
  expect([...ruleOf().companion("c", layer)]).toEqual([1, 1]);
});

describe("gradients", () => {
  test("of W are G by the value of its region, and by 1 where it is 0", () => {
    expect([...ruleOf().gradients(layer, gradient).weight]).toEqual([2, 10, 100, 1000, 1e4, 1e5, 3e6, 2e7]);
  });

  test("of the values are the sums over their weights, of the negative one with a minus, unless as printed", () => {
    expect([...ruleOf().gradients(layer, gradient).learned.c]).toEqual([1 + 1e7, -1e6]);
    expect([...ruleOf({ negativeGradient: "printed" }).gradients(layer, gradient).learned.c]).toEqual([1 + 1e7, 1e6]);
  });

  test("of the values are those of the loss Σ G W̃ in them", () => {
    const loss = (positive: number, negative: number) => {
      const codes = ternaryCodes(weight, 0.25);
      return gradient.reduce((sum, g, i) => sum + g * (codes[i] > 0 ? positive : codes[i] < 0 ? -negative : 0), 0);
    };
    const [positive, negative] = ruleOf().gradients(layer, gradient).learned.c;
    expect(positive).toBe(loss(3, 3) - loss(2, 3));
    expect(negative).toBe(loss(2, 4) - loss(2, 3));
  });
});
