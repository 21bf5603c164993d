// Rules of imports: what comes out of a source is what was in it, in an order that nothing but seed and names decides,
// and an import that was broken off goes on to the same bytes.

import { createHash } from "node:crypto";
import { appendFile, cp, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import path from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { requireClasses } from "../../../coordinator/import/import-checks.ts";
import type { ImportEvent } from "../../../coordinator/import/import-event.ts";
import { DEFAULT_REJECTS, parseRejectLimit } from "../../../coordinator/import/import-request.ts";
import { isOver } from "../../../coordinator/import/rejects.ts";
import type { BitswarmError } from "../../../shared/base/errors.ts";
import { imagenetFixtures } from "../../fixtures/imagenet-fixtures.ts";
import { filesOf, imported, storedSamples, storeManifest } from "../../fixtures/imported.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const { root, expected } = imagenetFixtures();
const folders = path.join(root, "imagefolder");
const rejects = Object.values(expected.bad).filter(({ verdict }) => verdict === "reject").length;
const converts = Object.values(expected.bad).filter(({ verdict }) => verdict === "convert").length;
const { train: trained, val: held } = expected.layouts.imagefolder;
const files = Object.keys(trained).length + Object.keys(held).length;
const lines = async (file: string) =>
  (await readFile(file, "utf8"))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { split: string; source: string; why: string });

test("I25 an image folder with odd files becomes a store that has them all: used, converted or listed", async () => {
  const { folder, summary, events } = await imported(folders);
  const labels = expected.layouts.imagefolder;
  const kept = (await storedSamples(folder, "train")).map(({ name, label }) => [path.basename(name), label]);
  const good = Object.entries(labels.train).filter(([name]) => expected.bad[name]?.verdict !== "reject");
  expect(Object.fromEntries(kept)).toEqual(Object.fromEntries(good));
  expect(kept.length).toBe(good.length);
  const held = (await storedSamples(folder, "val")).map(({ name, label }) => [path.basename(name), label]);
  expect(Object.fromEntries(held)).toEqual(labels.val);
  const manifest = await storeManifest(folder);
  expect(manifest.classes.map(({ id, name }) => id ?? name)).toEqual(expected.classes.map(({ wnid }) => wnid));
  expect(manifest).toMatchObject({ rejected: rejects, converted: converts, media: "image/jpeg" });
  for (const [file, verdict] of [
    ["rejected.ndjson", "reject"],
    ["converted.ndjson", "convert"],
  ]) {
    const names = (await lines(path.join(folder, file))).map(({ source }) => path.basename(source));
    expect(names.sort()).toEqual(
      Object.keys(expected.bad)
        .filter((name) => expected.bad[name].verdict === verdict)
        .sort(),
    );
  }
  expect(summary).toMatchObject({ rejected: rejects, converted: converts, classes: 10, already: false });
  expect(events.find(({ type }) => type === "recognised")).toMatchObject({ layout: "imagefolder", classes: 10 });
  expect(
    events
      .filter(({ type }) => type === "notice")
      .map((event) => (event as { message: string }).message)
      .join("\n"),
  ).toMatch(/passed over: .*\.DS_Store/s);
  expect((await readdir(folder)).sort()).toEqual([
    "converted.ndjson",
    "manifest.json",
    "rejected.ndjson",
    "samples-train.tsv",
    "samples-val.tsv",
    "shards",
  ]);
});

/** A source of `classes` folders of so many drawn pictures, each of its own bytes; no other split unless named. */
async function drawnFolders(classes: number, each: number, split = ""): Promise<string> {
  const folder = path.join(await scratchFolder(), "pictures");
  for (let label = 0; label < classes; label++) {
    const within = path.join(folder, split, `class-${label}`);
    await mkdir(within, { recursive: true });
    for (let i = 0; i < each; i++) {
      const pixels = Uint8Array.from({ length: 3 * 24 * 20 }, (_, at) => (at * (label + 2) + i * 31) & 255);
      const image = sharp(pixels, { raw: { width: 24, height: 20, channels: 3 } });
      await writeFile(path.join(within, `${i}.jpg`), await image.jpeg().toBuffer());
    }
  }
  return folder;
}

const notices = (events: readonly ImportEvent[]) =>
  events.flatMap((event) => (event.type === "notice" ? [event.message] : [])).join("\n");

test("I25 the order of a split is by a hash of seed, split and name, and neighbours are not of one class", async () => {
  const source = await drawnFolders(4, 40, "train");
  const one = await storedSamples((await imported(source, { options: { holdout: 0 } })).folder, "train");
  const keys = one.map(({ name }) => createHash("sha256").update(`0\ntrain\n${name}`).digest("hex"));
  expect(keys).toEqual([...keys].sort());
  const alike = one.filter(({ label }, i) => i > 0 && one[i - 1].label === label).length;
  expect(alike).toBeLessThan(one.length / 2);
  const other = await storedSamples((await imported(source, { options: { seed: 1, holdout: 0 } })).folder, "train");
  expect(other.map(({ name }) => name)).not.toEqual(one.map(({ name }) => name));
  expect(other.map(({ name }) => name).sort()).toEqual(one.map(({ name }) => name).sort());
});

