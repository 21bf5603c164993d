// Which sample stands at a position of a lease: the same on every worker, so that who computes a microbatch never matters.

import { permutation } from "../../shared/base/permutation.ts";
import type { Dataset, Split } from "../../shared/data/dataset.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";

/** What of a lease decides its order. */
export type OrderedRound = Pick<LeaseMessage, "kind" | "epoch" | "split">;

/**
 * The sample at each position: an epoch's keyed permutation of the whole training split, or the test split as it is.
 * A BN pass over fewer samples takes the head of the permutation.
 */
export function sampleOrder(seed: number, dataset: Dataset, round: OrderedRound): (position: number) => number {
  const split: Split = round.split;
  if (round.kind === "evaluate") return (position) => position;
  const order = permutation(dataset[split].samples, seed, "epoch", round.kind, round.epoch);
  return (position) => order.at(position);
}
