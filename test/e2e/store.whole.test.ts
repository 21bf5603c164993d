// A run over a store of pixels, in the order of their files and a sample a chunk, is the run over the files to the bit.

import { join } from "node:path";
import { expect, test } from "vitest";
import { openDataset } from "../../coordinator/data/open-dataset.ts";
import type { Split } from "../../shared/data/dataset.ts";
import { readShard, type SampleBytes } from "../../shared/data/shard-layout.ts";
import { parseConfig } from "../../shared/run/config.ts";
import { shardBytesOf } from "../fixtures/shard-bytes.ts";
import { writeStoreFolder } from "../fixtures/store-folder.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { calmRun, hashes, linesOf, smallRun, start, succeeded } from "./run-process.ts";
import { WorkerProcess } from "./worker-process.ts";

/** What run A of the two uses of Fashion-MNIST, and how both see it. */
const used = { ...smallRun, "data.pad": 2, "data.augment": "crop-flip" } as const;

async function samplesOf(opened: Awaited<ReturnType<typeof openDataset>>, split: Split): Promise<SampleBytes[]> {
  const { dataset } = opened;
  const all: SampleBytes[] = [];
  for (const { sha256, samples } of dataset[split].shards) {
    const row = readShard(dataset, await shardBytesOf(opened, sha256), samples, sha256);
    for (let i = 0; i < samples; i++) all.push(row(i));
  }
  return all;
}

test("I69 a store of one sample a chunk, in the order of its files, trains to the bits that the files train to", async () => {
  const { trainSamples, testSamples } = {
    trainSamples: used["data.trainSamples"],
    testSamples: used["data.testSamples"],
  };
  const files = await openDataset(parseConfig({ data: { trainSamples, testSamples } }).data);
  const { shape, classes, mean, std } = files.dataset;
  const store = join(await scratchFolder(), "store");
  const splits = { train: await samplesOf(files, "train"), val: await samplesOf(files, "test") };
  await writeStoreFolder(store, { media: "pixels", shape, classes, mean, std, chunk: 1, chunksPerShard: 100, splits });
  const whole = { ...used, "data.trainSamples": 2 ** 31 - 1, "data.testSamples": 2 ** 31 - 1 };
  const run = start(join(await scratchFolder(), "run"), { ...whole, "data.kind": "store", "data.store": store });
  new WorkerProcess(await run.url(), "deno");
  await succeeded(run);
  const expected = hashes(await calmRun(used, "deno"));
  expect(Object.keys(expected).length).toBeGreaterThan(10);
  expect(hashes(linesOf(run))).toEqual(expected);
}, 300_000);