test.each([{ chunk: 1 }, { chunk: 5 }, { short: 64 }])(
  "I25 the options %o are kept, and every sample with them",
  async (options) => {
    const { folder } = await imported(folders, { options });
    expect((await storeManifest(folder)).options).toMatchObject(options);
    expect((await storedSamples(folder, "val")).length).toBe(Object.keys(expected.layouts.imagefolder.val).length);
  },
);

test("I26 a store is the same for one thread and three, and the second time", async () => {
  const one = await filesOf((await imported(folders, { workers: 1 })).folder);
  expect(await filesOf((await imported(folders, { workers: 3 })).folder)).toEqual(one);
  expect(await filesOf((await imported(folders, { workers: 3 })).folder)).toEqual(one);
});

test("I26 an import that is stopped at any event goes on to the same bytes", async () => {
  const whole = await imported(folders);
  const expectedFiles = await filesOf(whole.folder);
  const told = whole.events.length;
  for (const at of [1, 4, 9, 25]) {
    const out = path.join(await scratchFolder(), "store");
    const stop = new AbortController();
    let seen = 0;
    // Progress is told after each file.
    let now = 0;
    const tell = () => {
      if (++seen === at) stop.abort();
    };
    const first = await imported(folders, { out, workers: 1 }, { signal: stop.signal, tell, now: () => (now += 250) });
    if (at < told) expect(first.summary).toBeUndefined();
    const second = await imported(folders, { out });
    expect(second.summary?.already).toBe(first.summary !== undefined);
    expect(await filesOf(out)).toEqual(expectedFiles);
  }
});

test("I26 what was written after the journal is cut off", async () => {
  const out = path.join(await scratchFolder(), "store");
  const stop = new AbortController();
  let now = 0;
  await imported(
    folders,
    { out },
    { signal: stop.signal, now: () => (now += 250), tell: ({ type }) => type === "progress" && stop.abort() },
  );
  const working = path.join(out, "unfinished");
  for (const name of await readdir(working)) {
    if (/\.(entries|contents|ndjson)$/.test(name)) await appendFile(path.join(working, name), "torn by a kill");
  }
  await writeFile(path.join(out, "shards", "writing"), "half a shard");
  const { events } = await imported(folders, { out });
  expect(events.find(({ type }) => type === "resumed")).toMatchObject({ share: expect.closeTo(0.1, 0) });
  expect(await filesOf(out)).toEqual(await filesOf((await imported(folders)).folder));
});

test("I26 an import that ended between its last shard and its manifest is finished, whichever lists were moved", async () => {
  const whole = await filesOf((await imported(folders)).folder);
  for (const moved of [
    [],
    ["converted.ndjson"],
    ["converted.ndjson", "rejected.ndjson", "samples-train.tsv", "samples-val.tsv"],
  ]) {
    const out = path.join(await scratchFolder(), "store");
    const stop = new AbortController();
    let now = 0;
    const tell = (event: ImportEvent) => {
      if (event.type === "progress" && event.doing === "writing" && event.share > 0.999) stop.abort();
    };
    expect(
      (await imported(folders, { out }, { signal: stop.signal, now: () => (now += 250), tell })).summary,
    ).toBeUndefined();
    for (const name of moved) await rename(path.join(out, "unfinished", name), path.join(out, name));
    expect((await imported(folders, { out })).summary).toMatchObject({ already: false });
    // Rejects are sorted before they are moved.
    expect({ ...(await filesOf(out)), "rejected.ndjson": "", "manifest.json": "" }).toEqual({
      ...whole,
      "rejected.ndjson": "",
      "manifest.json": "",
    });
  }
});

