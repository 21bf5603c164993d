// GOT-10k as it is published, read by its own rules.

import { rm } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { openGot10k, parseMeta, parseResolution } from "../../../coordinator/sequences/got10k.ts";
import { isSeen, requireFirstBox } from "../../../coordinator/sequences/sequence.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";
import { renderTrackingData } from "../../fixtures/tracking-sequences.ts";
import { boxLines, emptyFrames, numbersOf, textFile } from "./sequence-folder.ts";

async function oneSequence(files: Readonly<Record<string, string>>, split = "train", frames = 4) {
  const root = await scratchFolder();
  const name = `GOT-10k_${split === "train" ? "Train" : "Test"}_000001`;
  await textFile(path.join(root, split, "list.txt"), `${name}\n`);
  await emptyFrames(path.join(root, split, name), frames, { digits: 8 });
  for (const [file, text] of Object.entries(files)) await textFile(path.join(root, split, name, file), text);
  return { root, name, read: async () => (await openGot10k(root, split)).read(name) };
}

test("A1 a rendered GOT-10k has its list's sequences, with frames, boxes, labels, class and size of each", async () => {
  const { got10k, sequences } = await renderTrackingData(await scratchFolder(), { train: 1, test: 5, frames: 16 });
  const val = await openGot10k(got10k, "val");
  expect(val.names).toEqual(sequences.filter(({ split }) => split === "val").map(({ name }) => name));
  const absent = sequences.find(({ happening, split }) => happening === "absent" && split === "val");
  const read = await val.read(absent?.name ?? "");
  expect(numbersOf(read.frames)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
  expect(read).toMatchObject({
    secret: false,
    objectClass: absent?.objectClass,
    resolution: { width: 160, height: 120 },
  });
  const shown = absent?.frames.map(({ visible }) => visible > 0) ?? [];
  expect(shown).toContain(false);
  expect(read.frames.map((_, i) => isSeen(read, i))).toEqual(shown);
  expect(read.absent).toEqual(shown.map((seen) => !seen));
  expect(read.boxes[shown.indexOf(false)]).toEqual({ x: -1, y: -1, w: -1, h: -1 });
  const { x, y } = absent?.frames[0].box ?? { x: 0, y: 0 };
  expect(read.boxes[0]).toMatchObject({ x: x + 1, y: y + 1 });
});

test("A2 a sequence of test has its first box alone, and is secret; one of train with a line is refused", async () => {
  const { got10k } = await renderTrackingData(await scratchFolder(), { train: 0, test: 1, frames: 5 });
  const set = await openGot10k(got10k, "test");
  expect(await set.read(set.names[0])).toMatchObject({ secret: true, boxes: { length: 1 }, frames: { length: 5 } });
  const { read } = await oneSequence({ "groundtruth.txt": boxLines(1) });
  await expect(read()).rejects.toThrow(
    "GOT-10k_Train_000001 has 4 frames and 1 lines of groundtruth.txt; there must be as many",
  );
});

test("A3 images, boxes and labels that are not as many are refused by the sequence's name", async () => {
  const labels = { "groundtruth.txt": boxLines(4), "cover.label": "8\n8\n8\n" };
  await expect((await oneSequence(labels)).read()).rejects.toThrow(
    "GOT-10k_Train_000001 has 4 frames and 3 lines of cover.label",
  );
  const lost = await oneSequence({ "groundtruth.txt": boxLines(4) });
  await rm(path.join(lost.root, "train", lost.name, "00000003.jpg"));
  await expect(lost.read()).rejects.toMatchObject({
    code: "DATA_MISSING",
    message: expect.stringMatching(/frame 3 is not in .*1 after it are/),
  });
});

test("A4 a sequence of the list that no archive brought is DATA_MISSING, and says that train has many archives", async () => {
  const { root } = await oneSequence({ "groundtruth.txt": boxLines(4) });
  await textFile(path.join(root, "train", "list.txt"), "GOT-10k_Train_000001\nGOT-10k_Train_009335\n");
  const set = await openGot10k(root, "train");
  await expect(set.read("GOT-10k_Train_009335")).rejects.toMatchObject({
    code: "DATA_MISSING",
    message: expect.stringContaining("GOT-10k_Train_split_NN.zip, each whole on its own"),
  });
});

test("A5 sequences of train that are known to be wrong are told by name", async () => {
  const root = await scratchFolder();
  const names = ["008622", "008623", "008637", "008638", "009058", "009059", "000385", "000602"];
  await textFile(path.join(root, "train", "list.txt"), names.map((name) => `GOT-10k_Train_${name}\n`).join(""));
  const { flawed } = await openGot10k(root, "train");
  expect([...flawed.keys()].map((name) => name.slice(-6)).sort()).toEqual([
    "000385",
    "000602",
    "008623",
    "008637",
    "009058",
    "009059",
  ]);
});

test("A6 a target is seen where it is neither absent nor covered and its box has an area", async () => {
  const { read } = await oneSequence({
    "groundtruth.txt": "1,1,5,5\n1,1,5,5\n-1,-1,-1,-1\n4,4,0,9\n",
    "absence.label": "0\n1\n0\n0\n",
    "cover.label": "0\n8\n8\n8\n",
  });
  const sequence = await read();
  expect(sequence.frames.map((_, i) => isSeen(sequence, i))).toEqual([false, false, false, false]);
  expect(() => requireFirstBox(sequence)).toThrow(
    /GOT-10k_Train_000001: its first box is 1, 1, 5, 5, and the target is marked as absent/,
  );
});

test("meta_info.ini is key: value lines", () => {
  const meta = parseMeta(
    "[METAINFO]\r\nurl: https://a.b/c?d\r\nobject_class: snow bird\r\nresolution: (1920, 1080)\r\n",
  );
  expect(meta.get("url")).toBe("https://a.b/c?d");
  expect(meta.get("object_class")).toBe("snow bird");
  expect(parseResolution(meta.get("resolution"))).toEqual({ width: 1920, height: 1080 });
  expect(parseResolution("1920x1080")).toBeUndefined();
});

test("the folder of a list itself is taken as well as the one above it, and one without a list by its folders", async () => {
  const { root, name } = await oneSequence({ "groundtruth.txt": boxLines(4) });
  expect((await openGot10k(path.join(root, "train"), "train")).names).toEqual([name]);
  await rm(path.join(root, "train", "list.txt"));
  expect((await openGot10k(root, "train")).names).toEqual([name]);
  await expect(openGot10k(root, "val")).rejects.toMatchObject({ code: "DATA_MISSING" });
});

test.each(["../elsewhere", "a/b", "a\n a"])("a name %j of a list is refused", async (names) => {
  const root = await scratchFolder();
  await textFile(path.join(root, "val", "list.txt"), names);
  await expect(openGot10k(root, "val")).rejects.toMatchObject({ code: "DATA_INVALID" });
});
