// How large a lease this worker can hold: a permuted lease may touch as many shards as it has samples, and all are in memory at once.

import type { Dataset } from "../../shared/data/dataset.ts";
import { MAX_MICROBATCHES } from "../../shared/wire/protocol.ts";

/**
 * Microbatches of one lease whose shards fit into `capBytes`, at least 1; undefined where the whole data set does.
 * Activations set no limit: microbatches are computed one after another in the same buffers.
 */
export function leaseMemory(
  { train, test }: Pick<Dataset, "train" | "test">,
  microbatch: number,
  capBytes: number,
): number | undefined {
  const sizes = [...train.shards, ...test.shards].map(({ bytes }) => bytes);
  if (sizes.reduce((sum, bytes) => sum + bytes, 0) <= capBytes) return undefined;
  const largest = sizes.reduce((most, bytes) => Math.max(most, bytes), 1);
  return Math.min(MAX_MICROBATCHES, Math.max(1, Math.floor(capBytes / (microbatch * largest))));
}
