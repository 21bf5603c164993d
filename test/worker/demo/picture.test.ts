// A drawing is made like what the network learned from, and a photograph is seen with light and dark the right way.

import { expect, test } from "vitest";
import { drawnBox, drawnShare, fitted, looksSwapped, rgbaOf, swapped } from "../../../worker/demo/picture.ts";

/** Grey pixels by rows of digits, of which 9 is white. */
function pixels(...rows: readonly string[]) {
  const data = Uint8Array.from(rows.join(""), (digit) => Math.round((255 * Number(digit)) / 9));
  return { data, width: rows[0].length, height: rows.length };
}

test("the box of a drawing has all that is drawn and no more; an empty field has none", () => {
  expect(drawnBox(pixels("00000", "00090", "09000", "00000"))).toEqual({ x: 1, y: 1, w: 3, h: 2 });
  expect(drawnBox(pixels("9"))).toEqual({ x: 0, y: 0, w: 1, h: 1 });
  expect(drawnBox(pixels("0000", "0010"))).toBeUndefined();
});

test("a drawing is put into the middle, its longer side as long as the data set has it, its ratio kept", () => {
  const tall = fitted({ x: 100, y: 20, w: 30, h: 60 }, 280, 0.5);
  expect(tall).toEqual({ x: 105, y: 70, w: 70, h: 140 });
  expect(tall.w / tall.h).toBe(30 / 60);
  expect(drawnShare(["0", "1", "9"])).toBeCloseTo(20 / 28);
  expect(drawnShare(["T-shirt/top", "Trouser"])).toBeCloseTo(26 / 28);
});

test("a picture on white looks swapped to a network that learned from pictures on black, and to no other", () => {
  const onWhite = pixels("9999", "9009", "9999");
  const onBlack = pixels("0000", "0990", "0000");
  expect(looksSwapped(onWhite, 0.286)).toBe(true);
  expect(looksSwapped(onBlack, 0.286)).toBe(false);
  expect(looksSwapped(onWhite, 0.6)).toBe(false);
  expect([...swapped(onWhite.data)]).toEqual([...onBlack.data]);
});

test("grey and coloured pixels come to a canvas opaque, in their colours", () => {
  expect([...rgbaOf(Uint8Array.of(7, 8), 1)]).toEqual([7, 7, 7, 255, 8, 8, 8, 255]);
  expect([...rgbaOf(Uint8Array.of(1, 2, 3), 3)]).toEqual([1, 2, 3, 255]);
});
