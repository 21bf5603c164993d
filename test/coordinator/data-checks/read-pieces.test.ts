// Pieces for the coordinator's own decoding: verified, so that a damaged file here makes nobody a liar.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pieceReader } from "../../../coordinator/data-checks/read-pieces.ts";
import { StoredFile } from "../../../coordinator/disk/stored-file.ts";
import type { Dataset } from "../../../shared/data/dataset.ts";
import { sampleSource } from "../../../shared/samples/sample-source.ts";
import { picturesInChunks } from "../../fixtures/encoded-data.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

async function reader(damage: (bytes: Uint8Array) => void = () => undefined) {
  const { dataset, held, shard } = picturesInChunks();
  const file = join(await scratchFolder(), "shard");
  const bytes = Uint8Array.from(shard);
  damage(bytes);
  writeFileSync(file, bytes);
  const name = dataset.train.shards[0]!.sha256;
  const open = async (sha256: string) => (sha256 === name ? new StoredFile(file, bytes.length) : undefined);
  return { hold: pieceReader({ dataset, shard: open }), pieces: sampleSource(dataset).piecesOf("train", [2, 0]), held };
}

test("chunks come out of their shard's file as a worker holds them", async () => {
  const { hold, pieces, held } = await reader();
  const got = await hold(pieces);
  expect(pieces).toHaveLength(2);
  for (const { key } of pieces) expect(Buffer.compare(got.get(key)!, held.get(key)!)).toBe(0);
});

test("a damaged chunk, a damaged index and a shard that is not there are refused, and name themselves", async () => {
  const chunk = await reader((bytes) => {
    bytes[bytes.length - 40]! ^= 1;
  });
  await expect(chunk.hold(chunk.pieces)).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(/chunk 1 of shard/),
  });
  const index = await reader((bytes) => {
    bytes[5]! ^= 1;
  });
  await expect(index.hold(index.pieces)).rejects.toMatchObject({
    code: "DATA_INVALID",
    message: expect.stringMatching(/the index of shard/),
  });
  const dataset: Dataset = picturesInChunks().dataset;
  const gone = pieceReader({ dataset, shard: async () => undefined });
  await expect(gone(chunk.pieces)).rejects.toMatchObject({ code: "DATA_MISSING" });
});
