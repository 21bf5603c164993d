// Rules of importing films: what becomes of a sequence, which frames are kept, and what is rejected.

import { cp, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import type { ImportEvent } from "../../../coordinator/import/import-event.ts";
import { recogniseSource } from "../../../coordinator/import/layouts/recognise.ts";
import { clipSheet } from "../../../coordinator/inspect/clip-sheet.ts";
import { clipViews } from "../../../coordinator/inspect/clip-views.ts";
import { verifyStore } from "../../../coordinator/inspect/verify-store.ts";
import { LocalStore } from "../../../coordinator/store/local-store.ts";
import { readClip } from "../../../shared/data/clip.ts";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import { centreOf } from "../../../shared/tracking/box.ts";
import { cropBytes, cropSides, cropWindow, meanColour } from "../../../shared/tracking/crop.ts";
import { usableFrames } from "../../../shared/tracking/pairs.ts";
import { filesOf, imported, storedSamples, storeManifest } from "../../fixtures/imported.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";
import { coverLevel, renderTrackingData } from "../../fixtures/tracking-sequences.ts";
import { boxLines, emptyFrames, textFile } from "../sequences/sequence-folder.ts";

const size = { width: 160, height: 120 };

test("A31 a sequence of GOT-10k is a clip: of its usable frames the square around the target, cut and resized once", async () => {
  const { got10k, sequences } = await renderTrackingData(await scratchFolder(), {
    ...{ train: 3, test: 5, frames: 14 },
    format: "png",
  });
  const { folder, summary } = await imported(got10k, { workers: 1, options: { quality: 100 } });
  expect(summary).toMatchObject({ media: "clip", rejected: 0, splits: { train: { samples: 3 }, val: { samples: 5 } } });
  const manifest = await storeManifest(folder);
  expect(manifest).toMatchObject({ shape: { h: 255, w: 255, c: 3 }, options: { crops: 64 } });
  const jpeg = await createJpegDecoder(jpegModule());
  for (const split of ["train", "val"] as const) {
    const samples = await storedSamples(folder, split);
    const wanted = sequences.filter((sequence) => sequence.split === split);
    expect(samples.map(({ name }) => name).sort()).toEqual(wanted.map(({ name }) => name));
    for (const { name, label, content } of samples) {
      const { frames, objectClass } = wanted.find((sequence) => sequence.name === name) as (typeof wanted)[number];
      expect(manifest.classes[label].name).toBe(objectClass);
      const clip = readClip(content, name);
      const cover = frames.map(({ visible }) => coverLevel(visible));
      const within = frames.map(({ box: { x, y, w, h } }) => ({
        ...{ x: Math.max(0, x), y: Math.max(0, y) },
        w: Math.min(160, x + w) - Math.max(0, x),
        h: Math.min(120, y + h) - Math.max(0, y),
      }));
      const usable = usableFrames(within, size, cover);
      expect(clip.frames).toEqual(frames.flatMap((_, i) => (usable[i] && frames[i].visible > 0 ? [i] : [])));
      const index = clip.frames.length - 1;
      const { frame, width, height, jpeg: bytes } = clip.crop(index);
      const file = path.join(got10k, split, name, `${String(frame + 1).padStart(8, "0")}.png`);
      const image = { ...size, rgb: await sharp(file).raw().toBuffer() };
      const { search } = cropSides(within[frame]);
      const crop = cropBytes(image, cropWindow(centreOf(within[frame], 0), search), meanColour(image), 255);
      const seen = jpeg.decode(bytes).rgb;
      const apart = crop.reduce((sum, value, i) => sum + Math.abs(value - seen[i]), 0) / crop.length;
      // What JPEG of this quality leaves.
      expect(apart).toBeLessThan(3);
      expect([width, height]).toEqual(
        [within[frame].w, within[frame].h].map((side) => Math.fround((side * 255) / search)),
      );
    }
  }
});

test("A32 an import of films that is stopped goes on to the same bytes, whatever threads there are", async () => {
  const { got10k } = await renderTrackingData(await scratchFolder(), { train: 3, test: 1, frames: 5 });
  const whole = await filesOf((await imported(got10k, { workers: 1 })).folder);
  const out = path.join(await scratchFolder(), "store");
  const stop = new AbortController();
  let now = 0;
  let seen = 0;
  const first = await imported(
    got10k,
    { out, workers: 1 },
    {
      signal: stop.signal,
      now: () => (now += 2500),
      tell: ({ type }) => type === "progress" && ++seen === 2 && stop.abort(),
    },
  );
  expect(first.summary).toBeUndefined();
  const { events } = await imported(got10k, { out, workers: 2 });
  expect(events.map(({ type }) => type)).toContain("resumed");
  expect(await filesOf(out)).toEqual(whole);
});

test("A33 a sequence whose frames and boxes contradict each other, that is not there, or cannot be learned from, is rejected by name", async () => {
  const { got10k } = await renderTrackingData(await scratchFolder(), { train: 5, test: 1, frames: 6 });
  const at = (number: number, ...file: string[]) => path.join(got10k, "train", `GOT-10k_Train_00000${number}`, ...file);
  await rm(at(1, "00000006.jpg"));
  await rm(at(2), { recursive: true });
  await writeFile(at(3, "00000002.jpg"), await sharp(at(3, "00000002.jpg")).resize(80, 60).jpeg().toBuffer());
  await writeFile(at(4, "groundtruth.txt"), "1,1,3,3\n".repeat(6));
  const list = path.join(got10k, "train", "list.txt");
  await writeFile(list, `${await readFile(list, "utf8")}GOT-10k_Train_008623\n`);
  const out = path.join(await scratchFolder(), "store");
  const told: string[] = [];
  const tell = (event: ImportEvent) => {
    if (event.type === "rejected") told.push(`${event.source}: ${event.why}`);
    if (event.type === "notice") notices.push(event.message);
  };
  const notices: string[] = [];
  const few = { kind: "share", share: 0.0001 } as const;
  await expect(imported(got10k, { out, workers: 1, limitRejects: few }, { tell })).rejects.toMatchObject({
    code: "IMPORT_REJECTS",
  });
  expect(told.sort()).toEqual([
    expect.stringMatching(/^GOT-10k_Train_000001: .* has 5 frames and 6 lines of groundtruth.txt/),
    expect.stringMatching(/^GOT-10k_Train_000002: .*GOT-10k_Train_split_NN.zip, each whole on its own/),
    expect.stringMatching(/^GOT-10k_Train_000003: .*frame 2 .* is 80 × 60 pixels, the first 160 × 120/),
    expect.stringMatching(/^GOT-10k_Train_000004: 0 of its 6 frames can be learned from/),
  ]);
  expect(notices.join("\n")).toMatch(
    /1 file is passed over: GOT-10k_Train_008623 \(known to be wrong: its boxes are off\)/,
  );
  // The same command goes on without them.
  await imported(got10k, { out, workers: 1 });
  expect((await storedSamples(out, "train")).map(({ name }) => name)).toEqual(["GOT-10k_Train_000005"]);
});

test("A34 where a data set has no val, whole videos are held out, and targets of one video stay together", async () => {
  const root = path.join(await scratchFolder(), "otb");
  const { otb } = await renderTrackingData(await scratchFolder(), { train: 0, test: 1, frames: 4 });
  for (const video of ["Jogging", "Skating2", ...Array.from({ length: 6 }, (_, i) => `Video${i}`)]) {
    await cp(path.join(otb, "Clip01", "img"), path.join(root, video, "img"), { recursive: true });
    const truth = await readFile(path.join(otb, "Clip01", "groundtruth_rect.txt"), "utf8");
    const names = video.startsWith("Video")
      ? ["groundtruth_rect.txt"]
      : ["groundtruth_rect.1.txt", "groundtruth_rect.2.txt"];
    for (const name of names) await writeFile(path.join(root, video, name), truth);
  }
  for (let seed = 0; seed < 2; seed++) {
    const { folder } = await imported(root, { workers: 1, options: { holdout: 0.5, seed, crops: 2 } });
    const [train, val] = await Promise.all((["train", "val"] as const).map((split) => storedSamples(folder, split)));
    expect(train.length + val.length).toBe(10);
    const videos = (samples: typeof train) => new Set(samples.map(({ name }) => name.replace(/-\d$/, "")));
    expect([...videos(train)].filter((video) => videos(val).has(video))).toEqual([]);
    for (const { content, name } of val) expect(readClip(content, name).frames).toHaveLength(2);
  }
});

test("A41 of two films or more one at least is held out, and not all; of one film alone an import says what to do", async () => {
  const { got10k } = await renderTrackingData(await scratchFolder(), { train: 2, test: 0, frames: 3 });
  await rm(path.join(got10k, "val"), { recursive: true, force: true });
  const options = { crops: 2 };
  for (const holdout of [0.0001, 0.9]) {
    const { summary } = await imported(got10k, { workers: 1, options: { ...options, holdout } });
    expect(summary?.splits, `${holdout}`).toMatchObject({ train: { samples: 1 }, val: { samples: 1 } });
  }
  await writeFile(path.join(got10k, "train", "list.txt"), "GOT-10k_Train_000002\n");
  const { summary, events } = await imported(got10k, { workers: 1, options });
  expect(summary?.splits).toMatchObject({ train: { samples: 1 } });
  const notices = events.flatMap((event) => (event.type === "notice" ? [event.message] : []));
  expect(notices.at(-1)).toMatch(/no video is held out as val: the source has one video alone.*add videos/);
});

test("A35 the layouts of tracking are told apart, and from folders of pictures", async () => {
  const { got10k, otb, uav123 } = await renderTrackingData(await scratchFolder(), { train: 1, test: 1, frames: 2 });
  const vot = await scratchFolder();
  await textFile(path.join(vot, "bag", "groundtruth.txt"), boxLines(2));
  await emptyFrames(path.join(vot, "bag", "color"), 2, { digits: 8 });
  const kinds = await Promise.all(
    [got10k, otb, uav123, vot].map(async (root) => (await recogniseSource(root)).layout.kind),
  );
  expect(kinds).toEqual(["got10k", "otb", "uav123", "vot"]);
  await expect(recogniseSource(path.join(got10k, "val"), "vot")).rejects.toThrow(/is not of layout vot/);
  // Nor is a list of several sequences a folder of classes.
  await cp(path.join(got10k, "val", "GOT-10k_Val_000001"), path.join(got10k, "val", "GOT-10k_Val_000002"), {
    recursive: true,
  });
  await expect(recogniseSource(path.join(got10k, "val"))).rejects.toThrow(/list of GOT-10k: give the folder above it/);
});

test("A36 a store of clips is inspected, drawn with the target's box, and verified down to each crop", async () => {
  const { uav123 } = await renderTrackingData(await scratchFolder(), { train: 0, test: 3, frames: 6 });
  const { folder } = await imported(uav123, { workers: 1, options: { holdout: 0.4, seed: 3 } });
  const store = new LocalStore(folder);
  const manifest = await store.manifest();
  const sheet = await sharp(await clipSheet(store, manifest, "train")).metadata();
  expect([sheet.width, sheet.height]).toEqual([200 + 8 * 132, 4 + 132 * manifest.splits.train.samples]);
  const { facts, png } = await clipViews(
    store,
    manifest,
    { split: "train", sample: 0, epoch: 2 },
    { seed: 1, phase: "student" },
  );
  expect(facts.pairs.map(({ epoch }) => epoch)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
  for (const { exemplar, search } of facts.pairs)
    expect(facts.frames.indexOf(exemplar.frame)).toBeLessThan(facts.frames.indexOf(search.frame));
  expect((await sharp(await png()).metadata()).width).toBe(6 + 2 * (127 + 239 + 12));
  const damages: string[] = [];
  const options = { decode: true, onDamage: (what: string) => damages.push(what) };
  expect(await verifyStore(store, options)).toMatchObject({ damages: 0 });
  const odd = { where: folder, manifest: async () => ({ ...manifest, shape: { h: 200, w: 200, c: 3 } }) };
  const narrow = Object.assign(Object.create(store) as LocalStore, odd, {
    range: store.range.bind(store),
    sideFile: store.sideFile.bind(store),
  });
  expect((await verifyStore(narrow, options)).damages).toBeGreaterThan(0);
  expect(damages[0]).toMatch(/train: sample 0 .* its crop of frame \d+ has 255 × 255 pixels; expected 200 × 200/);
});
