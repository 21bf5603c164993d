// Boxes are torchvision's, from arithmetic that every engine rounds alike.
import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { evaluationGeometry, randomResizedCrop } from "../../../shared/image/crops.ts";
import { exponential, logarithm } from "../../../shared/image/elementary.ts";

test("exp and ln are within two units in the last place of the true ones", () => {
  const draws = rng(1, "elementary");
  for (let i = 0; i < 20_000; i++) {
    const x = (draws.uniform() - 0.5) * (i % 2 ? 0.6 : 1300);
    expect(Math.abs(exponential(x) / Math.exp(x) - 1)).toBeLessThan(2 ** -51);
    const y = i % 2 ? 0.5 + draws.uniform() : Math.exp(x / 2);
    expect(Math.abs(logarithm(y) - Math.log(y))).toBeLessThanOrEqual(Math.abs(Math.log(y)) * 2 ** -51);
  }
  expect([exponential(0), logarithm(1)]).toEqual([1, 0]);
  expect(() => exponential(701)).toThrow(RangeError);
  expect(() => logarithm(0)).toThrow(RangeError);
});

/** torchvision's get_params, with the engine's exp and log. */
function reference(seed: number, width: number, height: number) {
  const draws = rng(seed, "crop");
  const [low, high] = [Math.log(3 / 4), Math.log(4 / 3)];
  const even = (v: number) => {
    const floor = Math.floor(v);
    return v - floor === 0.5 ? floor + (floor & 1) : Math.round(v);
  };
  for (let i = 0; i < 10; i++) {
    const target = width * height * (0.08 + 0.92 * draws.uniform());
    const ratio = Math.exp(low + (high - low) * draws.uniform());
    const w = even(Math.sqrt(target * ratio));
    const h = even(Math.sqrt(target / ratio));
    if (w > 0 && w <= width && h > 0 && h <= height) {
      const y = draws.below(height - h + 1);
      return { x: draws.below(width - w + 1), y, w, h };
    }
  }
  return undefined;
}

test("I4 a random crop is the one that exact exp and ln would give", () => {
  let fitted = 0;
  for (let i = 0; i < 5000; i++) {
    const [width, height] = [17 + (i % 600), 23 + ((i * 7) % 500)];
    const expected = reference(i, width, height);
    if (expected === undefined) continue;
    fitted += 1;
    expect(randomResizedCrop(rng(i, "crop"), width, height)).toEqual(expected);
  }
  expect(fitted).toBeGreaterThan(4000);
});

test("areas are uniform from 8 % to all, and so are logarithms of ratios", () => {
  const crops = Array.from({ length: 20_000 }, (_, i) => randomResizedCrop(rng(i), 1000, 1000));
  const areas = crops.map(({ w, h }) => (w * h) / 1e6).sort((a, b) => a - b);
  // Large boxes that do not fit are drawn again, so only the lower half is uniform as it stands.
  const below = (share: number) => areas.filter((area) => area < share).length / areas.length;
  expect(areas[0]).toBeGreaterThan(0.079);
  expect(below(0.34) / below(0.6)).toBeCloseTo(0.5, 1);
  const wide = crops.filter(({ w, h }) => w > h).length / crops.length;
  expect(wide).toBeCloseTo(0.5, 1);
  for (const { x, y, w, h } of crops) {
    expect(w / h).toBeGreaterThan(0.74);
    expect(w / h).toBeLessThan(1.35);
    expect(x + w).toBeLessThanOrEqual(1000);
    expect(y + h).toBeLessThanOrEqual(1000);
  }
});

test("I4 where ten tries do not fit, it is the centre, clamped to the ratios", () => {
  const draws = () => rng(3);
  expect(randomResizedCrop(draws(), 500, 1)).toEqual({ x: 249, y: 0, w: 1, h: 1 });
  expect(randomResizedCrop(draws(), 1, 500)).toEqual({ x: 0, y: 249, w: 1, h: 1 });
  expect(randomResizedCrop(draws(), 65_500, 33)).toEqual({ x: 32_728, y: 0, w: 44, h: 33 });
  expect(randomResizedCrop(draws(), 30, 4000)).toEqual({ x: 0, y: 1980, w: 30, h: 40 });
});

test("smallest and largest share are the caller's", () => {
  for (let i = 0; i < 200; i++) {
    const { w, h } = randomResizedCrop(rng(i), 400, 300, { area: [0.35, 0.4], ratio: [1, 1] });
    expect(w).toBe(h);
    expect((w * h) / 120_000).toBeGreaterThan(0.345);
    expect((w * h) / 120_000).toBeLessThan(0.405);
  }
});

test("I4 draws are the same bits on every machine", () => {
  const hash = createHash("sha256");
  for (let i = 0; i < 3000; i++) {
    const { x, y, w, h } = randomResizedCrop(rng("boxes", i), 1 + (i % 700), 500);
    hash.update(`${x} ${y} ${w} ${h}\n`);
  }
  expect(hash.digest("hex")).toBe("ed18aa9cca40baf64c82e14c4b861642dabaec58970fea5778fafff0b194a3b1");
});

test("evaluation: the shorter side, the other rounded down, and the centre, half to even", () => {
  expect(evaluationGeometry(500, 375, 256, 224)).toEqual({
    size: { width: 341, height: 256 },
    window: { x: 58, y: 16, w: 224, h: 224 },
  });
  expect(evaluationGeometry(375, 500, 256, 224).size).toEqual({ width: 256, height: 341 });
  // (343 − 224) / 2 = 59.5 is 60, the even one.
  expect(evaluationGeometry(343, 256, 256, 224).window.x).toBe(60);
  expect(evaluationGeometry(10, 10, 256, 224)).toEqual({
    size: { width: 256, height: 256 },
    window: { x: 16, y: 16, w: 224, h: 224 },
  });
  expect(evaluationGeometry(1, 500, 256, 224).size).toEqual({ width: 256, height: 128_000 });
  expect(() => evaluationGeometry(10, 10, 200, 224)).toThrow(RangeError);
});
