// What befalls a cluster, drawn from a seed. Every few seeds in a row deal out one deck of all that may happen, so that
// none of it is left out.

import { type Rng, rng } from "../../shared/base/rng.ts";

/** How the two keys of a run are lost: by key or all at once, with marks in their place or without. */
export const emptyings = ["purge", "delete", "purge-stream", "delete-stream"] as const;
export type Emptying = (typeof emptyings)[number];

export type Mishap =
  /** kill -9 and started again. */
  | {
      readonly kind: "leader-killed" | "standby-killed" | "gateway-killed" | "leader-and-gateway-killed";
      readonly ms: number;
    }
  | { readonly kind: "coordinators-killed"; readonly ms: number }
  /** SIGSTOP, and SIGCONT. */
  | { readonly kind: "leader-stopped" | "gateway-stopped"; readonly ms: number }
  /** Of NATS: the one that answers for the two keys, or another. */
  | { readonly kind: "store-killed" | "store-stopped" | "server-killed" | "two-servers-killed"; readonly ms: number }
  | { readonly kind: "emptied"; readonly how: Emptying }
  /** Not a word comes or goes. */
  | { readonly kind: "leader-cut-off" | "standby-cut-off" | "gateway-cut-off" | "store-cut-off"; readonly ms: number }
  /** The leader and a server on one side, all others on the other. */
  | { readonly kind: "split"; readonly ms: number }
  /** The leader sees one server of three, and the others see each other. */
  | { readonly kind: "leader-parted"; readonly ms: number }
  | { readonly kind: "leader-disk-full" | "standby-disk-full"; readonly ms: number };

export interface StormPlan {
  readonly seed: number;
  readonly gateways: number;
  readonly mishaps: readonly Mishap[];
}

/** Every kind once. */
const deck: readonly ((draws: Rng, turn: number) => Mishap)[] = [
  (draws) => ({ kind: "leader-killed", ms: between(draws, 500, 3000) }),
  () => ({ kind: "leader-stopped", ms: 6000 }),
  (draws) => ({ kind: "standby-killed", ms: between(draws, 500, 3000) }),
  (draws) => ({ kind: "gateway-killed", ms: between(draws, 500, 3000) }),
  () => ({ kind: "gateway-stopped", ms: 4000 }),
  (draws) => ({ kind: "leader-and-gateway-killed", ms: between(draws, 500, 3000) }),
  (draws) => ({ kind: "coordinators-killed", ms: between(draws, 200, 1500) }),
  (draws) => ({ kind: "server-killed", ms: between(draws, 1000, 4000) }),
  (draws) => ({ kind: "store-killed", ms: between(draws, 1000, 6000) }),
  () => ({ kind: "store-stopped", ms: 8000 }),
  () => ({ kind: "two-servers-killed", ms: 6000 }),
  (_draws, turn) => ({ kind: "emptied", how: emptyings[turn % emptyings.length] }),
  (_draws, turn) => ({ kind: "emptied", how: emptyings[(turn + 2) % emptyings.length] }),
  (draws) => ({ kind: "leader-cut-off", ms: between(draws, 4000, 8000) }),
  (draws) => ({ kind: "standby-cut-off", ms: between(draws, 2000, 6000) }),
  (draws) => ({ kind: "gateway-cut-off", ms: between(draws, 500, 4000) }),
  (draws) => ({ kind: "store-cut-off", ms: between(draws, 2000, 8000) }),
  (draws) => ({ kind: "split", ms: between(draws, 4000, 8000) }),
  (draws) => ({ kind: "leader-parted", ms: between(draws, 4000, 8000) }),
  (_draws, turn) => ({ kind: turn % 2 === 0 ? "leader-disk-full" : "standby-disk-full", ms: 6000 }),
];
/** Of a storm; as many seeds in a row have all. */
export const MISHAPS = 5;
export const SEEDS_OF_A_DECK = deck.length / MISHAPS;
const crowds = [3, 1, 3, 8];

function between(draws: Rng, least: number, most: number): number {
  return least + draws.below(most - least);
}

/** @param seed from 0 */
export function stormPlan(seed: number): StormPlan {
  const turn = Math.floor(seed / SEEDS_OF_A_DECK);
  const draws = rng("cluster storm", turn);
  const cards = deck.map((deal) => ({ mishap: deal(draws, turn), place: draws.uint32() }));
  const shuffled = cards.sort((a, b) => a.place - b.place).map(({ mishap }) => mishap);
  const first = (seed % SEEDS_OF_A_DECK) * MISHAPS;
  return {
    seed,
    gateways: crowds[(seed + turn) % crowds.length],
    mishaps: shuffled.slice(first, first + MISHAPS),
  };
}
