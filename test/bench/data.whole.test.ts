// The data's bench runs, and what it measures is right: the pixels are Pillow's where Python has it.
import { expect, test } from "vitest";
import { benchData } from "./data.ts";
import type { ImagesLine, Line } from "./line.ts";

test("decoding is measured, beside Pillow where it is found, with the same bytes", async () => {
  const lines: Line[] = [];
  await benchData(["decode"], { rounds: 1 }, async (line) => void lines.push(line));
  const images = lines.filter((line): line is ImagesLine => line.record === "images");
  expect(images).toHaveLength(2);
  for (const { perSecond, beside, ratio, sameBytes } of images) {
    expect(perSecond).toBeGreaterThan(1);
    expect(sameBytes ?? true).toBe(true);
    expect(beside === undefined).toBe(ratio === undefined);
  }
  expect(lines.some(({ record }) => record === "note")).toBe(images[0]!.beside === undefined);
});
