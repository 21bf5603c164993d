// A run over a store: what it uses of it, what a person is told where something is wrong with it, and that nothing of
// it is read before it is wanted.

import { cp, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type OpenDataset, openDataset } from "../../../../coordinator/data/open-dataset.ts";
import { pieceReader } from "../../../../coordinator/data-checks/read-pieces.ts";
import { MANIFEST_FILE, type StoreManifest } from "../../../../coordinator/store/manifest.ts";
import { sha256Hex } from "../../../../shared/base/hash.ts";
import { locateSample } from "../../../../shared/data/dataset.ts";
import { indexBytes, readShard } from "../../../../shared/data/shard-layout.ts";
import { createJpegDecoder } from "../../../../shared/image/jpeg.ts";
import { parseConfig } from "../../../../shared/run/config.ts";
import { createSampleDecoder } from "../../../../shared/samples/sample-decoder.ts";
import { sampleSource } from "../../../../shared/samples/sample-source.ts";
import { drawnClips } from "../../../fixtures/clip-data.ts";
import { jpegModule } from "../../../fixtures/jpeg-module.ts";
import { shardBytesOf } from "../../../fixtures/shard-bytes.ts";
import { noiseSamples, type StoreParts, writeStoreFolder } from "../../../fixtures/store-folder.ts";
import { scratchFolder } from "../../../fixtures/test-run.ts";

const shape = { h: 6, w: 5, c: 1 };
const samples = { train: noiseSamples(42, shape, 4), val: noiseSamples(9, shape, 4, 3) };

async function makeStore(parts: Partial<StoreParts> = {}): Promise<{ folder: string; manifest: StoreManifest }> {
  const folder = join(await scratchFolder(), "store");
  const usual = { media: "pixels", shape, mean: [0.5], std: [0.25], classes: 4, chunk: 4, chunksPerShard: 2 } as const;
  return { folder, manifest: await writeStoreFolder(folder, { ...usual, splits: samples, ...parts }) };
}
const configOf = (fields: Record<string, unknown>) => parseConfig({ data: { kind: "store", ...fields } });
const open = (fields: Record<string, unknown>, environment = {}): Promise<OpenDataset> =>
  openDataset(configOf(fields).data, environment);

async function changeManifest(folder: string, change: (manifest: Record<string, unknown>) => void): Promise<void> {
  const manifest = JSON.parse(await readFile(join(folder, MANIFEST_FILE), "utf8"));
  change(manifest);
  await writeFile(join(folder, MANIFEST_FILE), JSON.stringify(manifest));
}

test("I60 a run over a store has its samples, classes and normalisation, as the manifest says them", async () => {
  const { folder, manifest } = await makeStore();
  const opened = await open({ store: folder });
  const { dataset, options, notices } = opened;
  expect(dataset).toMatchObject({
    name: "test",
    format: { kind: "bytes", media: "pixels", targetBytes: 2, chunk: 4 },
    shape,
    classes: 4,
    mean: [0.5],
    std: [0.25],
    train: manifest.splits.train,
    test: manifest.splits.val,
  });
  expect(options).toMatchObject({ store: folder, trainSamples: 42, testSamples: 9, classes: 4, augment: "crop-flip" });
  expect(notices).toEqual([]);
  const { shard, row } = locateSample(dataset, "train", 21);
  const { sha256, samples: held } = dataset.train.shards[shard];
  const bytes = await shardBytesOf(opened, sha256);
  expect(readShard(dataset, bytes, held, "it")(row)).toEqual(samples.train[21]);
});

test("I61 of a split a run uses the first N samples: the shards that hold them, the last of which may hold more", async () => {
  const { folder, manifest } = await makeStore();
  const { dataset, notices } = await open({ store: folder, trainSamples: 17, testSamples: 3 });
  expect(dataset.train).toEqual({ samples: 17, shards: manifest.splits.train.shards.slice(0, 3) });
  expect(dataset.train.shards.map((shard) => shard.samples)).toEqual([8, 8, 8]);
  expect(dataset.test).toEqual({ samples: 3, shards: manifest.splits.val?.shards.slice(0, 1) });
  expect(() => createSampleDecoder(configOf({ store: folder }), dataset)).not.toThrow(/announces/);
  expect(notices).toEqual([expect.stringMatching(/^1 of 4 classes have no image among the first 3 test images: 3/)]);
  const { dataset: whole } = await open({ store: folder, trainSamples: 1000 });
  expect(whole.train).toEqual(manifest.splits.train);
});

test("the held-out images are those of val, else of test", async () => {
  const { folder, manifest } = await makeStore({ splits: { train: samples.train, test: samples.val } });
  expect((await open({ store: folder })).dataset.test).toEqual(manifest.splits.test);
  const alone = await makeStore({ splits: { train: samples.train } });
  await expect(open({ store: alone.folder })).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(/training images only.*--holdout 10%, or more/),
  });
});

test("more classes than a store has may be asked for, and fewer not", async () => {
  const { folder } = await makeStore();
  expect((await open({ store: folder, classes: 7 })).dataset.classes).toBe(7);
  await expect(open({ store: folder, classes: 3 })).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringMatching(/data\.classes: .* has 4 classes; got 3/),
  });
});

test("without data.store the store is where BITSWARM_DATA says, and without that it is asked for", async () => {
  const { folder } = await makeStore();
  expect((await open({}, { BITSWARM_DATA: folder })).dataset.train.samples).toBe(42);
  await expect(open({})).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringMatching(/^data\.store: is needed .*npx coordinator import/),
  });
});

