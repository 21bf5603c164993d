// What a store says of itself, and the pictures of it.

import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { contentHash } from "../../../coordinator/disk/content-hash.ts";
import { thumbnail } from "../../../coordinator/inspect/contact-sheet.ts";
import { LONGEST_LINE } from "../../../coordinator/inspect/list-lines.ts";
import { SHOWN_EPOCHS } from "../../../coordinator/inspect/sample-views.ts";
import { type InspectOptions, inspectCommand } from "../../../coordinator/program/store-commands.ts";
import type { StoreManifest } from "../../../coordinator/store/manifest.ts";
import { rng } from "../../../shared/base/rng.ts";
import { randomResizedCrop } from "../../../shared/image/crops.ts";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import { drawPlacement } from "../../../shared/tasks/pixels.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";
import { pictureStore } from "../../fixtures/picture-store.ts";
import { noiseSamples, writeStoreFolder } from "../../fixtures/store-folder.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const parts = pictureStore(4);

/** Rewrites a side file and its hash in the manifest. */
async function rewrite(folder: string, name: string, text: string, fields: Partial<StoreManifest> = {}) {
  const path = join(folder, "manifest.json");
  const manifest = JSON.parse(await readFile(path, "utf8"));
  const bytes = new TextEncoder().encode(text);
  manifest.files[name] = { sha256: contentHash(bytes), bytes: bytes.length };
  await writeFile(join(folder, name), bytes);
  await writeFile(path, JSON.stringify({ ...manifest, ...fields }));
}

async function inspected(folder: string, options: Partial<InspectOptions> = {}): Promise<string> {
  const usual = { split: "train", epoch: 0, seed: 0, phase: "student", size: 224 };
  let text = "";
  await inspectCommand(folder, { ...usual, ...options }, async (piece) => {
    text += piece;
  });
  return text;
}

test("I5 inspect says classes, counts, sizes and hashes, and as JSON what was converted and rejected", async () => {
  const folder = await scratchFolder();
  const manifest = await writeStoreFolder(folder, parts);
  const odd = (n: number) => JSON.stringify({ split: "train", source: `a/${n}.JPEG`, why: "CMYK" });
  await rewrite(folder, "converted.ndjson", `${odd(1)}\n${odd(2)}\n`, { converted: 2 });
  await rewrite(folder, "rejected.ndjson", `${odd(3)}\n`, { converted: 2, rejected: 1 });
  expect(JSON.parse(await inspected(folder, { json: true }))).toEqual({
    splits: { train: { samples: 20 }, val: { samples: 10 } },
    classes: manifest.classes,
    converted: [1, 2].map((n) => ({ source: `a/${n}.JPEG`, why: "CMYK" })),
    rejected: [{ source: "a/3.JPEG", why: "CMYK" }],
  });
  const text = await inspected(folder);
  expect(text).toContain("train: 20 samples, 2 a class");
  expect(text).toContain("val: 10 samples, 1 a class");
  expect(text).toContain(manifest.splits.train.shards[0].sha256);
  expect(text).toContain("  9  class 9  2 + 1");
  expect(text).toContain("train: a/3.JPEG: CMYK");
});

test("I6 --labels prints a line a sample and nothing else; val, validation and test are what is held out", async () => {
  const folder = await scratchFolder();
  await writeStoreFolder(folder, parts);
  const train = await inspected(folder, { labels: "train" });
  expect(train).toBe(await readFile(join(folder, "samples-train.tsv"), "utf8"));
  expect(train.split("\n")[0]).toBe("0\ttrain/0");
  const held = await readFile(join(folder, "samples-val.tsv"), "utf8");
  for (const labels of ["val", "validation", "test"]) expect(await inspected(folder, { labels })).toBe(held);
  await expect(inspected(folder, { labels: "dev" })).rejects.toThrow(/no split named "dev"; there are train, val/);
  await expect(inspected(folder, { labels: "val", json: true })).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});

test("I6 a store with a test split alone gives that by each of the three names", async () => {
  const folder = await scratchFolder();
  await writeStoreFolder(folder, { ...parts, splits: { train: parts.splits.train, test: parts.splits.val } });
  for (const labels of ["val", "validation", "test"])
    expect((await inspected(folder, { labels })).split("\n")[0]).toMatch(/^\d+\ttest\/0$/);
});

