// VOT's rectangles and polygons.

import path from "node:path";
import { expect, test } from "vitest";
import { openSequences } from "../../../coordinator/sequences/open-sequences.ts";
import { requireSize } from "../../../coordinator/sequences/sequence.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";
import { boxLines, emptyFrames, textFile } from "./sequence-folder.ts";

async function votFolder(truth: string, frames: number, folder = "color") {
  const root = await scratchFolder();
  await textFile(path.join(root, "list.txt"), "bag\n");
  await textFile(path.join(root, "bag", "groundtruth.txt"), truth);
  await emptyFrames(path.join(root, "bag", folder), frames, { digits: 8 });
  return root;
}

test("A18 a line of VOT is a rectangle or a polygon, which becomes its extremes or a rectangle of its area", async () => {
  // A square of side 10·√2 on its corner, around (20, 30): its extremes are 20 wide, a square of its area 14.14.
  const root = await votFolder("1,2,3,4\n20,20,30,30,20,40,10,30\n", 2);
  const [still, extremes] = (await (await openSequences("vot", root, { polygon: "extremes" })).read("bag")).boxes;
  expect(still).toEqual({ x: 1, y: 2, w: 3, h: 4 });
  expect(extremes).toEqual({ x: 10, y: 20, w: 20, h: 20 });
  const { x, w, h } = (await (await openSequences("vot", root)).read("bag")).boxes[1];
  expect(w).toBeCloseTo(10 * Math.SQRT2 + 1, 12);
  expect(h).toBe(w);
  expect(x).toBeCloseTo(20 - w / 2, 12);
});

test("A19 VOT's frames lie in the sequence's folder or in color; lines of another count, and masks, are refused by name", async () => {
  expect((await (await openSequences("vot", await votFolder(boxLines(3), 3, ""))).read("bag")).frames).toHaveLength(3);
  const read = async (truth: string) => (await openSequences("vot", await votFolder(truth, 3))).read("bag");
  await expect(read(boxLines(2))).rejects.toThrow("bag has 3 frames and 2 lines of groundtruth.txt");
  await expect(read("m1,2,3,4,5\n")).rejects.toThrow(/has masks/);
  await expect(read("1,2,3,4,5\n")).rejects.toThrow("expected 4 or 8 numbers");
});

test("A20 a frame of another size than the first is refused by the sequence's name and the frame's", () => {
  const sequence = { name: "bag", frames: ["/a/1.jpg", "/a/2.jpg"] };
  expect(() => requireSize(sequence, 1, { width: 4, height: 3 }, { width: 4, height: 3 })).not.toThrow();
  expect(() => requireSize(sequence, 1, { width: 4, height: 3 }, { width: 3, height: 4 })).toThrow(
    "bag: frame 2 (/a/2.jpg) is 3 × 4 pixels, the first 4 × 3",
  );
});
