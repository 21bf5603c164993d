// The worker's cache against a real coordinator of a run over a store: every chunk arrives by range, and a second visit
// needs nothing.

import { join } from "node:path";
import { expect, test } from "vitest";
import { chunkPiece } from "../../../shared/data/piece.ts";
import { chunkCount } from "../../../shared/data/shard-layout.ts";
import { sampleSource } from "../../../shared/samples/sample-source.ts";
import type { FetchOptions } from "../../../worker/content/content-ports.ts";
import { DatasetCache } from "../../../worker/content/dataset-cache.ts";
import { KeptContent } from "../../../worker/content/kept-content.ts";
import { runtimePorts } from "../../../worker/platform/runtime-ports.ts";
import { readJoinLink } from "../../../worker/session/join-link.ts";
import { MemoryContent } from "../../fixtures/memory-content.ts";
import { noiseSamples, writeStoreFolder } from "../../fixtures/store-folder.ts";
import { scratchFolder, startTestRun } from "../../fixtures/test-run.ts";

const shape = { h: 28, w: 28, c: 1 };
const samples = { train: noiseSamples(150, shape, 4), val: noiseSamples(20, shape, 4, 3) };

test("the samples of a store come through a real coordinator's ranges, and from what is kept without it", async () => {
  const store = join(await scratchFolder(), "store");
  const layout = { media: "pixels", mean: [0.5], std: [0.25], classes: 4, chunk: 4, chunksPerShard: 8 } as const;
  await writeStoreFolder(store, { ...layout, shape, splits: samples });
  const { run, url } = await startTestRun({ config: { data: { kind: "store", store } } });
  const { dataset } = run.data;
  const { base, token } = readJoinLink(url);
  const ranges: (string | undefined)[] = [];
  const statuses: number[] = [];
  const ports = {
    ...runtimePorts(),
    fetch: async (address: string, options: FetchOptions) => {
      ranges.push(options.headers?.range);
      const answer = await fetch(address, options);
      statuses.push(answer.status);
      return answer;
    },
  };
  const storage = new MemoryContent(2 ** 24);
  const visit = async () => {
    const kept = await KeptContent.open(storage);
    const cache = new DatasetCache({ base, token, kept, backoff: { baseMs: 1, capMs: 4 }, ports }, dataset);
    const { piecesOf, read } = sampleSource(dataset);
    for (const [split, given] of [
      ["train", samples.train],
      ["test", samples.val],
    ] as const) {
      const all = Array.from(given, (_, i) => i);
      const held = await cache.hold(piecesOf(split, all));
      expect(read(split, all, held)).toEqual(given);
    }
    return [...cache.holds].map(([shard, chunks]) => [shard, chunks.size] as const);
  };
  const shards = [...dataset.train.shards, ...dataset.test.shards];
  const chunks = shards.map((shard) => chunkCount(dataset.format, shard.samples));
  const held = await visit();
  expect(new Map(held)).toEqual(new Map(shards.map(({ sha256 }, i) => [sha256, chunks[i]])));
  expect(new Set(statuses)).toEqual(new Set([206]));
  const once = ranges.length;
  expect(once).toBe(shards.length + chunks.reduce((sum, count) => sum + count, 0));
  expect(ranges.every((range) => /^bytes=\d+-\d+$/.test(range ?? ""))).toBe(true);
  await visit();
  expect(ranges).toHaveLength(once);
  expect(storage.held.has(`chunks/${chunkPiece(shards[0], 3).key}`)).toBe(true);
});