test("a list that is damaged is refused, by its line", async () => {
  const folder = await scratchFolder();
  await writeStoreFolder(folder, parts);
  await appendFile(join(folder, "samples-train.tsv"), "no label\n");
  await expect(inspected(folder, { labels: "train" })).rejects.toThrow(/samples-train.tsv: line 21 is not a label/);
  await writeFile(join(folder, "samples-train.tsv"), "1\tcut");
  await expect(inspected(folder, { labels: "train" })).rejects.toThrow(/line 1 has no end/);
  await writeFile(join(folder, "samples-train.tsv"), `1\t${"x".repeat(LONGEST_LINE)}\n`);
  await expect(inspected(folder, { labels: "train" })).rejects.toThrow(/line 1 is longer than 65536/);
});

test("I7 a contact sheet has a row a class, of its first samples in the store's order", async () => {
  const folder = await scratchFolder();
  await writeStoreFolder(folder, parts);
  const file = join(folder, "sheet.png");
  await inspected(folder, { sheet: file });
  const { data, info } = await sharp(await readFile(file))
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  expect(info).toMatchObject({ width: 190 + 2 * 100, height: 4 + 10 * 100, channels: 3 });
  const decoder = await createJpegDecoder(jpegModule());
  const label = 6;
  const first = parts.splits.train.find(({ target }) => target[0] === label)!;
  const { rgb } = thumbnail(decoder.decode(first.content), 96);
  for (const row of [0, 50, 95]) {
    const at = 3 * ((4 + label * 100 + row) * info.width + 190);
    expect(Buffer.compare(data.subarray(at, at + 288), rgb.subarray(288 * row, 288 * (row + 1)))).toBe(0);
  }
});

test("I8 --sample of a store of pixels shows where crop-flip moves them", async () => {
  const folder = await scratchFolder();
  const grey = { h: 20, w: 30, c: 1 };
  await writeStoreFolder(folder, {
    ...parts,
    media: "pixels",
    shape: grey,
    mean: [0.5],
    std: [0.5],
    splits: { train: noiseSamples(30, grey, 10) },
  });
  const file = join(folder, "sheet.png");
  expect(await inspected(folder, { sheet: file })).toContain("pixels, 30 × 20 × 1");
  expect((await sharp(await readFile(file)).metadata()).height).toBe(1004);
  const views = join(folder, "views.png");
  const facts = JSON.parse(await inspected(folder, { sample: 3, epoch: 2, seed: 4, sheet: views, json: true }));
  expect(facts).toMatchObject({ sample: 3, label: 3, width: 30, height: 20 });
  expect(facts.views).toHaveLength(SHOWN_EPOCHS);
  for (const { epoch, top, left, flip } of facts.views)
    expect({ top, left, flip }).toEqual(drawPlacement(rng(4, "augment", "student", epoch, 3), 0));
  expect((await sharp(await readFile(views)).metadata()).height).toBe(6 + 2 * (4 * 20 + 6));
  expect(await inspected(folder, { sample: 3 })).toMatch(/epoch 0: moved by -?\d+, -?\d+/);
});

test("I8 --sample shows the boxes that a run of that seed draws, epoch by epoch", async () => {
  const folder = await scratchFolder();
  await writeStoreFolder(folder, parts);
  const file = join(folder, "views.png");
  const options = { sample: 13, epoch: 5, seed: 9, size: 64, sheet: file };
  const facts = JSON.parse(await inspected(folder, { ...options, json: true }));
  const { width, height } = (await createJpegDecoder(jpegModule())).decode(parts.splits.train[13]!.content);
  expect(facts).toMatchObject({ split: "train", sample: 13, label: parts.splits.train[13]!.target[0], width, height });
  expect(facts.views).toHaveLength(SHOWN_EPOCHS);
  for (const { epoch, box } of facts.views)
    expect(box).toEqual(randomResizedCrop(rng(9, "augment", "student", epoch, 13), width, height));
  expect(facts.views[0].epoch).toBe(5);
  expect((await sharp(await readFile(file)).metadata()).height).toBe(6 + 2 * 70);
  expect(await inspected(folder, options)).toContain("  epoch 12: ");
  // What is held out is seen alike in each epoch.
  const held = JSON.parse(await inspected(folder, { ...options, split: "val", sample: 2, json: true }));
  expect(
    new Set(held.views.map(({ box, flip }: { box: object; flip: boolean }) => JSON.stringify([box, flip]))).size,
  ).toBe(1);
  await expect(inspected(folder, { sample: 20 })).rejects.toThrow(/no sample 20 in train .* it has 20/);
});
