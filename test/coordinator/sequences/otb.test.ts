// OTB with its exceptions, under the real names and with the real counts.

import path from "node:path";
import { expect, test } from "vitest";
import { openOtb, otbNames, otbPart, otbSpellings } from "../../../coordinator/sequences/otb.ts";
import { otbLists } from "../../../coordinator/sequences/otb-lists.ts";
import { parseBoxes } from "../../../coordinator/sequences/read-lines.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";
import { renderTrackingData } from "../../fixtures/tracking-sequences.ts";
import { boxLines, emptyFrames, numbersOf, textFile } from "./sequence-folder.ts";

const boxes = (count: number) => parseBoxes(boxLines(count), "boxes");

test("A7 numbers stand between commas, tabs or blanks, lines end in LF or CRLF, and blanks behind them are none", () => {
  const line = { x: 1, y: -2.5, w: 30, h: 40 };
  for (const text of [
    "1,-2.5,30,40\n",
    "1\t-2.5\t30\t40",
    "1 -2.5   30 40 \r\n",
    "1, -2.5, 30, 40\r\n\r\n",
    "\uFEFF1,-2.5,3e1,40.",
  ]) {
    expect(parseBoxes(text, "truth.txt")).toEqual([line]);
  }
  expect(() => parseBoxes("1,2,3,4\n1;2;3;4", "truth.txt")).toThrow(
    'truth.txt: line 2 is "1;2;3;4"; expected 4 numbers',
  );
  expect(() => parseBoxes("1,2,3", "truth.txt")).toThrow("expected 4 numbers");
});

test("A8 TB-100 is 98 videos and 100 sequences, TB-50 49 and 50, OTB-2013 50 and 51", () => {
  const counts = Object.values(otbLists).map((videos) => [new Set(videos).size, videos.flatMap(otbNames).length]);
  expect(counts).toEqual([
    [49, 50],
    [98, 100],
    [50, 51],
  ]);
});

test("A9 a video of two targets is two sequences, of Human4 the second file alone; results are found by three spellings", async () => {
  const { otb } = await renderTrackingData(await scratchFolder(), { train: 0, test: 1, frames: 6, quirks: true });
  const set = await openOtb(otb);
  expect(set.names).toEqual([
    "BlurCar3",
    "Board",
    "Clip01",
    "David",
    "Football1",
    "Human4-2",
    "Jogging-1",
    "Jogging-2",
    "Tiger1",
  ]);
  const [one, two] = [await set.read("Jogging-1"), await set.read("Jogging.2")];
  expect([one.video, two.video, two.name]).toEqual(["Jogging", "Jogging", "Jogging-2"]);
  expect(two.frames).toEqual(one.frames);
  expect(two.boxes).not.toEqual(one.boxes);
  expect((await set.read("Human4-2")).boxes).toEqual(one.boxes);
  expect((await set.read("Human4")).boxes).toEqual(one.boxes);
  expect(otbSpellings("Jogging_1")).toEqual(["Jogging-1", "Jogging.1", "Jogging_1"]);
  expect(otbSpellings("Human4-2")).toEqual(["Human4-2", "Human4.2", "Human4_2", "Human4"]);
  expect(otbSpellings("Car-1")).toEqual(["Car-1"]);
});

test.each([
  ["David", 770, 471, 300],
  ["Football1", 79, 74, 1],
  ["Freeman3", 470, 460, 1],
  ["Freeman4", 300, 283, 1],
  ["Diving", 231, 215, 1],
])("A10 of %s's %i images those with boxes are taken, %i from %i on", (video, images, lines, from) => {
  expect(otbPart(video, boxes(lines), images, 1)).toMatchObject({ from, boxes: { length: lines } });
  // As many images as boxes are of each other, and any other count is none that is known.
  expect(otbPart(video, boxes(lines), lines, 1)).toEqual({ boxes: boxes(lines) });
  expect(otbPart(video, boxes(lines - 1), images, 1)).toEqual({ boxes: boxes(lines - 1) });
});

test("A11 of Tiger1's 354 images and boxes the first five are left out, of fewer none", () => {
  const { boxes: kept, from } = otbPart("Tiger1", boxes(354), 354, 1);
  expect([kept.length, kept[0].x, from]).toEqual([349, 6, 6]);
  expect(otbPart("Tiger1", boxes(349), 354, 1)).toMatchObject({ from: 6, boxes: { length: 349 } });
  expect(otbPart("Tiger1", boxes(349), 349, 6)).toEqual({ boxes: boxes(349) });
});

test.each([
  ["BlurCar1", 247, 742, 4],
  ["BlurCar3", 3, 357, 4],
  ["BlurCar4", 18, 380, 4],
  ["Board", 1, 698, 5],
])("A12 %s begins with frame %i, of %i, in names of %i digits", async (video, first, count, digits) => {
  const root = await scratchFolder();
  await emptyFrames(path.join(root, video, "img"), count, { first, digits });
  await textFile(path.join(root, video, "groundtruth_rect.txt"), boxLines(count));
  const { frames } = await (await openOtb(root)).read(video);
  expect([numbersOf(frames)[0], frames.length]).toEqual([first, count]);
});

test("A13 frames may be PNG; a video whose boxes are not as many as its frames, or that is not there, is refused by name", async () => {
  const root = await scratchFolder();
  await emptyFrames(path.join(root, "KiteSurf", "img"), 3, { ending: "png" });
  await textFile(path.join(root, "KiteSurf", "groundtruth_rect.txt"), boxLines(3));
  const set = await openOtb(root);
  expect((await set.read("KiteSurf")).frames.map((frame) => path.extname(frame))).toEqual([".png", ".png", ".png"]);
  await textFile(path.join(root, "KiteSurf", "groundtruth_rect.txt"), boxLines(2));
  await expect(set.read("KiteSurf")).rejects.toThrow("KiteSurf has 3 frames and 2 boxes in groundtruth_rect.txt");
  const listed = await openOtb(root, "tb50");
  await expect(listed.read("Basketball")).rejects.toMatchObject({ code: "DATA_MISSING" });
  await expect(openOtb(root, "tb51")).rejects.toMatchObject({ code: "DATA_INVALID" });
});

test("frames are in the order of their numbers, whatever their digits", async () => {
  const root = await scratchFolder();
  await emptyFrames(path.join(root, "Long", "img"), 12, { digits: 1, first: 95 });
  await textFile(path.join(root, "Long", "groundtruth_rect.txt"), boxLines(12));
  const { frames } = await (await openOtb(root)).read("Long");
  expect(numbersOf(frames)).toEqual(Array.from({ length: 12 }, (_, i) => 95 + i));
});
