// Where the honest volunteers' capacity went: the measure that goodput is a share of.
//
// The ideal is the number of samples that all honest volunteers would compute if each worked at its own speed from the
// moment it first connects until it leaves or dies for good. Handshakes, stalls, lost connections, partitions and the
// coordinator's own absence are not taken out of it. Goodput is what was committed of honest work, as a share of that.

import type { Profile } from "./profile.ts";
import type { Timeline } from "./timeline.ts";

/**
 * Why what was computed is in no sum: another answered first, it was taken away or came too late, or its worker went.
 */
export type Waste = "repeated" | "late" | "lost";

/** Samples, by what became of the capacity. `idle`: connected or connecting, with nothing to compute. */
export interface CapacityShares extends Readonly<Record<Waste, number>> {
  readonly ideal: number;
  /** Those in vain included. */
  readonly computed: number;
  readonly stalled: number;
  readonly away: number;
  readonly idle: number;
}

export class Account {
  readonly #timeline: Timeline;
  /** Samples a second of the honest that are present now. */
  #speed = 0;
  #ideal = 0;
  #since = 0;
  #computed = 0;
  #stalled = 0;
  #away = 0;
  readonly #waste: Record<Waste, number> = { repeated: 0, late: 0, lost: 0 };

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  arrived(profile: Profile): void {
    this.#present(profile, 1);
  }

  gone(profile: Profile): void {
    this.#present(profile, -1);
  }

  /** It computed for so long, whatever became of the result. */
  computed(profile: Profile, ms: number): void {
    this.#computed += capacity(profile, ms);
  }

  /** Of what it computed so long came to nothing. */
  wasted(profile: Profile, ms: number, why: Waste): void {
    this.#waste[why] += capacity(profile, ms);
  }

  stalled(profile: Profile, ms: number): void {
    this.#stalled += capacity(profile, ms);
  }

  away(profile: Profile, ms: number): void {
    this.#away += capacity(profile, ms);
  }

  /**
   * From the beginning to now. Computation in hand and what is to come of a stall or an absence are within the
   * tolerance of a step.
   */
  shares(): CapacityShares {
    this.#advance();
    const idle = Math.max(0, this.#ideal - this.#computed - this.#stalled - this.#away);
    const shares = { ideal: this.#ideal, computed: this.#computed, stalled: this.#stalled, away: this.#away };
    return { ...shares, idle, ...this.#waste };
  }

  #present({ misdeed, samplesPerSecond }: Profile, sign: 1 | -1): void {
    if (misdeed !== undefined) return;
    this.#advance();
    this.#speed += sign * samplesPerSecond;
  }

  #advance(): void {
    const { now } = this.#timeline;
    this.#ideal += (this.#speed * (now - this.#since)) / 1000;
    this.#since = now;
  }
}

function capacity({ misdeed, samplesPerSecond }: Profile, ms: number): number {
  return misdeed === undefined ? (samplesPerSecond * ms) / 1000 : 0;
}
