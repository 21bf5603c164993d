// Who a virtual volunteer is: speed, link, honesty and faults, all drawn from the seed and its number alone.

import { type Rng, rng } from "../../shared/base/rng.ts";
import { standsFor } from "./crowds.ts";
import { type Misdeed, misdeeds, type Scenario } from "./scenario.ts";
import type { LinkQuality } from "./virtual-link.ts";

export interface Profile {
  /** Counts all who ever come, from 0. */
  readonly index: number;
  /** Where it sits: whoever comes in its place sits there, too. */
  readonly seat: number;
  /** For so many it stands, with the speed and the line of all of them. */
  readonly crowd: number;
  readonly samplesPerSecond: number;
  /** Undefined for the honest. */
  readonly misdeed: Misdeed | undefined;
  readonly quality: LinkQuality;
  readonly draws: Rng;
}

/** A slow loris sends so many bytes a millisecond: alive for every heartbeat, useless for every step. */
const LORIS_BYTES_PER_MS = 0.05;
const BYTES_PER_MS_AND_MBIT = 125;

export function between([least, most]: readonly [number, number], draws: Rng): number {
  return least + (most - least) * draws.uniform();
}

/**
 * The honesty of the volunteer in seat `seat` of `volunteers`: shares are dealt out evenly over the seats, so that a
 * small world has them too, and a newcomer takes over the seat of the one it replaces.
 */
function misdeedOf({ liars, volunteers }: Scenario, seat: number, order: readonly number[]): Misdeed | undefined {
  const rank = order[seat];
  let bound = 0;
  for (const misdeed of misdeeds) {
    bound += (liars[misdeed] ?? 0) * volunteers;
    if (rank < Math.round(bound)) return misdeed;
  }
  return undefined;
}

/** A rank for each seat, in an order of the seed's. */
export function shuffledSeats(seed: number, volunteers: number): readonly number[] {
  const draws = rng(seed, "simulate", "seats");
  const order = Array.from({ length: volunteers }, (_, seat) => seat);
  for (let last = volunteers - 1; last > 0; last--) {
    const other = draws.below(last + 1);
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

export function drawProfile(
  scenario: Scenario,
  seed: number,
  index: number,
  seat: number,
  seats: readonly number[],
): Profile {
  const draws = rng(seed, "simulate", "volunteer", index);
  const { speed, link } = scenario;
  const misdeed = misdeedOf(scenario, seat, seats);
  const crowd = standsFor(scenario, seat);
  const upload = crowd * between(link.uploadMbps, draws) * BYTES_PER_MS_AND_MBIT;
  const drawn = speed.slowest * speed.spread ** draws.uniform();
  return {
    index,
    seat,
    crowd,
    samplesPerSecond: crowd > 1 ? crowd * meanSpeed(scenario) : drawn,
    misdeed,
    quality: {
      latencyMs: between(link.latencyMs, draws),
      jitterMs: link.jitterMs,
      uploadBytesPerMs: misdeed === "loris" ? LORIS_BYTES_PER_MS : upload,
      downloadBytesPerMs: crowd * between(link.downloadMbps, draws) * BYTES_PER_MS_AND_MBIT,
      payloadScale: link.payloadScale,
      evil: link.evil,
    },
    draws,
  };
}

/** Mean speed of the scenario's volunteers: that of a log-uniform distribution. */
export function meanSpeed({ speed: { slowest, spread } }: Scenario): number {
  return spread === 1 ? slowest : (slowest * (spread - 1)) / Math.log(spread);
}
