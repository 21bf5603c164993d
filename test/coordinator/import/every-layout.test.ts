// Rule of imports from every layout: whichever way the same images lie on a disk, the store has them under the same
// classes, and pixels to the bit.

import { createHash } from "node:crypto";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { imagenetFixtures } from "../../fixtures/imagenet-fixtures.ts";
import { imported, type StoredSample, storedSamples, storeManifest } from "../../fixtures/imported.ts";

const { root, expected } = imagenetFixtures();
const isReject = (name: string) => expected.bad[name]?.verdict === "reject";

describe.each(Object.entries(expected.layouts))("I25 %s", (layout, { train, val }) => {
  test("has each image under its class, in the order of WordNet ids", async () => {
    const { folder, summary } = await imported(path.join(root, layout));
    expect(summary?.classes).toBe(10);
    const { classes } = await storeManifest(folder);
    if (classes.every(({ id }) => id !== undefined))
      expect(classes.map(({ id }) => id)).toEqual(expected.classes.map(({ wnid }) => wnid));
    else expect(classes.map(({ name }) => name)).toEqual(expected.classes.map(({ words }) => words));
    for (const [split, labels] of [
      ["train", train],
      ["val", val],
    ] as const) {
      const found = (await storedSamples(folder, split)).map(({ name, label }) => [path.basename(name), label]);
      expect(Object.fromEntries(found)).toEqual(
        Object.fromEntries(Object.entries(labels).filter(([name]) => !isReject(name))),
      );
      expect(new Set(found.map(([name]) => name)).size).toBe(found.length);
    }
  });
});

test("I25 what a source could be read as, too, is told", async () => {
  const { events } = await imported(path.join(root, "tiny-imagenet-200"));
  const told = events.flatMap((event) => (event.type === "notice" ? [event.message] : []));
  expect(told).toContain("it could be read as an image folder (--layout imagefolder), too");
});

/** Records of a file in its order, by `FILE#ROW`, with their pixels as planes again. */
function records(
  samples: readonly StoredSample[],
  file: string,
): { readonly labels: number[]; readonly sha256: string } {
  const rows = samples
    .filter(({ name }) =>
      path
        .basename(name)
        .replace(/\.bin#|#/, "#")
        .startsWith(`${file}#`),
    )
    .sort((a, b) => Number(a.name.split("#")[1]) - Number(b.name.split("#")[1]));
  const hash = createHash("sha256");
  for (const { content } of rows) {
    for (let c = 0; c < 3; c++) hash.update(Uint8Array.from({ length: 1024 }, (_, i) => content[3 * i + c]));
  }
  return { labels: rows.map(({ label }) => label), sha256: hash.digest("hex") };
}

test.each(["cifar-10-batches-bin", "cifar-10-batches-py"])("I25 %s has every pixel and label", async (folder) => {
  const store = (await imported(path.join(root, folder))).folder;
  expect(await storeManifest(store)).toMatchObject({ media: "pixels", shape: { h: 32, w: 32, c: 3 } });
  const samples = [
    ...(await storedSamples(store, "train")),
    ...(await storedSamples(store, "test").catch(() => storedSamples(store, "val"))),
  ];
  for (const [file, { labels, sha256 }] of Object.entries(expected.cifar10)) {
    expect(records(samples, file)).toEqual({ labels, sha256 });
  }
});

test.each([
  ["cifar-100-binary", "fine"],
  ["cifar-100-binary", "coarse"],
  ["cifar-100-python", "fine"],
] as const)("I25 %s has every pixel and its %s label", async (folder, labels) => {
  const store = (await imported(path.join(root, folder), { labels })).folder;
  const samples = [...(await storedSamples(store, "train")), ...(await storedSamples(store, "test"))];
  for (const [file, facts] of Object.entries(expected.cifar100)) {
    expect(records(samples, file)).toEqual({ labels: facts[labels], sha256: facts.sha256 });
  }
});

test("I25 the same images in folders and in tars are the same store, but for its layout", async () => {
  const shards = async (layout: string) => {
    const { splits, classes } = await storeManifest((await imported(path.join(root, layout))).folder);
    return { classes: classes.map(({ id }) => id), train: splits.train.samples };
  };
  expect(await shards("ilsvrc2012")).toEqual(await shards("imagefolder"));
});