test("I26 an import of pixels that is stopped while it measures them goes on", async () => {
  const source = path.join(root, "cifar-10-batches-bin");
  const out = path.join(await scratchFolder(), "store");
  const stop = new AbortController();
  let checks = 0;
  // Behind the last question whether it goes on, and before the pixels are looked at.
  const signal = new Proxy(stop.signal, {
    get: (target, name) => {
      if (name === "throwIfAborted" && checks++ === 0) stop.abort();
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  expect((await imported(source, { out }, { signal })).summary).toBeUndefined();
  expect(checks).toBe(1);
  expect((await imported(source, { out })).summary).toMatchObject({ media: "pixels", already: false });
  expect(await filesOf(out)).toEqual(await filesOf((await imported(source)).folder));
});

test("I26 an unfinished store that lost what its journal speaks of is not gone on with", async () => {
  const out = path.join(await scratchFolder(), "store");
  const stop = new AbortController();
  let now = 0;
  let seen = 0;
  const tell = ({ type }: ImportEvent) => {
    if (type === "progress" && ++seen === 12) stop.abort();
  };
  await imported(folders, { out }, { signal: stop.signal, now: () => (now += 250), tell });
  await truncate(path.join(out, "unfinished", "train-00.contents"), 10);
  await expect(imported(folders, { out })).rejects.toThrow(/train-00.contents has 10 bytes, \d+ were written/);
  await writeFile(path.join(out, "unfinished", "journal.json"), "{}");
  await expect(imported(folders, { out })).rejects.toThrow(/journal.json is no journal that this program wrote/);
});

test("I27 the usual limit stops a small folder at its end, with all names and the option that suffices", async () => {
  const out = path.join(await scratchFolder(), "store");
  const usual = { out, limitRejects: parseRejectLimit(DEFAULT_REJECTS) };
  const error = await imported(folders, usual).catch((failure: BitswarmError) => failure);
  expect(error).toMatchObject({ code: "IMPORT_REJECTS" });
  const { message } = error as BitswarmError;
  expect(message).toContain(`${rejects} of ${files} files cannot be used; the limit is 0.01% (0 files)`);
  for (const [name, { verdict }] of Object.entries(expected.bad))
    expect(message.includes(name)).toBe(verdict === "reject");
  expect(message).toContain(`--limit-rejects ${rejects};`);
  // Again the same: nothing is read again, and it stops again.
  await expect(imported(folders, usual)).rejects.toThrow(/IMPORT_REJECTS|cannot be used/);
  const { summary, events } = await imported(folders, { ...usual, limitRejects: { kind: "count", count: rejects } });
  expect(summary?.rejected).toBe(rejects);
  expect(events.some(({ type }) => type === "rejected")).toBe(false);
  expect(await filesOf(out)).toEqual(await filesOf((await imported(folders)).folder));
});

test("I27 a number of files stops at the first beyond it", async () => {
  await expect(imported(folders, { limitRejects: { kind: "count", count: 1 } })).rejects.toThrow(
    /2 of \d+ files read so far .*the limit is 1 files:/s,
  );
});

test.each([
  [{ kind: "share", share: 0.0001 }, { files: 1_281_167, rejected: 128, ended: true }, false],
  [{ kind: "share", share: 0.0001 }, { files: 1_281_167, rejected: 129, ended: true }, true],
  [{ kind: "share", share: 0.0001 }, { files: 5, rejected: 1, total: 1_000_000 }, false],
  [{ kind: "share", share: 0.0001 }, { files: 500, rejected: 201, total: 1_000_000 }, true],
  [{ kind: "share", share: 0.5 }, { files: 10, rejected: 6 }, false],
  [{ kind: "share", share: 0.0001 }, { files: 1000, rejected: 900, share: 0.01 }, true],
  [{ kind: "share", share: 0.0001 }, { files: 1000, rejected: 90, share: 0.01 }, false],
  [{ kind: "share", share: 1 }, { files: 10, rejected: 10, ended: true }, false],
  [{ kind: "count", count: 3 }, { files: 10, rejected: 3, ended: true }, false],
  [{ kind: "count", count: 3 }, { files: 10, rejected: 4, total: 1_000_000 }, true],
] as const)("I27 the limit %o with %o is over: %s", (limit, so, over) => {
  expect(isOver(limit, { total: undefined, share: 0.5, ended: false, ...so })).toBe(over);
});

test.each([
  ["0.01%", { kind: "share", share: 0.0001 }],
  ["0", { kind: "count", count: 0 }],
  ["12", { kind: "count", count: 12 }],
  ["100%", { kind: "share", share: 1 }],
])("I27 %s is a limit", (text, limit) => {
  expect(parseRejectLimit(text)).toEqual(limit);
});

test.each(["", "-1", "101%", "0.5", "many", "1e9", "5 files"])("I27 %j is no limit", (text) => {
  expect(() => parseRejectLimit(text)).toThrow(/--limit-rejects is a share/);
});

test("I28 a store that is finished is not begun again, and is what it was", async () => {
  const { folder, summary } = await imported(folders);
  const before = await filesOf(folder);
  const again = await imported(folders, { out: folder });
  expect(again.summary).toEqual({ ...summary, already: true });
  expect(await filesOf(folder)).toEqual(before);
  await expect(imported(folders, { out: folder, options: { quality: 95, seed: 4 } })).rejects.toThrow(
    /is finished, and was made with --seed 0 --quality 90, and --seed, --quality now say otherwise/,
  );
});

test("I28 options and a source that differ from those of the beginning are refused by name", async () => {
  const out = path.join(await scratchFolder(), "store");
  const stopped = new AbortController();
  await imported(folders, { out }, { signal: stopped.signal, tell: () => stopped.abort() });
  await expect(imported(folders, { out, options: { short: 64, holdout: 0.2 } })).rejects.toThrow(
    /was begun with --short 256 --holdout 10%, and --short, --holdout now say otherwise/,
  );
  await expect(imported(await drawnFolders(3, 3, "train"), { out })).rejects.toThrow(
    /was begun from another source, or this one has changed since \(classes, splits\)/,
  );
});

test("I28 a second process is told who imports", async () => {
  const out = path.join(await scratchFolder(), "store");
  let second: Promise<unknown> | undefined;
  const first = imported(
    folders,
    { out },
    {
      now: () => performance.now(),
      tell: ({ type }) => {
        if (type === "progress") second ??= imported(folders, { out }).catch((error: BitswarmError) => error);
      },
    },
  );
  expect((await first).summary).toBeDefined();
  expect(await second).toMatchObject({
    code: "STORE_IN_USE",
    message: expect.stringContaining(`process ${process.pid}`),
  });
});

test("I28 a folder of other things is left alone, and so is the source", async () => {
  const out = await scratchFolder();
  await writeFile(path.join(out, "thesis.tex"), "…");
  await expect(imported(folders, { out })).rejects.toThrow(/has files in it and is no store/);
  await expect(imported(folders, { out: path.join(folders, "store") })).rejects.toThrow(/lies in the source/);
});

test("I28 a disk that is far too small is told before anything is read", async () => {
  const freeBytes = async () => 100_000;
  await expect(imported(folders, {}, { freeBytes })).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringMatching(/takes about .* more and .* has 97.7 KiB free/),
  });
  const { events } = await imported(folders, {}, { freeBytes: async () => 600_000 });
  expect(notices(events)).toMatch(/which may not suffice/);
});

test("I29 without another split a tenth is held out by its bytes, and equal ones stay together", async () => {
  const source = await drawnFolders(3, 60);
  const twin = await readFile(path.join(source, "class-0", "0.jpg"));
  for (let i = 0; i < 20; i++) await writeFile(path.join(source, "class-0", `copy-${i}.jpg`), twin);
  const { folder, events } = await imported(source);
  const [train, val] = [await storedSamples(folder, "train"), await storedSamples(folder, "val")];
  expect(train.length + val.length).toBe(200);
  expect(val.length).toBeGreaterThan(6);
  expect(val.length).toBeLessThan(60);
  const of = (samples: typeof train) => new Set(samples.map(({ content }) => Buffer.from(content).toString("base64")));
  expect([...of(val)].filter((content) => of(train).has(content))).toEqual([]);
  expect(notices(events)).toMatch(/no validation split: 10% of its images are held out as val/);
  const none = await imported(source, { options: { holdout: 0 } });
  expect(Object.keys((await storeManifest(none.folder)).splits)).toEqual(["train"]);
  expect(notices(none.events)).toMatch(/no held-out split, which a run needs/);
});

test("I30 a class that val lacks is told, and one whose images can only be tested; one that train does not know is an error", async () => {
  const source = await drawnFolders(3, 4, "train");
  await cp(path.join(source, "train", "class-0"), path.join(source, "val", "class-0"), { recursive: true });
  await cp(path.join(source, "train", "class-1"), path.join(source, "val", "class-1"), { recursive: true });
  await mkdir(path.join(source, "val", "class-2"));
  expect(notices((await imported(source)).events)).toMatch(/1 of 3 classes have no image in val: class-2/);
  await cp(path.join(source, "train", "class-2"), path.join(source, "val", "class-2"), { recursive: true });
  for (const name of await readdir(path.join(source, "train", "class-2")))
    await writeFile(path.join(source, "train", "class-2", name), "");
  expect(notices((await imported(source)).events)).toMatch(
    /1 of 3 classes have images in val and none in train, which nothing can learn: class-2/,
  );
  // A folder that train has not is another set's.
  await rm(path.join(source, "train", "class-2"), { recursive: true });
  await expect(imported(source)).rejects.toMatchObject({ code: "DATA_INVALID" });
});

test("I30 one class, no image and too many classes are refused", async () => {
  await expect(imported(await drawnFolders(1, 3, "train"))).rejects.toMatchObject({ code: "DATA_INVALID" });
  const empty = await drawnFolders(2, 1, "train");
  for (const label of [0, 1]) await writeFile(path.join(empty, "train", `class-${label}`, "0.jpg"), "");
  await expect(imported(empty)).rejects.toThrow(/no training image that can be used; 2 files were rejected/);
  const classes = Array.from({ length: 65_537 }, (_, i) => ({ name: `${i}` }));
  const source = { classes, media: "encoded" } as const;
  expect(() => requireClasses({ source: "here" }, source)).toThrow(/65537 classes; the limit is 65536/);
});
