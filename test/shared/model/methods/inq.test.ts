// INQ's levels, and its portions: what is frozen stays, and its levels stay those of the first portion.
import { describe, expect, test } from "vitest";
import { rng } from "../../../../shared/base/rng.ts";
import { freeze } from "../../../../shared/model/methods/inq.ts";
import { methods } from "../../../../shared/model/methods/methods.ts";
import { greatestPower, nearestPower, powerLevels } from "../../../../shared/model/methods/powers-of-two.ts";
import { parseConfig } from "../../../../shared/run/config.ts";

describe("levels", () => {
  test("the greatest power is ⌊log2(4/3 · max|W|)⌋, exact at its edges", () => {
    const of = (most: number) => greatestPower(Float32Array.of(0.001, -most));
    expect([0.75, 1.4999999, 1.5, 3, 0.1875, 0.18749999].map(of)).toEqual([0, 0, 1, 2, -2, -3]);
    expect(greatestPower(new Float32Array(3))).toBeUndefined();
  });

  test("b bits have 2^(b−1)/2 magnitudes, and 0", () => {
    expect(powerLevels(0, 5)).toEqual({ greatest: 0, least: -7 });
    expect(powerLevels(-3, 3)).toEqual({ greatest: -3, least: -4 });
    expect(powerLevels(2, 2)).toEqual({ greatest: 2, least: 2 });
  });

  test("a value goes to the nearest level, from the middle up, or down as in the code", () => {
    const levels = powerLevels(0, 4);
    const all = [0, 1, 0.75, 0.74, 0.375, 0.1, 0.0625, 0.06, 5, -0.75, -0.3];
    expect(all.map((w) => nearestPower(w, levels, "up"))).toEqual([0, 1, 1, 0.5, 0.5, 0.125, 0.125, 0, 1, -1, -0.25]);
    expect([0.75, 0.375, 0.0625, -0.75].map((w) => nearestPower(w, levels, "down"))).toEqual([0.5, 0.25, 0, -0.5]);
  });

  test("no level is nearer than the one that a value goes to", () => {
    const draw = rng(7);
    const levels = powerLevels(1, 5);
    const all = [0, ...Array.from({ length: 8 }, (_, i) => 2 ** (1 - i))].flatMap((p) => [p, -p]);
    for (let i = 0; i < 500; i++) {
      const w = draw.normal();
      const least = Math.min(...all.map((p) => Math.abs(w - p)));
      expect(Math.abs(w - nearestPower(w, levels, "up"))).toBe(least);
    }
  });
});

describe("portions", () => {
  const draw = rng(3);
  const shape = [4, 1, 1, 10] as const;
  const layer = () => ({
    shape,
    weight: Float32Array.from({ length: 40 }, () => draw.normal()),
    companions: { frozen: new Float32Array(40), n1: new Float32Array(1) },
  });
  const partition = (portion: number) => ({ portion, bits: 5, ties: "up" }) as const;

  test("the greatest are frozen first, and are levels then; the others are as they were", () => {
    const one = layer();
    const before = one.weight.slice();
    freeze(one, partition(0.37));
    const { frozen, n1 } = one.companions;
    expect(frozen.reduce((a, b) => a + b, 0)).toBe(14);
    const sizes = (value: number) => [...before].filter((_, i) => frozen[i] === value).map(Math.abs);
    expect(Math.min(...sizes(1))).toBeGreaterThanOrEqual(Math.max(...sizes(0)));
    const levels = powerLevels(n1[0], 5);
    one.weight.forEach((w, i) => {
      expect(w).toBe(frozen[i] === 1 ? nearestPower(before[i], levels, "up") : before[i]);
    });
  });

  test("a later portion adds to the frozen ones, by the first portion's levels", () => {
    const one = layer();
    freeze(one, partition(0.5));
    const [first, frozen, n1] = [one.weight.slice(), one.companions.frozen.slice(), one.companions.n1[0]];
    for (let i = 0; i < 40; i++) if (frozen[i] === 0) one.weight[i] *= 64;
    freeze(one, partition(1));
    expect(one.companions.n1[0]).toBe(n1);
    one.weight.forEach((w, i) => {
      if (frozen[i] === 1) expect(w).toBe(first[i]);
      else expect(Math.abs(w)).toBeLessThanOrEqual(2 ** n1);
    });
    expect([...one.companions.frozen]).toEqual(Array.from({ length: 40 }, () => 1));
  });

  test("of equal weights the first are frozen, and just as many as the portion has", () => {
    const one = layer();
    one.weight.set([2, -1, 1, -1, 1, 0.5, 1]);
    one.weight.fill(0.25, 7);
    freeze(one, partition(0.1));
    expect([...one.companions.frozen.slice(0, 7)]).toEqual([1, 1, 1, 1, 0, 0, 0]);
    expect(one.companions.frozen.reduce((a, b) => a + b, 0)).toBe(4);
  });

  test("an update moves no frozen weight", () => {
    const one = layer();
    freeze(one, partition(0.5));
    const previous = one.weight.slice();
    const { rule } = methods.get("inq").create({ kind: "inq" });
    one.weight.forEach((w, i) => {
      one.weight[i] = w + 1;
    });
    rule!.settle!(one, previous);
    one.weight.forEach((w, i) => {
      expect(w).toBe(one.companions.frozen[i] === 1 ? previous[i] : Math.fround(previous[i] + 1));
    });
  });

  test.each([[[0.5, 0.5, 1]], [[1, 0.5]], [[0.5, 0.75]], [[0.9]]])(
    "portions of %j, which do not rise to 1, are refused",
    (portions) => {
      expect(() => parseConfig({ method: { kind: "inq", portions }, epochs: 8 })).toThrow(
        /method\.portions: must rise.* end at 1/,
      );
    },
  );
});
