// Which sample stands at a position of a lease: the same on every worker, so that who computes a microbatch never
// matters.

import { type Permutation, permutation } from "../base/permutation.ts";
import { chunkSamples, type Dataset, type Split, storedSamples } from "../data/dataset.ts";

/** What of a lease decides its order. */
export interface OrderedRound {
  readonly phase: string;
  readonly epoch: number;
  readonly split: Split;
}

/**
 * The sample at each position: an epoch's keyed permutation of the whole training split, or the test split as it is.
 * A BN pass over fewer samples takes the head of the permutation. Samples of one chunk stay together, so that one
 * fetch serves them all; those that fill no chunk stand at the end. Where several samples are drawn of each content,
 * all contents have their first before any has its second, in an order of its own.
 */
export function sampleOrder(seed: number, dataset: Dataset, round: OrderedRound): (position: number) => number {
  const split: Split = round.split;
  if (split === "test") return (position) => position;
  const chunk = chunkSamples(dataset.format);
  const stored = storedSamples(dataset[split]);
  const chunks = Math.floor(stored / chunk);
  if (chunks === 0) return (position) => position;
  const orders = new Map<number, Permutation>();
  const orderOf = (draw: number) => {
    let order = orders.get(draw);
    if (order === undefined) {
      order = permutation(chunks, seed, "epoch", round.phase, round.epoch, ...(draw === 0 ? [] : [draw]));
      orders.set(draw, order);
    }
    return order;
  };
  return (position) => {
    const draw = Math.floor(position / stored);
    const within = position - draw * stored;
    const at = Math.floor(within / chunk);
    return at < chunks ? draw * stored + orderOf(draw).at(at) * chunk + (within % chunk) : position;
  };
}
