// Small shards of chunks, and the data set that they are.

import type { Shard } from "../../../shared/data/dataset.ts";
import { chunkPiece } from "../../../shared/data/piece.ts";
import { indexBytes, readIndex, writeShard } from "../../../shared/data/shard-layout.ts";
import type { CachedDataset } from "../../../worker/content/dataset-cache.ts";

export const format = { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk: 4 } as const;

/** A shard of samples of so many bytes and more, and where its chunks lie. */
export function chunkedShard(samples: number, seed = 0, bytes = 100) {
  const writer = writeShard({ format, shape: { h: 1, w: 1, c: 1 } }, samples);
  for (let i = 0; i < samples; i++) {
    writer.add({ content: new Uint8Array(bytes + i).fill(seed + i), target: Uint8Array.of(i, 0) });
  }
  const written = writer.take();
  const shard: Shard = { sha256: written.sha256, samples, bytes: written.bytes.length };
  const index = readIndex(format, shard, written.bytes.subarray(0, indexBytes(format, samples)), "it");
  return { ...written, shard, index, piece: (chunk: number) => chunkPiece(shard, chunk) };
}

export function chunkedDataset(...shards: readonly Shard[]): CachedDataset {
  const split = { samples: shards.reduce((sum, { samples }) => sum + samples, 0), shards: [...shards] };
  return { name: "chunks", format, train: split, test: split };
}