test.each<[string, (folder: string) => Promise<unknown>, string, RegExp]>([
  [
    "that is not there",
    (folder) => rm(folder, { recursive: true }),
    "DATA_MISSING",
    /is not there: .*npx coordinator import/,
  ],
  ["that is none", (folder) => rm(join(folder, MANIFEST_FILE)), "DATA_MISSING", /no manifest\.json, so it is no store/],
  [
    "of a newer version",
    (folder) => changeManifest(folder, (manifest) => Object.assign(manifest, { version: 2 })),
    "DATA_INVALID",
    /version 2; this program reads version 1/,
  ],
])("I62 a store %s is refused with what to do", async (_, damage, code, message) => {
  const { folder } = await makeStore();
  await damage(folder);
  await expect(open({ store: folder })).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

test("I62 a shard that is gone or cut off is seen before a run begins, and a run that does not use it begins", async () => {
  const { folder, manifest } = await makeStore();
  const last = join(folder, "shards", manifest.splits.train.shards[5].sha256);
  await truncate(last, 300);
  const refused = (message: RegExp) => ({ message: expect.stringMatching(message) });
  await expect(open({ store: folder })).rejects.toMatchObject({
    code: "DATA_INVALID",
    ...refused(/has 300 bytes; expected \d+: copy the store anew/),
  });
  await rm(last);
  await expect(open({ store: folder })).rejects.toMatchObject({ code: "DATA_MISSING", ...refused(/is gone: copy/) });
  expect((await open({ store: folder, trainSamples: 40 })).dataset.train.shards).toHaveLength(5);
});

test("I63 a shard's index is verified when it is first wanted, and one that is damaged is not given", async () => {
  const { folder, manifest } = await makeStore();
  const [first, second] = manifest.splits.train.shards;
  const opened = await open({ store: folder });
  const path = join(folder, "shards", first.sha256);
  const bytes = await readFile(path);
  bytes[3] ^= 1;
  await writeFile(path, bytes);
  await expect(opened.shard(first.sha256)).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(/index of shard .* hashes to .*damaged, copy the store anew/),
  });
  const good = await opened.shard(second.sha256);
  const index = new Uint8Array(
    await new Response(good?.stream(0, indexBytes(opened.dataset.format, second.samples))).arrayBuffer(),
  );
  expect(sha256Hex(index)).toBe(second.sha256);
  expect(await opened.shard("0".repeat(64))).toBeUndefined();
  // Once is enough: what changes under a run is found by whoever verifies the chunks.
  await rename(join(folder, "shards", second.sha256), join(folder, "away"));
  await expect(opened.shard(second.sha256)).rejects.toMatchObject({ code: "DATA_MISSING" });
});

test("a store is the same wherever its folder lies, and nothing of its shards is read to know that", async () => {
  const { folder } = await makeStore();
  const elsewhere = join(await scratchFolder(), "copy");
  await cp(folder, elsewhere, { recursive: true });
  expect((await open({ store: elsewhere })).dataset).toEqual((await open({ store: folder })).dataset);
});

test("a size that pixels have no use for is told", async () => {
  const { folder } = await makeStore();
  const { options, notices } = await open({ store: folder, size: 64, pad: 1 });
  expect("size" in options).toBe(false);
  expect(notices).toEqual([expect.stringMatching(/^data\.size=64 says nothing here/)]);
});

test("A38 a run over clips has as many samples of each as it draws, and every one's clip is found and decoded", async () => {
  const clips = await drawnClips({ clips: 5, crops: 4, instance: 63, exemplar: 31 });
  const parts = {
    media: "clip",
    shape: { h: 63, w: 63, c: 3 },
    mean: [0.5, 0.5, 0.5],
    std: [0.25, 0.25, 0.25],
  } as const;
  const { folder } = await makeStore({ ...parts, classes: 1, splits: { train: clips, val: clips.slice(0, 2) } });
  const fields = { store: folder, draws: 3, trainSamples: 4 };
  const opened = await open(fields);
  const { dataset, options, notices } = opened;
  expect(dataset).toMatchObject({
    ...{ format: { media: "clip", chunk: 1 }, classes: 0 },
    train: { samples: 12, draws: 3 },
    test: { samples: 16, draws: 8 },
  });
  expect(options).toMatchObject({ trainSamples: 4, testSamples: 2, draws: 3, testDraws: 8 });
  expect(notices).toEqual([]);
  // What was settled opens the same data set again, as a resume does.
  expect((await openDataset(options)).dataset).toEqual(dataset);
  const source = sampleSource(dataset);
  const hold = pieceReader(opened);
  const task = { kind: "siamfc", exemplar: 31, margin: 4 };
  const config = { ...parseConfig({ seed: 2, task, data: { kind: "store", ...fields } }), data: options };
  const decoder = createSampleDecoder(config, dataset, { jpeg: await createJpegDecoder(jpegModule()) });
  const decode = async (split: "train" | "test", epoch: number, samples: readonly number[]) => {
    const held = await hold(source.piecesOf(split, samples));
    return decoder.decode({ phase: "student", epoch, split }, samples, source.read(split, samples, held));
  };
  const { input, checksum } = await decode("train", 0, [1, 5, 9]);
  expect([input.exemplar.length, input.search.length]).toEqual([3 * 31 * 31 * 3, 3 * 55 * 55 * 3]);
  // Three draws of one clip are three pairs, in another epoch three others; held-out ones are ever the same.
  const rows = [0, 1, 2].map((i) => Buffer.from(input.search.slice(i * 9075, (i + 1) * 9075)).toString("base64"));
  expect(new Set(rows).size).toBe(3);
  expect((await decode("train", 1, [1, 5, 9])).checksum).not.toBe(checksum);
  expect((await decode("test", 1, [0, 7])).checksum).toBe((await decode("test", 0, [7, 0])).checksum);
});
