// UAV123's names and where their frames begin, and UAV20L's.

import path from "node:path";
import { expect, test } from "vitest";
import { isSeen, requireFirstBox } from "../../../coordinator/sequences/sequence.ts";
import { openUav, uavPlace } from "../../../coordinator/sequences/uav123.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";
import { renderTrackingData } from "../../fixtures/tracking-sequences.ts";
import { boxLines, emptyFrames, numbersOf, textFile } from "./sequence-folder.ts";

/** Lines of the files of boxes, as published. */
const lines: Readonly<Record<string, number>> = {
  person7_1: 1249,
  person7_2: 817,
  group2_1: 907,
  group2_2: 865,
  uav1_1: 1555,
};
const countOf = async (name: string) => lines[name] ?? Number.NaN;

test.each([
  ["bike1", "bike1", 1],
  ["person7_1", "person7", 1],
  ["person7_2", "person7", 1249],
  ["group2_3", "group2", 907 + 864],
  ["bird1_2", "bird1", 775],
  ["bird1_3", "bird1", 1573],
  ["uav1_2", "uav1", 1555],
  ["uav1_3", "uav1", 2473],
  ["car1_s", "car1_s", 1],
  ["person1_s", "person1_s", 1],
])("A14 the frames of %s are those of folder %s from %i on", async (name, folder, start) => {
  expect(await uavPlace(name, countOf)).toEqual({ folder, start });
});

test("A15 an absent target is NaN in any case of letters, and a sequence that begins so is refused by name", async () => {
  const root = await scratchFolder();
  await emptyFrames(path.join(root, "data_seq", "UAV123", "boat1"), 3, { digits: 6 });
  await textFile(path.join(root, "anno", "UAV123", "boat1.txt"), "nan,NAN,NaN,nAn\n1,2,3,4\nNaN,NaN,NaN,NaN\n");
  const sequence = await (await openUav(root)).read("boat1");
  expect(sequence.frames.map((_, i) => isSeen(sequence, i))).toEqual([false, true, false]);
  expect(() => requireFirstBox(sequence)).toThrow(/boat1: its first box is NaN, NaN, NaN, NaN; a tracker needs one/);
});

test("A16 parts of a folder share a frame; UAV20L is the whole folder from 1 on; a frame too few is DATA_MISSING by name", async () => {
  const { uav123 } = await renderTrackingData(await scratchFolder(), { train: 0, test: 2, frames: 9 });
  const set = await openUav(uav123);
  expect(set.names).toEqual(["clip02", "pair_1", "pair_2"]);
  const [one, two] = [await set.read("pair_1"), await set.read("pair_2")];
  expect(one.frames.at(-1)).toBe(two.frames[0]);
  expect(one.boxes.at(-1)).toEqual(two.boxes[0]);
  expect(one.frames.length + two.frames.length).toBe(10);
  expect([one.video, two.video]).toEqual(["pair", "pair"]);
  const long = await (await openUav(uav123, "uav20l")).read("pair");
  expect(numbersOf(long.frames)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await textFile(path.join(uav123, "anno", "UAV123", "pair_2.txt"), boxLines(8));
  await expect(set.read("pair_2")).rejects.toMatchObject({
    code: "DATA_MISSING",
    message: expect.stringMatching(/^pair_2: frame 10 is not in .*its 8 boxes are of frames 4 to 11/),
  });
});

test("A17 a table sequences.json says where frames begin, in the place of the rule", async () => {
  const root = await scratchFolder();
  await emptyFrames(path.join(root, "data_seq", "UAV123", "duo"), 6, { digits: 6 });
  for (const name of ["duo_1", "duo_2"]) await textFile(path.join(root, "anno", "UAV123", `${name}.txt`), boxLines(3));
  const table = { duo_1: { folder: "duo", start: 1, end: 3 }, duo_2: { folder: "duo", start: 4, end: 6 } };
  await textFile(path.join(root, "sequences.json"), JSON.stringify(table));
  expect(numbersOf((await (await openUav(root)).read("duo_2")).frames)).toEqual([4, 5, 6]);
  await textFile(path.join(root, "sequences.json"), JSON.stringify({ duo_2: { ...table.duo_2, end: 7 } }));
  const set = await openUav(root);
  await expect(set.read("duo_2")).rejects.toThrow("duo_2 has 3 boxes, and sequences.json has it from frame 4 to 7");
  expect(numbersOf((await set.read("duo_1")).frames)).toEqual([1, 2, 3]);
});
