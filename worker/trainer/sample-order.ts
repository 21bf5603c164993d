// Which sample stands at a position of a lease: the same on every worker, so that who computes a microbatch never
// matters.

import { permutation } from "../../shared/base/permutation.ts";
import { chunkSamples, type Dataset, type Split } from "../../shared/data/dataset.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";

/** What of a lease decides its order. */
export type OrderedRound = Pick<LeaseMessage, "phase" | "epoch" | "split">;

/**
 * The sample at each position: an epoch's keyed permutation of the whole training split, or the test split as it is.
 * A BN pass over fewer samples takes the head of the permutation. Samples of one chunk stay together, so that one
 * fetch serves them all; those that fill no chunk stand at the end.
 */
export function sampleOrder(seed: number, dataset: Dataset, round: OrderedRound): (position: number) => number {
  const split: Split = round.split;
  if (split === "test") return (position) => position;
  const chunk = chunkSamples(dataset.format);
  const chunks = Math.floor(dataset[split].samples / chunk);
  if (chunks === 0) return (position) => position;
  const order = permutation(chunks, seed, "epoch", round.phase, round.epoch);
  return (position) => {
    const at = Math.floor(position / chunk);
    return at < chunks ? order.at(at) * chunk + (position % chunk) : position;
  };
}
