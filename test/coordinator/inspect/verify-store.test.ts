// A damage anywhere in a store is found, and named with its chunk and samples.

import { appendFile, open, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { verifyStoreCommand } from "../../../coordinator/program/store-commands.ts";
import type { StoreManifest } from "../../../coordinator/store/manifest.ts";
import { fixturePicture, imagenetFixtures } from "../../fixtures/imagenet-fixtures.ts";
import { pictureStore } from "../../fixtures/picture-store.ts";
import { writeStoreFolder } from "../../fixtures/store-folder.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const { bad } = imagenetFixtures().expected;
const parts = pictureStore(3);

async function fresh(splits: Parameters<typeof writeStoreFolder>[1]["splits"] = parts.splits) {
  const folder = await scratchFolder();
  return { folder, manifest: await writeStoreFolder(folder, { ...parts, splits }) };
}

async function verified(folder: string, decode = false) {
  let text = "";
  const ok = await verifyStoreCommand(
    folder,
    { decode },
    async (piece) => {
      text += piece;
    },
    () => undefined,
  );
  return { ok, lines: text.trimEnd().split("\n") };
}

async function flip(path: string, at: number): Promise<void> {
  const file = await open(path, "r+");
  const byte = new Uint8Array(1);
  await file.read(byte, 0, 1, at);
  byte[0]! ^= 1;
  await file.write(byte, 0, 1, at);
  await file.close();
}

const shardPath = (folder: string, { splits }: StoreManifest, shard: number) =>
  join(folder, "shards", splits.train.shards[shard]!.sha256);

test("I9 a store that is whole is said to be", async () => {
  const { folder } = await fresh();
  for (const decode of [false, true]) {
    const { ok, lines } = await verified(folder, decode);
    expect(ok).toBe(true);
    expect(lines).toEqual([
      expect.stringMatching(decode ? /is whole: 30 samples, each decoded, in 11 chunks/ : /is whole: 30 samples in 11/),
    ]);
  }
});

test("I9 a bit anywhere in a shard is found, with chunk and samples", async () => {
  const { folder, manifest } = await fresh();
  const { sha256, bytes } = manifest.splits.train.shards[1]!;
  const index = await readFile(shardPath(folder, manifest, 1)).then((shard) => shard.readUInt32LE(36));
  // In the first chunk's contents, in the second's offsets, in the very last byte.
  for (const [at, chunk, samples] of [
    [200, 0, "6–8"],
    [index + 1, 1, "9–11"],
    [bytes - 1, 1, "9–11"],
  ] as const) {
    await flip(shardPath(folder, manifest, 1), at);
    const { ok, lines } = await verified(folder);
    expect(ok).toBe(false);
    expect(lines[0]).toContain(`train: chunk ${chunk} of shard ${sha256} (samples ${samples})`);
    expect(lines[1]).toMatch(/is damaged: 1 faults; read 27 samples/);
    expect(lines).toHaveLength(2);
    await flip(shardPath(folder, manifest, 1), at);
  }
  await flip(shardPath(folder, manifest, 1), 5);
  expect((await verified(folder)).lines[0]).toContain(`the index of shard ${sha256} hashes to`);
});

test("I9 a shard that is gone, shorter or longer, and a list that was changed, are found, all of them", async () => {
  const { folder, manifest } = await fresh();
  const { shards } = manifest.splits.train;
  await rm(shardPath(folder, manifest, 0));
  await truncate(shardPath(folder, manifest, 1), shards[1]!.bytes - 16);
  await appendFile(shardPath(folder, manifest, 2), "x");
  const list = join(folder, "samples-val.tsv");
  await writeFile(list, (await readFile(list, "utf8")).replace(/^\d+\t/, "99\t"));
  await appendFile(join(folder, "rejected.ndjson"), "{}\n");
  const { ok, lines } = await verified(folder);
  expect(ok).toBe(false);
  const all = lines.join("\n");
  expect(all).toContain(`${shards[0]!.sha256} is gone`);
  expect(all).toContain(`${shards[1]!.sha256} ends after`);
  expect(all).toContain(`shard ${shards[2]!.sha256} has more than its`);
  expect(all).toContain("samples-val.tsv has");
  expect(all).toMatch(/val: sample 0 \(chunk 0 of shard [0-9a-f]{64}\) has label \d+, the list says 99/);
  expect(all).toContain("rejected.ndjson: line 1 is not a split, a source and a reason");
  expect(lines.at(-1)).toMatch(/is damaged: 7 faults/);
});

test("I9 a picture that no worker could decode is found where it is asked for", async () => {
  const truncated = fixturePicture(Object.keys(bad).find((name) => name.endsWith("_9006.JPEG"))!);
  const train = parts.splits.train.map((sample, i) => (i === 7 ? { ...sample, content: truncated } : sample));
  const { folder } = await fresh({ ...parts.splits, train });
  expect((await verified(folder)).ok).toBe(true);
  const { ok, lines } = await verified(folder, true);
  expect(ok).toBe(false);
  expect(lines[0]).toMatch(/train: sample 7 \(chunk 0 of shard .*its data are damaged, or end early/);
});

test("I9 a label that is no class is found", async () => {
  const train = parts.splits.train.map((sample, i) =>
    i === 19 ? { ...sample, target: Uint8Array.of(10, 0) } : sample,
  );
  const { folder } = await fresh({ train });
  expect((await verified(folder)).lines[0]).toMatch(/train: sample 19 .* has label 10; there are 10 classes/);
});
