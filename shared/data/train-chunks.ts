// The chunks of the training split by number, as workers say which they hold and as the coordinator looks for them.

import { chunkSamples, type Dataset, type Shard, storedSamples } from "./dataset.ts";

/** Most chunks of a training split of which workers say what they hold: as many bits, 32 KiB a worker. */
export const MAX_TOLD_CHUNKS = 2 ** 18;

type Chunked = Pick<Dataset, "format" | "train">;

/**
 * Chunks of the training split, numbered in the order of its contents: number c begins with content c · chunk. 0 where
 * nobody says what it holds: of raw shards, and of more chunks than bits are spent on.
 */
export function toldChunks({ format, train }: Chunked): number {
  if (format.kind !== "bytes") return 0;
  const chunks = Math.ceil(storedSamples(train) / format.chunk);
  const whole = train.shards.length === 1 || train.shards[0].samples % format.chunk === 0;
  return whole && chunks <= MAX_TOLD_CHUNKS ? chunks : 0;
}

/** The number of the first chunk of each shard, by the shard. */
export function firstChunks({ format, train }: Chunked): ReadonlyMap<Shard, number> {
  const each = Math.ceil(train.shards[0].samples / chunkSamples(format));
  return new Map(train.shards.map((shard, index) => [shard, index * each]));
}
